"""A series as git commits: edited in a work tree of its base, saved back as patch files.

Plain git underneath: ``edit`` makes a repository whose commit tagged ``base`` is
the pristine tree and whose commits above are the patches; ``save`` is
``git format-patch`` with every source of noise switched off, so that what was not
changed comes back byte for byte.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import capture
from harness.core.progress import Progress
from harness.core.workspace import write_atomic
from harness.kernel.series.patches import SERIES_FILE, Series
from harness.kernel.source.sources import Source

BASE_TAG = "base"
LONG = 600.0
FORMAT = (
    "--zero-commit", "--no-signature", "--numbered", "--no-base", "--no-attach", "--quiet",
    "--diff-algorithm=histogram", "--find-renames", "--abbrev=12", "--stat=76",
)


def git(tree: Path, *words: str, check: bool = True, timeout: float = 120.0) -> str:
    """Output of git in a tree, with nothing of the user's configuration but the identity."""
    return capture(
        ["git", "-C", str(tree), "-c", "core.autocrlf=false", "-c", "commit.gpgsign=false",
         "-c", "gc.auto=0", "-c", "advice.detachedHead=false", *words],
        env={**os.environ, "LC_ALL": "C", "GIT_EDITOR": "true"}, check=check, timeout=timeout,
    )


def edit(series: Series | None, source: Source, tree: Path, progress: Progress) -> bool:
    """Make the work tree of a series, or leave the one that is there; whether it was made.

    Raises :class:`UserError` when a patch does not apply; the tree then stands at
    the last one that did, with `git am` in progress, for the user to mend.
    """
    if (tree / ".git").exists():
        return False
    if tree.exists() and any(tree.iterdir()):
        raise UserError(f"{tree} is not empty", hint="name another directory")
    tree.parent.mkdir(parents=True, exist_ok=True)
    with progress.task(f"making a work tree of {source.name} {source.version}"):
        staging = Path(tempfile.mkdtemp(prefix=f".{tree.name}.", dir=tree.parent))
        try:
            # A real copy: an editor that writes in place must not reach the pristine tree.
            capture(["cp", "-a", "--reflink=auto", f"{source.path}/.", str(staging)], timeout=LONG)
            for leftover in staging.glob(".complete"):
                leftover.unlink()
            git(staging, "init", "-q", "-b", "series")
            git(staging, "add", "-Af", ".", timeout=LONG)
            git(staging, "commit", "-q", "--no-verify", "-m",
                f"{source.name} {source.version}", timeout=LONG)
            git(staging, "tag", BASE_TAG)
            if tree.exists():
                tree.rmdir()
            staging.rename(tree)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    for patch in series.patches if series else []:
        try:
            git(tree, "am", "-q", "--keep-cr", str(patch.path))
        except InfrastructureError as error:
            raise UserError(
                f"patch {patch.name} does not apply to {source.name} {source.version}",
                hint=f"mend it in {tree} (`git am --show-current-patch`), then `git am --continue`",
            ) from error
    return True


def commits(tree: Path) -> list[str]:
    """Subjects of the commits above the base, oldest first; raises when the tree is not one."""
    if not (tree / ".git").exists():
        raise UserError(f"{tree} is no work tree of a series", hint="run `harness series edit`")
    return git(tree, "log", "--reverse", "--format=%s", f"{BASE_TAG}..HEAD").splitlines()


def save(tree: Path, directory: Path) -> list[str]:
    """Write the commits back as patch files; the names of those that changed.

    Raises :class:`UserError` when the tree has uncommitted changes or no commit.
    """
    if not commits(tree):
        raise UserError(f"{tree} has no commit above its base", hint="commit something first")
    if git(tree, "status", "--porcelain", "--untracked-files=no").strip():
        raise UserError(f"{tree} has uncommitted changes", hint="commit or stash them first")
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".save.", dir=directory) as scratch:
        git(tree, "format-patch", *FORMAT, "-o", scratch, f"{BASE_TAG}..HEAD")
        new = sorted(Path(scratch).glob("*.patch"))
        return _replace(new, directory)


def _replace(new: Sequence[Path], directory: Path) -> list[str]:
    """Put the new patches in the place of the old ones, touching only what differs."""
    names = [path.name for path in new]
    changed = []
    for path in new:
        target = directory / path.name
        if not target.exists() or target.read_bytes() != path.read_bytes():
            path.replace(target)
            changed.append(path.name)
    for old in directory.glob("[0-9][0-9][0-9][0-9]-*.patch"):
        if old.name not in names:
            old.unlink()
            changed.append(old.name)
    listing = directory / SERIES_FILE
    head = [
        line for line in (listing.read_text().splitlines() if listing.exists() else [])
        if line.startswith("#")
    ]
    text = "\n".join([*head, *names]) + "\n"
    if not listing.exists() or listing.read_text() != text:
        write_atomic(listing, text)
        changed.append(SERIES_FILE)
    return changed


def checkpatch(series: Series, source: Source) -> list[tuple[str, str]]:
    """What the tree's own ``checkpatch.pl --strict`` says of each patch, where it says anything.

    Raises :class:`UserError` when the tree has no checkpatch.
    """
    script = source.path / "scripts" / "checkpatch.pl"
    if not script.exists():
        raise UserError(f"{source.path} has no scripts/checkpatch.pl")
    said = []
    for patch in series.patches:
        output = capture(
            ["perl", str(script), "--strict", "--no-summary", "--terse", "--show-types",
             # New files of Documentation/ need no MAINTAINERS entry in a series out of tree.
             "--ignore", "FILE_PATH_CHANGES", f"--root={source.path}", str(patch.path)],
            check=False, timeout=LONG,
        )
        lines = [line for line in output.splitlines() if re.search(r"(ERROR|WARNING|CHECK):", line)]
        if lines:
            said.append((patch.name, "\n".join(lines)))
    return said


def first_bad(count: int, is_bad: Callable[[int], bool]) -> int:
    """The smallest number of patches (1 to ``count``) at which ``is_bad`` holds, by bisection.

    0 when it holds without any patch; raises :class:`UserError` when it never does.
    """
    if is_bad(0):
        return 0
    if not is_bad(count):
        raise UserError(f"the command succeeds with all {count} patches", hint="nothing to bisect")
    good, bad = 0, count
    while bad - good > 1:
        middle = (good + bad) // 2
        if is_bad(middle):
            bad = middle
        else:
            good = middle
    return bad
