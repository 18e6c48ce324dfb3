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

from harness.core import digest
from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import capture, need
from harness.core.progress import Progress
from harness.core.workspace import write_atomic
from harness.kernel.series import plumbing
from harness.kernel.series.patches import SERIES_FILE, Series, listed
from harness.kernel.series.provenance import FILE, Provenance
from harness.kernel.source.sources import Source

BASE_TAG = "base"
IDENTITY_HINT = 'git config --global user.name "Your Name" and user.email you@example.org'
IN_PROGRESS = ("rebase-apply", "rebase-merge", "CHERRY_PICK_HEAD", "MERGE_HEAD", "REVERT_HEAD")
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


def tree_name(base: str, series: str) -> str:
    """Names the work tree of a series on a base: those of two series are two."""
    slug = re.sub(r"[^\w.+-]+", "-", series).strip("-")
    return f"{base}+{slug}-{digest.key([base, series])[:6]}"


def missing_identity() -> str:
    """Why git would refuse to commit; empty when it knows who commits."""
    try:
        for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            capture(["git", "var", who], env={**os.environ, "LC_ALL": "C"})
    except InfrastructureError as error:
        lines = [line for line in error.excerpt.splitlines() if line.startswith("fatal: ")]
        return lines[-1].removeprefix("fatal: ") if lines else "it does not know who commits"
    return ""


def identity() -> str:
    """Who commits, as ``Name <address>``; raises when git does not know."""
    said = capture(["git", "var", "GIT_AUTHOR_IDENT"], env={**os.environ, "LC_ALL": "C"})
    return said.rpartition(">")[0] + ">"


def edit(
    series: Series | None, source: Source, tree: Path, progress: Progress,
    directory: Path | None = None,
) -> bool:
    """Make the work tree of a series, or leave the one that is there; whether it was made.

    ``directory`` is where the series' patch files are; None for one from a mailbox.

    Raises :class:`UserError` when git does not know who commits, when the tree is that of
    another series, and when a patch does not apply; the tree then stands at the last one that
    did, with `git am` in progress, for the user to mend.
    """
    if (tree / ".git").exists():
        _check_owner(tree, directory)
        return False
    if why := missing_identity():
        raise UserError(f"git cannot commit here: {why}", hint=IDENTITY_HINT)
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
            made_of = Provenance.of_files(directory) if directory else Provenance(directory="")
            made_of.write(staging)
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


def unsaved(tree: Path, directory: Path) -> list[str]:
    """In words, how a work tree and the patch files of its series differ; empty when they do not.

    Patches that `series save` would write, and files that changed since the tree was made.
    """
    said = []
    known = Provenance.read(tree)
    if known and (changed := known.changes(Provenance.of_files(directory))):
        said.append(f"the patch files changed since the tree was made: {', '.join(changed)}")
    if stopped := _in_progress(tree):
        said.append(f"a {stopped} is in progress in the tree")
    if git(tree, "status", "--porcelain", "--untracked-files=no").strip():
        said.append("the tree has uncommitted changes")
    with tempfile.TemporaryDirectory(prefix="harness-series.") as scratch:
        new = {path.name: path for path in _format(tree, Path(scratch))}
        old = listed(directory / SERIES_FILE)
        differ = [
            name for name in sorted({*new, *old})
            if name not in old or name not in new or not (directory / name).is_file()
            or (directory / name).read_bytes() != new[name].read_bytes()
        ]
    if differ:
        said.append(f"tree and files differ: {', '.join(differ)}")
    return said


def save(tree: Path, directory: Path, *, drop: bool = False) -> list[str]:
    """Write the commits back as patch files; the names of those that changed.

    Raises :class:`UserError` when the tree has uncommitted changes or no commit, is that of
    another series, when the patch files changed since it was made, and, unless ``drop``, when
    there would be fewer patches than before.
    """
    subjects = commits(tree)
    if stopped := _in_progress(tree):
        raise UserError(
            f"a {stopped} is in progress in {tree}: commits are missing", hint="end it first"
        )
    if not subjects:
        raise UserError(f"{tree} has no commit above its base", hint="commit something first")
    if git(tree, "status", "--porcelain", "--untracked-files=no").strip():
        raise UserError(f"{tree} has uncommitted changes", hint="commit or stash them first")
    _check_owner(tree, directory)
    known, now = Provenance.read(tree), Provenance.of_files(directory)
    if known and known.directory and (changed := known.changes(now)):
        raise UserError(
            f"the patch files in {directory} changed since {tree} was made: {', '.join(changed)}",
            hint=f"to keep the files, remove the tree and `harness series edit` anew; to keep the "
            f"tree, remove {tree / '.git' / FILE} and save again",
        )
    if not drop and len(subjects) < len(now.patches):
        raise UserError(
            f"{tree} has {len(subjects)} commits, the series in {directory} has "
            f"{len(now.patches)} patches: {len(now.patches) - len(subjects)} would be dropped",
            hint="if that is meant, say so with --drop",
        )
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".save.", dir=directory) as scratch:
        changed = _replace(_format(tree, Path(scratch)), directory, list(now.patches))
    Provenance.of_files(directory).write(tree)
    return changed


def _format(tree: Path, into: Path) -> list[Path]:
    """The commits of a work tree as patch files."""
    git(tree, "format-patch", *FORMAT, "-o", str(into), f"{BASE_TAG}..HEAD")
    return sorted(into.glob("*.patch"))


def _in_progress(tree: Path) -> str:
    """What git has begun in a tree and not ended, so that its commits are not all there."""
    for name in IN_PROGRESS:
        if (tree / ".git" / name).exists():
            return "git am or rebase" if name.startswith("rebase") else "merge or cherry-pick"
    return ""


def _check_owner(tree: Path, directory: Path | None) -> None:
    """Raise :class:`UserError` when a work tree was made of another series."""
    known = Provenance.read(tree)
    if directory is None or known is None or not known.directory:
        return
    if Path(known.directory) != directory.resolve():
        raise UserError(
            f"{tree} is a work tree of the series in {known.directory}, not of {directory}",
            hint="name another directory with --tree",
        )


def _replace(new: Sequence[Path], directory: Path, old: Sequence[str]) -> list[str]:
    """Put the new patches in the place of the old ones, touching only what differs.

    ``old`` are those that the series listed: other patches in its directory are not its own.
    """
    names = [path.name for path in new]
    changed = []
    for path in new:
        target = directory / path.name
        if not target.exists() or target.read_bytes() != path.read_bytes():
            path.replace(target)
            changed.append(path.name)
    for name in old:
        if name not in names:
            (directory / name).unlink(missing_ok=True)
            changed.append(name)
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
    # New files of Documentation/ need no MAINTAINERS entry in a series out of tree.
    ignored = ["FILE_PATH_CHANGES"]
    if not _has_history(source.path):
        ignored.append("UNKNOWN_COMMIT_ID")
    said = []
    for patch in series.patches:
        code, output = plumbing.run(
            ["perl", str(script), "--strict", "--no-summary", "--terse", "--show-types",
             "--ignore", ",".join(ignored), f"--root={source.path}", str(patch.path)], source.path,
        )
        if code not in (0, 1):
            raise InfrastructureError(f"checkpatch.pl ended with {code}: {output[-500:].strip()}")
        lines = [line for line in output.splitlines() if re.search(r"(ERROR|WARNING|CHECK):", line)]
        if lines:
            said.append((patch.name, "\n".join(lines)))
    return said


def _has_history(tree: Path) -> bool:
    """Whether a tree is a repository in which the commits that a message names can be found."""
    if not (tree / ".git").exists():
        return False
    return capture(
        [need("git"), "rev-parse", "--is-shallow-repository"], cwd=tree, check=False,
    ).strip() == "false"


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
