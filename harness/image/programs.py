"""The programs of guest/, compiled once per content, pushed at run time."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.core import digest
from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import need, run_logged, tail
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.project.config import Project

FOLDER = "guest"
GUEST_DIR = "/opt/harness"  # where programs are pushed to


def sources(project: Project) -> dict[str, Path]:
    """Every file that decides what the programs are, by its name in guest/.

    Built-in ones, and the project's own, which win over those of the same name.
    """
    return {
        name: path for name, path in project.files(FOLDER).items()
        if path.suffix in (".c", ".h", ".sh", ".py", ".go", ".java") or path.name == "Makefile"
    }


@contextlib.contextmanager
def source_tree(project: Project, scratch: Path) -> Iterator[Path]:
    """All sources in one directory below ``scratch``, for make."""
    with tempfile.TemporaryDirectory(prefix="sources.", dir=scratch) as folder:
        tree = Path(folder)
        for name, path in sources(project).items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, tree / name)
        yield tree


def build_programs(workspace: Workspace, project: Project, progress: Progress) -> Path:
    """The directory that holds the compiled programs, named as their sources.

    Raises :class:`InfrastructureError` with the compiler's words when one does not compile.
    """
    need("gcc")
    key = digest.key({
        f"{FOLDER}/{name}": digest.of_file(path) for name, path in sources(project).items()
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
            with source_tree(project, workspace.dir("tmp")) as tree:
                code = run_logged(["make", "-s", "-j2", "-C", str(tree), f"OUT={staging}"], log)
            if code != 0:
                kept = workspace.dir("logs") / "guest-programs.log"
                kept.write_bytes(log.read_bytes())
                raise InfrastructureError(
                    "a guest program does not compile", excerpt=tail(log, 25), log=kept
                )
    return workspace.dir("programs", key)


def compile_static(workspace: Workspace, source: Path) -> Path:
    """A user's C source as a statically linked program, named as the source without ``.c``.

    Raises :class:`UserError` with the compiler's first words when it does not compile.
    """
    gcc = need("gcc", package="gcc libc6-dev")
    key = digest.key([digest.of_file(source), source.stem])
    found = workspace.published("programs", key)
    if found is None:
        with workspace.lock("programs"), workspace.publish("programs", key) as staging:
            log = staging / "gcc.log"
            argv = [gcc, "-O2", "-static", "-pthread", "-o", str(staging / source.stem),
                    str(source), "-lm"]
            if run_logged(argv, log):
                said = tail(log).splitlines()
                first = next((line for line in said if "error" in line), said[-1] if said else "")
                raise UserError(f"{source} does not compile: {first}")
        found = workspace.root / "programs" / key
    return found / source.stem
