"""``harness doctor``: what is here, what is missing, what each thing is for, how to get it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from harness.core import hosttools
from harness.core.errors import HarnessError
from harness.core.hosttools import HostTool
from harness.core.proc import capture, look_in_sbin
from harness.core.workspace import Workspace
from harness.kernel.series.seriestree import IDENTITY_HINT, missing_identity
from harness.kernel.source.mirror import resolve_mirror
from harness.machine import accel
from harness.project.config import Project

OK, WARN, MISSING = "ok", "warning", "missing"
DISK_GIB = 10  # two trees with objects, two kernels, an image, overlays
SPECIAL = ("fakeroot", "qemu-system-x86_64")  # have a check of their own
EXTRAS = (
    ("drgn", "dumps", "opens the memory of a guest that crashed (--dump, reproduce --drgn)"),
    ("distributed", "fleet", "boots and tests on many hosts at a time (--fleet)"),
)
"""Python packages that single commands need: package, extra of pte-harness, purpose."""
MEMORY_GIB = 6  # a 4 GiB guest, and the compiler beside it


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report."""

    what: str
    state: str
    found: str
    purpose: str
    remedy: str = ""


def examine(workspace: Workspace, project: Project | None) -> list[Finding]:
    """All findings, the gravest kind of each. ``project`` is the one we are in, if any."""
    look_in_sbin()
    findings = [
        _tool(tool) for tool in hosttools.TOOLS
        if tool.need != "sometimes" and tool.name not in SPECIAL
    ]
    checks: tuple[Callable[[Workspace], Finding], ...] = (
        _fakeroot, _identity, _qemu, _kvm, _disk, _memory,
    )
    return [
        *findings, *(check(workspace) for check in checks), _mirror(project),
        *(_extra(*extra) for extra in EXTRAS),
    ]


def _tool(tool: HostTool) -> Finding:
    state: str = MISSING if tool.need == "always" else WARN
    remedy = f"apt-get install {tool.packages}"
    if tool.file:
        if not Path(tool.file).exists():
            return Finding(tool.name, state, "", tool.purpose, remedy)
        return Finding(tool.name, OK, tool.file, tool.purpose)
    path = shutil.which(tool.name)
    if path is None:
        return Finding(tool.name, state, "", tool.purpose, remedy)
    return Finding(tool.name, OK, _version(path, tool.version) if tool.version else path,
                   tool.purpose)


def _version(path: str, flag: str) -> str:
    try:
        text = capture(["sh", "-c", f'"$0" {flag} 2>&1', path], check=False, timeout=20)
    except HarnessError:
        return path
    match = re.search(r"\d+(\.\d+)+", text)
    return match.group(0) if match else path


def _fakeroot(_: Workspace) -> Finding:
    tool = hosttools.BY_NAME["fakeroot"]
    if os.geteuid() == 0:
        return Finding(tool.name, OK, "not needed as root", tool.purpose)
    return _tool(tool)


def _identity(_: Workspace) -> Finding:
    purpose = "the commits of a series' work tree (harness series edit)"
    if shutil.which("git") is None:
        return Finding("git identity", WARN, "unknown without git", purpose)
    if why := missing_identity():
        return Finding("git identity", WARN, why, purpose, IDENTITY_HINT)
    return Finding("git identity", OK, "git knows who commits", purpose)


def _qemu(_: Workspace) -> Finding:
    purpose = "boots the guests"
    path = shutil.which("qemu-system-x86_64")
    remedy = (
        "apt-get install qemu-system-x86, from your release's backports if its own is older"
        " (or `make setup` as root)"
    )
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


def _extra(package: str, extra: str, purpose: str) -> Finding:
    try:
        version = metadata.version(package)
    except metadata.PackageNotFoundError:
        return Finding(package, WARN, "", purpose, f"pip install 'pte-harness[{extra}]'")
    return Finding(package, OK, version, purpose)


def _mirror(project: Project | None) -> Finding:
    purpose = "Debian's kernel sources and the image's packages"
    try:
        mirror = resolve_mirror(project.settings.mirror if project else "", None)
    except HarnessError as error:
        return Finding("Debian mirror", MISSING, error.message, purpose, error.hint)
    return Finding("Debian mirror", OK, f"{mirror.url} ({mirror.origin})", purpose)
