"""The programs of guest/, compiled once per content, pushed at run time."""

from __future__ import annotations

from pathlib import Path

from harness.core import digest
from harness.core.errors import InfrastructureError
from harness.core.proc import need, run_logged, tail
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.project.config import Project

GUEST_DIR = "/opt/harness"  # where programs are pushed to


def sources(project: Project) -> list[Path]:
    """Every file that decides what the programs are."""
    folder = project.root / "guest"
    return sorted(
        path for path in folder.rglob("*")
        if path.suffix in (".c", ".h", ".sh") or path.name == "Makefile"
    )


def build_programs(workspace: Workspace, project: Project, progress: Progress) -> Path:
    """The directory that holds the compiled programs, named as their sources.

    Raises :class:`InfrastructureError` with the compiler's words when one does not compile.
    """
    need("gcc", package="gcc libc6-dev")
    files = sources(project)
    key = digest.key({
        str(path.relative_to(project.root)): digest.of_file(path) for path in files
    })
    found = workspace.published("programs", key)
    if found:
        return found
    with workspace.lock("programs"):
        found = workspace.published("programs", key)
        if found:
            return found
        progress.say("compiling the guest's programs")
        with workspace.publish("programs", key) as staging:
            log = staging / "make.log"
            code = run_logged(
                ["make", "-s", "-j2", "-C", str(project.root / "guest"), f"OUT={staging}"], log
            )
            if code != 0:
                kept = workspace.dir("logs") / "guest-programs.log"
                kept.write_bytes(log.read_bytes())
                raise InfrastructureError(
                    "a guest program does not compile", excerpt=tail(log, 25), log=kept
                )
    return workspace.dir("programs", key)
