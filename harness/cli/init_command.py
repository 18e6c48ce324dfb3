"""``harness init``: a directory becomes a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common
from harness.core.errors import UserError

if TYPE_CHECKING:
    from harness.project.starter import GitTree


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where it is written [here]."),
    ] = Path(),
    tree: Annotated[
        Path | None,
        typer.Option(
            "--tree", metavar="DIR",
            help="The git tree of the kernel that is measured [DIR, if it is one].",
        ),
    ] = None,
    quiet: common.Quiet = False,
) -> None:
    """Write a commented harness.toml; one that is there is left alone.

    In a git tree of the kernel it compares HEAD with the work tree, elsewhere two configurations
    of Debian's kernel, for a start.

    Example: harness init ~/experiment --tree ~/linux
    """
    from harness.core.progress import Progress  # noqa: PLC0415
    from harness.project import starter  # noqa: PLC0415

    folder = directory.expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is no directory", hint="name one, or leave it out")
    found = git_tree(tree.expanduser(), folder) if tree else _around(folder)
    inside = found is not None and found.path == "."
    # Beside the tree, not in it: runs would be uncommitted files of the kernel.
    results = f"../{folder.name}-results" if inside else "results"
    common.say(str(starter.write(folder, found, results)))
    progress = Progress(-1 if quiet else 0)
    if inside:
        progress.say(
            "to keep it out of `git status`: echo '/harness*.toml' >> .git/info/exclude"
        )
    where = "" if folder == Path.cwd() else f"cd {directory} && "
    progress.say(f"look through it, then: {where}harness bench --dry-run")


def _around(folder: Path) -> GitTree | None:
    """The directory itself, if it is the top of a kernel's git tree."""
    try:
        found = git_tree(folder, folder)
    except UserError:
        return None
    return found if found.path == "." else None


def git_tree(tree: Path, folder: Path) -> GitTree:
    """The kernel tree as the harness.toml in ``folder`` names it.

    Raises :class:`UserError` for what is no git tree, has no commit or holds no kernel.
    """
    from harness.kernel.source import commits  # noqa: PLC0415
    from harness.project.starter import GitTree  # noqa: PLC0415

    repository = commits.open_repository(tree)
    head = commits.find_commit(repository, "HEAD")
    commits.kernel_version(head)
    top = repository.top
    return GitTree("." if top == folder.resolve() else str(top), head.ident, head.subject)
