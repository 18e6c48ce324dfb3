"""Our plugins: compiled for this QEMU, and the arguments that load the one that profiles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.core import digest
from harness.core.errors import HarnessError, InfrastructureError, UserError
from harness.core.proc import capture, need, run_logged, tail
from harness.core.workspace import Workspace

NAME = "profile.so"
CACHES = "caches.so"
LIBRARIES = {NAME: ("profile.c", "x86.c"), CACHES: ("caches.c", "x86.c")}
OLDEST = (9, 0)
API = ((9, 2), 4), ((9, 1), 3), ((9, 0), 2)
"""QEMU's version to the version of its plugin interface that we speak with it."""
FLAGS = (
    "-O2", "-Wall", "-Wextra", "-std=gnu11", "-D_GNU_SOURCE", "-fPIC", "-shared",
    "-fvisibility=hidden", "-pthread",
)


def qemu_version(binary: str) -> tuple[int, int]:
    """Major and minor version; raises :class:`UserError` for what is no QEMU."""
    text = capture([binary, "--version"], check=False)
    found = re.search(r"version (\d+)\.(\d+)", text)
    if not found:
        raise UserError(f"{binary} does not say which version of QEMU it is")
    return int(found[1]), int(found[2])


def api_version(version: tuple[int, int]) -> int:
    """The version of the plugin interface to build for.

    Raises :class:`UserError` for a QEMU that has no counters of each vCPU.
    """
    for since, number in API:
        if version >= since:
            return number
    raise UserError(
        f"QEMU {version[0]}.{version[1]} cannot say where instructions go: its plugin interface "
        "has no counters of each vCPU",
        hint="install QEMU 9.0 or newer (Debian 12 has 10.0 in backports), or use --no-profile",
    )


def sources(folder: Path) -> list[Path]:
    """The files that decide what the plugin is."""
    return sorted(path for path in folder.iterdir() if path.suffix in (".c", ".h"))


def build(workspace: Workspace, folder: Path, binary: str) -> Path:
    """The compiled plugin that profiles, for a QEMU; :data:`CACHES` lies beside it.

    ``folder`` holds their sources. Made once per content. Raises :class:`UserError` for a QEMU
    that is too old and :class:`InfrastructureError` with the compiler's words when one does not
    compile.
    """
    api = api_version(qemu_version(binary))
    need("gcc", package="gcc libc6-dev")
    files = sources(folder)
    key = digest.key([api, list(FLAGS), {path.name: digest.of_file(path) for path in files}])
    published = workspace.published("plugins", key)
    if published:
        return published / NAME
    with workspace.lock("plugins"):
        published = workspace.published("plugins", key)
        if published:
            return published / NAME
        with workspace.publish("plugins", key) as staging:
            for name, parts in LIBRARIES.items():
                log = staging / f"{name}.log"
                code = run_logged([
                    "gcc", *FLAGS, f"-DAPI_VERSION={api}", "-o", str(staging / name),
                    *(str(folder / part) for part in parts),
                ], log)
                if code != 0:
                    kept = workspace.dir("logs") / "plugin.log"
                    kept.write_bytes(log.read_bytes())
                    raise InfrastructureError(
                        f"the plugin {name} does not compile", excerpt=tail(log, 25), log=kept
                    )
    return workspace.dir("plugins", key) / NAME


@dataclass(frozen=True)
class PluginSpec:
    """How to load the plugin into one guest."""

    library: Path
    output: Path
    entries: Path
    """Where functions begin: :meth:`harness.measure.profiles.symbols.Symbols.write_entries`."""
    follow: int = 1
    """In how many windows of a series call paths are kept; 0 makes the guest a little faster."""

    def qemu_args(self) -> list[str]:
        """The words for QEMU's command line."""
        words = [
            str(self.library), f"out={self.output}", f"entries={self.entries}",
            f"follow={self.follow}",
        ]
        return ["-plugin", ",".join(word.replace(",", ",,") for word in words)]


def why_not(binary: str) -> str:
    """Why a QEMU cannot profile, in one line; empty when it can."""
    try:
        api_version(qemu_version(binary))
    except HarnessError as error:
        return error.line()
    return ""
