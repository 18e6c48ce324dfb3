"""``harness doctor``: what is here, what is missing, what each thing is for, how to get it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import HarnessError
from harness.core.proc import capture
from harness.core.workspace import Workspace
from harness.machine import accel

OK, WARN, MISSING = "ok", "warning", "missing"
DISK_GIB = 10  # two trees with objects, two kernels, an image, overlays
MEMORY_GIB = 6  # a 4 GiB guest, and the compiler beside it


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    what: str
    state: str
    found: str
    purpose: str
    remedy: str = ""

    def record(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


# program, Debian package, purpose, flag that makes it say its version
TOOLS: tuple[tuple[str, str, str, str], ...] = (
    ("gcc", "build-essential", "compiles kernels and guest programs", "--version"),
    ("make", "build-essential", "drives the kernel's build", "--version"),
    ("ld", "binutils", "links kernels", "--version"),
    ("flex", "flex", "the kernel's configuration parser", "--version"),
    ("bison", "bison", "the kernel's configuration parser", "--version"),
    ("bc", "bc", "the kernel's time constants", "--version"),
    ("perl", "perl", "checkpatch and some kernel scripts", "--version"),
    ("lz4", "lz4", "compresses the kernel image", "--version"),
    ("patch", "patch", "applies a series without fuzz", "--version"),
    ("git", "git", "work trees of a series", "--version"),
    ("ccache", "ccache", "compiles nothing twice", "--version"),
    ("mmdebstrap", "mmdebstrap", "makes the guest's image", "--version"),
    ("mke2fs", "e2fsprogs", "makes the image a file system", "-V"),
    ("ssh-keygen", "openssh-client", "keys of the guest", ""),
    ("setpriv", "util-linux", "no child outlives the harness", "--version"),
    ("apt-get", "apt", "fetches and verifies the kernel's source", "--version"),
)


def examine(workspace: Workspace) -> list[Finding]:
    """All findings, the gravest kind of each."""
    os.environ["PATH"] = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    findings = [_tool(*tool) for tool in TOOLS]
    checks: tuple[Callable[[Workspace], Finding], ...] = (
        _headers, _libraries, _fakeroot, _qemu, _kvm, _disk, _memory, _mirror,
    )
    return findings + [check(workspace) for check in checks]


def _tool(program: str, package: str, purpose: str, flag: str) -> Finding:
    path = shutil.which(program)
    if path is None:
        return Finding(program, MISSING, "", purpose, f"apt-get install {package}")
    return Finding(program, OK, _version(path, flag) if flag else path, purpose)


def _version(path: str, flag: str) -> str:
    try:
        text = capture(["sh", "-c", f'"$0" {flag} 2>&1', path], check=False, timeout=20)
    except HarnessError:
        return path
    match = re.search(r"\d+(\.\d+)+", text)
    return match.group(0) if match else path


def _headers(_: Workspace) -> Finding:
    purpose = "objtool, which the kernel's static keys need"
    absent = [h for h in ("libelf.h", "openssl/ssl.h") if not (Path("/usr/include") / h).exists()]
    if absent:
        return Finding(
            "libelf, libssl", MISSING, "", purpose, "apt-get install libelf-dev libssl-dev"
        )
    return Finding("libelf, libssl", OK, "headers", purpose)


def _libraries(_: Workspace) -> Finding:
    purpose = "the kernel's selftests (harness stability --suite selftests)"
    absent = [h for h in ("sys/capability.h", "numa.h") if not (Path("/usr/include") / h).exists()]
    if absent:
        return Finding(
            "libcap, libnuma", WARN, "", purpose, "apt-get install libcap-dev libnuma-dev"
        )
    return Finding("libcap, libnuma", OK, "headers", purpose)


def _fakeroot(_: Workspace) -> Finding:
    purpose = "right owners in the image without being root"
    if os.geteuid() == 0:
        return Finding("fakeroot", OK, "not needed as root", purpose)
    path = shutil.which("fakeroot")
    if path is None:
        return Finding("fakeroot", MISSING, "", purpose, "apt-get install fakeroot")
    return Finding("fakeroot", OK, path, purpose)


def _qemu(_: Workspace) -> Finding:
    purpose = "boots the guests"
    path = shutil.which("qemu-system-x86_64")
    remedy = "apt-get install -t bookworm-backports qemu-system-x86 (or `make setup` as root)"
    if path is None:
        return Finding("QEMU", MISSING, "", purpose, remedy)
    version = accel.qemu_version(path)
    text = ".".join(map(str, version))
    if version[:2] < accel.ICOUNT_SMP_SINCE:
        return Finding(
            "QEMU", WARN, f"{text}: counts instructions with one vCPU only", purpose, remedy
        )
    return Finding("QEMU", OK, text, purpose)


def _kvm(workspace: Workspace) -> Finding:
    purpose = "fast guests; without it TCG is used, 20 to 50 times slower"
    path = shutil.which("qemu-system-x86_64")
    if path is None:
        return Finding("KVM", WARN, "unknown without QEMU", purpose)
    kernels = sorted((workspace.root / "builds").glob("*/bzImage"))
    works, why = accel.prove_kvm(workspace, path, kernels[0] if kernels else None)
    if works:
        return Finding("KVM", OK, why, purpose)
    return Finding("KVM", WARN, why, purpose, "nothing needs it; numbers are labelled TCG")


def _disk(workspace: Workspace) -> Finding:
    free = shutil.disk_usage(workspace.root).free / 2**30
    purpose = f"the cache, {workspace.root}"
    state = OK if free >= DISK_GIB else WARN
    remedy = "" if state == OK else "`harness cache prune`, or --workspace on another disk"
    return Finding("disk", state, f"{free:.0f} GiB free, {DISK_GIB} wanted", purpose, remedy)


def _memory(_: Workspace) -> Finding:
    text = Path("/proc/meminfo").read_text()
    match = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    free = int(match.group(1)) / 2**20 if match else 0.0
    state = OK if free >= MEMORY_GIB else WARN
    remedy = "" if state == OK else "a smaller guest: --memory 2G"
    return Finding(
        "memory", state, f"{free:.0f} GiB available, {MEMORY_GIB} wanted", "guests", remedy
    )


def _mirror(_: Workspace) -> Finding:
    from harness.kernel.source.mirror import resolve_mirror  # noqa: PLC0415
    from harness.project import config  # noqa: PLC0415

    purpose = "the kernel's source and the image's packages"
    try:
        mirror = resolve_mirror(config.load().settings.mirror, None)
    except HarnessError as error:
        return Finding("Debian mirror", MISSING, error.message, purpose, error.hint)
    return Finding("Debian mirror", OK, f"{mirror.url} ({mirror.origin})", purpose)
