"""The kernel's own memory-management selftests, compiled from a base's tree.

Static, so that the host's C library need not be the guest's. Compiled from the
base, not from a variant: both kernels meet the same programs.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from harness.core import digest
from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import run_logged, tail
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build import kbuild
from harness.kernel.source.sources import Source

RECIPE = 1
NAMES = ("mm", "vm")  # the directory was renamed in 6.3
SCRIPT = "run_vmtests.sh"
NOT_BUILT = "not-built.txt"
COMPILE_SECONDS = 1800.0
LIBRARIES = {"sys/capability.h": "libcap-dev", "numa.h": "libnuma-dev"}
_FAILED = re.compile(r"\*\*\* \[\S+ (\S+)\] Error")


def directory(source: Source) -> Path:
    """Where the tree keeps them; :class:`UserError` when it has none."""
    for name in NAMES:
        path = source.path / "tools/testing/selftests" / name
        if (path / SCRIPT).is_file():
            return path
    raise UserError(f"{source.path} has no tools/testing/selftests/mm or vm")


def key(source: Source) -> str:
    """Everything that decides what the programs will be."""
    return digest.key({
        "recipe": RECIPE, "source": source.digest, "compiler": kbuild.compiler_version(),
        "name": directory(source).name,
    })


def compile_into(workspace: Workspace, source: Source, root: Path, progress: Progress) -> None:
    """Compile the selftests and put programs and scripts into ``root``.

    Programs that do not compile are named in ``root/not-built.txt``: the others are
    worth running. Raises :class:`InfrastructureError` when nothing compiles and
    :class:`UserError` when a library's headers are missing.
    """
    for header, package in LIBRARIES.items():
        if not (Path("/usr/include") / header).exists():
            raise UserError(
                f"the kernel's selftests need {header}", hint=f"apt-get install {package}"
            )
    log = workspace.dir("logs") / "selftests.log"
    log.write_bytes(b"")
    with (
        tempfile.TemporaryDirectory(prefix="selftests.", dir=workspace.dir("tmp")) as scratch,
        progress.task(f"compiling the selftests of {source.name}"),
    ):
        objects, tree = Path(scratch) / "obj", Path(scratch) / "tree"
        objects.mkdir()
        deadline = Deadline(COMPILE_SECONDS)
        argv = ["make", "-s", "-C", str(source.path), f"O={objects}", "headers"]
        if run_logged(argv, log, deadline=deadline) != 0:
            raise InfrastructureError(
                f"the headers of {source.name} cannot be made", excerpt=tail(log, 8), log=log
            )
        lookalike(source.path, tree)
        place = tree / "tools/testing/selftests" / directory(source).name
        run_logged(
            ["make", "-k", f"-j{os.cpu_count() or 1}", "-C", str(place), "EXTRA_CFLAGS=-static",
             f"KHDR_INCLUDES=-isystem {objects}/usr/include"], log, deadline=deadline,
        )
        made = [path for path in sorted(place.iterdir()) if is_program(path)]
        if not any(path.suffix != ".sh" for path in made):
            raise InfrastructureError(
                "none of the selftests compiles", excerpt=tail(log, 12), log=log
            )
        for path in made:
            shutil.copy(path, root / path.name)
    failed = sorted({Path(name).name for name in _FAILED.findall(log.read_text(errors="replace"))})
    (root / NOT_BUILT).write_text("".join(f"{name}\n" for name in failed))
    if failed:
        progress.warn(f"selftests that do not compile here: {', '.join(failed)} (log: {log})")


def lookalike(tree: Path, copy: Path) -> None:
    """A tree that looks like ``tree`` and may be written to where selftests are compiled.

    Their Makefiles write beside their sources whatever ``O=`` says, and a pristine
    tree is nobody's to write to.
    """
    inner = copy / "tools" / "testing"
    inner.mkdir(parents=True)
    for original, place, but in (
        (tree, copy, "tools"), (tree / "tools", copy / "tools", "testing"),
        (tree / "tools/testing", inner, "selftests"),
    ):
        for entry in original.iterdir():
            if entry.name != but:
                (place / entry.name).symlink_to(entry)
    shutil.copytree(tree / "tools/testing/selftests", inner / "selftests", symlinks=True)


def is_program(path: Path) -> bool:
    """Whether a file is one that the guest needs: executable, or a script of the suite."""
    if not path.is_file() or path.suffix in (".c", ".h", ".o"):
        return False
    return path.suffix == ".sh" or bool(path.stat().st_mode & stat.S_IXUSR)
