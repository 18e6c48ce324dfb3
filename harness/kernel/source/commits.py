"""One commit of a git tree that belongs to the user, taken from git's objects alone.

The user's work tree, index and branches are neither read nor written: a commit is laid out in a
directory of the workspace with an index of our own, one directory a repository, so that the
next commit rewrites only the files in which it differs.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness.core import digest
from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import need
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.source.fetching import check_kernel_tree

LAYOUT_LIMIT = 900.0  # seconds: 80,000 files on a slow disk
EXECUTABLE, SYMLINK, SUBMODULE = "100755", "120000", "160000"


@dataclass(frozen=True)
class Repository:
    """A git repository of the user's; ``top`` is its work tree, or the bare repository itself."""

    top: Path
    git_dir: Path
    """The common directory: the same for every linked work tree."""

    @property
    def ident(self) -> str:
        """Names the repository in the workspace: commits of one ident are one lineage."""
        home = self.git_dir.parent if self.git_dir.name == ".git" else self.git_dir
        return f"{home.name}-{digest.key(str(self.git_dir))[:8]}"

    def git(self, *words: str, check: bool = True, timeout: float = 120.0) -> str:
        """Output of git; raises :class:`InfrastructureError` with git's own words."""
        return _git(["-C", str(self.top), *words], check=check, timeout=timeout)


@dataclass(frozen=True)
class Commit:
    """A commit of a repository."""

    repository: Repository
    ident: str
    """Its full id."""
    name: str
    """As the user called it."""
    subject: str

    @property
    def short(self) -> str:
        """Twelve digits, as kernel people cite commits."""
        return self.ident[:12]


def open_repository(path: Path) -> Repository:
    """The repository that a path lies in; raises :class:`UserError` when it lies in none."""
    place = path.expanduser().absolute()
    if not place.is_dir():
        raise UserError(f"there is no directory {place}", hint="name a git tree of the kernel")
    words = ["-C", str(place), "rev-parse", "--path-format=absolute"]
    try:
        common = _git([*words, "--git-common-dir"]).strip()
    except InfrastructureError as error:
        if "dubious ownership" in error.excerpt:
            raise UserError(
                f"git does not trust {place}: it belongs to another user",
                hint=f"git config --global --add safe.directory {place}",
            ) from error
        raise UserError(
            f"{place} is not in a git tree",
            hint="`harness build --source DIR` builds an unpacked one",
        ) from error
    bare = _git([*words, "--is-bare-repository"]).strip() == "true"
    top = Path(common) if bare else Path(_git([*words, "--show-toplevel"]).strip())
    return Repository(top, Path(common))


def find_commit(repository: Repository, revision: str) -> Commit:
    """The commit that a revision names; raises :class:`UserError` when there is none of it."""
    if not revision or revision.startswith("-"):
        raise UserError(f"'{revision}' is no revision", hint="name a commit, a branch or a tag")
    ident = repository.git(
        "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}",
        check=False,
    ).strip()
    if not ident:
        raise UserError(
            f"{repository.top} knows no revision '{revision}'",
            hint=_like(repository, revision),
        )
    subject = repository.git("log", "-1", "--format=%s", ident).strip()
    return Commit(repository, ident, revision, subject)


def _like(repository: Repository, revision: str) -> str:
    from harness.project.config import nearest  # noqa: PLC0415

    names = repository.git(
        "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", check=False
    ).split()
    close = nearest(revision, names) if names else ""
    return close if close.startswith("did you mean") else "`git fetch` may bring it"


def common_ancestor(one: Commit, two: Commit) -> str:
    """The id of the best common ancestor; empty when the two share no history."""
    return one.repository.git("merge-base", one.ident, two.ident, check=False).strip()


def commits_between(good: Commit, bad: Commit) -> list[Commit]:
    """First-parent commits after ``good`` up to ``bad``, oldest first.

    Raises :class:`UserError` when ``good`` is no ancestor of ``bad``.
    """
    repository = bad.repository
    if common_ancestor(good, bad) != good.ident:
        raise UserError(
            f"{good.name} is no ancestor of {bad.name}",
            hint="bisection follows the history from the first to the second",
        )
    lines = repository.git(
        "log", "--reverse", "--first-parent", "--format=%H %s", f"{good.ident}..{bad.ident}"
    ).splitlines()
    pairs = [line.split(" ", 1) for line in lines]
    return [
        Commit(repository, ident, ident[:12], subject[0] if subject else "")
        for ident, *subject in pairs
    ]


def files_of(commit: Commit) -> dict[str, str]:
    """Every file of a commit with git's name for its content.

    An executable's name starts with ``x``, a symbolic link's with ``l``, as in a listing of a
    directory (:mod:`harness.kernel.source.treedigest`).
    """
    found = {}
    text = commit.repository.git("ls-tree", "-r", "-z", "--full-tree", commit.ident)
    for entry in filter(None, text.split("\0")):
        head, _, name = entry.partition("\t")
        mode, _, blob = head.split(" ")
        if mode != SUBMODULE:
            found[name] = {EXECUTABLE: "x", SYMLINK: "l"}.get(mode, "") + blob
    return found


def lay_out(workspace: Workspace, commit: Commit, progress: Progress) -> tuple[Path, str]:
    """A directory with the files of the commit, and the kernel's version.

    The directory is the repository's and is rewritten for the next commit: the caller holds the
    repository's lock (:func:`lock_name`) while it reads from it. Raises :class:`UserError` when
    it is no kernel tree.
    """
    place = workspace.dir("sources", f"commits-{commit.repository.ident}")
    tree, index = place / "tree", place / "index"
    first = not tree.exists()
    tree.mkdir(exist_ok=True)
    Path(f"{index}.lock").unlink(missing_ok=True)  # of one that was killed; we hold the lock
    words = ["--git-dir", str(commit.repository.git_dir), "--work-tree", str(tree),
             "-c", "core.autocrlf=false", "-c", "core.attributesFile=/dev/null",
             "-c", "core.symlinks=true", "-c", "core.sparseCheckout=false",
             "read-tree", "--reset", "-u", commit.ident]
    title = f"laying out {commit.repository.top.name} at {commit.short}"
    with progress.task(title) if first else contextlib.nullcontext():
        _git(words, cwd=tree, index=index, timeout=LAYOUT_LIMIT)
    return tree, check_kernel_tree(tree)


def lock_name(commit: Commit) -> str:
    """The lock that guards the directory of a repository's commits."""
    return f"commits-{commit.repository.ident}"


def _git(
    words: list[str], *, cwd: Path | None = None, index: Path | None = None, check: bool = True,
    timeout: float = 120.0,
) -> str:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0",
        **({"GIT_INDEX_FILE": str(index)} if index else {}),
    }
    try:
        done = subprocess.run(
            [need("git"), *words], cwd=cwd, env=environment, capture_output=True,
            stdin=subprocess.DEVNULL, timeout=timeout, check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InfrastructureError(f"git gave no answer in {timeout:.0f} s") from error
    if check and done.returncode:
        raise InfrastructureError(
            f"`git {' '.join(words[:5])} ...` failed with exit code {done.returncode}",
            excerpt=done.stderr.decode(errors="replace").strip()[-2000:],
        )
    return os.fsdecode(done.stdout)
