"""What the fetchers of kernel trees share: what they are asked, what they hand back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import run_logged, tail
from harness.core.progress import Progress
from harness.project.bases import Base
from harness.project.config import Project
from harness.records.kernels import SourceRecord


@dataclass(frozen=True)
class Wanted:
    """What a caller asks of the fetchers beyond what harness.toml says.

    ``mirror`` is a Debian mirror, ``origin`` a place that stands in for a base's URLs (a
    local clone, a tarball on a stick), ``have`` the digest of what is here already:
    nothing is downloaded when it would be that again. ``keyring`` is for Debian's.
    """

    mirror: str | None = None
    origin: str | None = None
    have: str = ""
    keyring: Path | None = None


@dataclass(frozen=True)
class Job:
    """One source to be fetched: the base ``name`` of a project, into ``scratch``.

    ``kept`` is a directory for what a broken download has brought: it outlives the command.
    """

    project: Project
    name: str
    wanted: Wanted
    scratch: Path
    progress: Progress
    kept: Path

    @property
    def base(self) -> Base:
        """What harness.toml says of it."""
        return self.project.base(self.name)


@dataclass(frozen=True)
class Fetched:
    """A verified source, ready to be published.

    ``directory`` is its name below sources/. ``unpack`` puts it into ``DIR/tree``; it is not
    called for what is published already.
    """

    directory: str
    record: SourceRecord
    unpack: Callable[[Path], object]


def unpack_tar(archive: Path, staging: Path) -> None:
    """Unpack a tarball that holds one directory into ``staging/tree``.

    Raises :class:`UserError` when that is no kernel tree.
    """
    tree = staging / "tree"
    tree.mkdir()
    step(["tar", "-C", str(tree), "--strip-components=1", "--no-same-owner", "-xf", str(archive)],
         staging / "unpack.log")
    check_kernel_tree(tree)


def step(argv: list[str], log: Path) -> None:
    """Run one command; raises :class:`InfrastructureError` with the end of its output."""
    if run_logged(argv, log):
        raise InfrastructureError(f"{Path(argv[0]).name} failed", excerpt=tail(log, 5))


def check_kernel_tree(path: Path) -> str:
    """The version of the kernel tree at ``path``; :class:`UserError` if it is none."""
    try:
        version = makefile_version((path / "Makefile").read_text(errors="replace"))
    except OSError:
        version = ""
    if not version or not all((path / f).is_file() for f in ("Kconfig", "Kbuild")):
        raise UserError(
            f"{path} is not a kernel source tree",
            hint="--source DIR wants the directory with the kernel's Makefile, Kconfig and Kbuild",
        )
    return version


def makefile_version(text: str) -> str:
    """The kernel's version out of its top Makefile, such as 6.1.192-rc1; empty for another file."""
    words: dict[str, str] = {}
    for line in text.splitlines()[:20]:
        name, _, value = line.partition("=")
        words[name.strip()] = value.strip()
    if "PATCHLEVEL" not in words:
        return ""
    numbers = [words.get(key, "") for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    return ".".join(filter(None, numbers)) + words.get("EXTRAVERSION", "")
