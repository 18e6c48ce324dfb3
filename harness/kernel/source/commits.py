"""One commit of a git tree that belongs to the user, taken from git's objects alone.

The user's work tree, index and branches are not touched: a commit is laid out in a directory of
the workspace with an index of our own, one directory a repository, so that the next commit
rewrites only the files in which it differs. The work tree with its uncommitted changes is a
snapshot whose new objects lie in the workspace, not in the user's repository.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core import digest
from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import need
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.source.fetching import makefile_version

LAYOUT_LIMIT = 900.0  # seconds: 80,000 files on a slow disk
EXECUTABLE, SYMLINK, SUBMODULE = "100755", "120000", "160000"


@dataclass(frozen=True)
class Repository:
    """A git repository of the user's; ``top`` is its work tree, or the bare repository itself."""

    top: Path
    git_dir: Path
    """The common directory: the same for every linked work tree."""
    objects: Path | None = None
    """Where objects of ours are, beside the repository's own."""

    @property
    def ident(self) -> str:
        """Names the repository in the workspace: commits of one ident are one lineage."""
        home = self.git_dir.parent if self.git_dir.name == ".git" else self.git_dir
        return f"{home.name}-{digest.key(str(self.git_dir))[:8]}"

    def git(self, *words: str, check: bool = True, timeout: float = 120.0) -> str:
        """Output of git; raises :class:`InfrastructureError` with git's own words."""
        return _git(
            ["-C", str(self.top), *words], objects=self.environment(), check=check,
            timeout=timeout,
        )

    def environment(self) -> dict[str, str]:
        """What makes git see the objects of ours."""
        if self.objects is None:
            return {}
        return {
            "GIT_OBJECT_DIRECTORY": str(self.objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.git_dir / "objects"),
        }


@dataclass(frozen=True)
class Commit:
    """A commit of a repository."""

    repository: Repository
    ident: str
    """Its full id; of a snapshot the id of its tree."""
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
            hint="name the tree: harness compare TREE BASE TIP, harness try SERIES --on TREE",
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


def snapshot(workspace: Workspace, repository: Repository, progress: Progress) -> Commit:
    """The work tree as it lies there, what is not committed and not ignored included.

    Raises :class:`UserError` for a bare repository.
    """
    if repository.top == repository.git_dir:
        raise UserError(f"{repository.top} is bare: it has no work tree", hint="name two commits")
    ours = workspace.dir("sources", f"commits-{repository.ident}")
    objects, index = ours / "objects", ours / f"snapshot-index-{os.getpid()}"
    objects.mkdir(exist_ok=True)
    mine = replace(repository, objects=objects)
    own_index = Path(repository.git(
        "rev-parse", "--path-format=absolute", "--git-path", "index").strip())
    Path(f"{index}.lock").unlink(missing_ok=True)
    if own_index.exists():  # what git knows of unchanged files spares the reading of them
        shutil.copy2(own_index, index)
    with progress.task(f"looking for uncommitted changes in {repository.top}"):
        words = ["-C", str(repository.top), "-c", "core.autocrlf=false"]
        _git([*words, "add", "-A"], index=index, objects=mine.environment(), timeout=LAYOUT_LIMIT)
        ident = _git([*words, "write-tree"], index=index, objects=mine.environment()).strip()
    index.unlink(missing_ok=True)
    head = find_commit(repository, "HEAD")
    if ident == repository.git("rev-parse", f"{head.ident}^{{tree}}").strip():
        return replace(head, name="the work tree (nothing uncommitted)")
    return Commit(mine, ident, "the work tree", f"uncommitted changes on {head.short}")


def changed(repository: Repository) -> bool:
    """Whether the work tree has anything that is not committed, and is not ignored.

    True of a bare repository: :func:`snapshot` says that it has none.
    """
    if repository.top == repository.git_dir:
        return True
    return bool(repository.git("--no-optional-locks", "status", "--porcelain").strip())


def is_content(path: Path, listed: str) -> bool:
    """Whether a file is what :func:`files_of` lists it as."""
    blob = listed.lstrip("xl")
    data = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
    kind = hashlib.sha1 if len(blob) == 40 else hashlib.sha256
    return kind(b"blob %d\0" % len(data) + data).hexdigest() == blob


def tree_of(commit: Commit) -> str:
    """The id of a commit's tree: commits that differ in their message only share it."""
    return commit.repository.git("rev-parse", f"{commit.ident}^{{tree}}").strip()


def file_of(commit: Commit, name: str) -> str:
    """The text of one file of a commit; empty when it has none of that name."""
    return commit.repository.git("show", f"{commit.ident}:{name}", check=False)


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


def place(workspace: Workspace, commit: Commit) -> Path:
    """Where :func:`lay_out` puts a commit's files."""
    return workspace.root / "sources" / f"commits-{commit.repository.ident}" / "tree"


def kernel_version(commit: Commit) -> str:
    """The version in its Makefile; raises :class:`UserError` when it is no kernel tree."""
    version = makefile_version(file_of(commit, "Makefile"))
    if not version:
        raise UserError(
            f"{commit.name} of {commit.repository.top} is not a kernel source tree",
            hint="name a git tree of the kernel",
        )
    return version


def lay_out(workspace: Workspace, commit: Commit, progress: Progress) -> Path:
    """A directory with the files of the commit.

    The directory is the repository's and is rewritten for the next commit: the caller holds the
    repository's lock (:func:`lock_name`) until it has read from it.
    """
    tree = place(workspace, commit)
    workspace.dir("sources", tree.parent.name)
    index = tree.parent / "index"
    first = not tree.exists()
    tree.mkdir(exist_ok=True)
    Path(f"{index}.lock").unlink(missing_ok=True)  # of one that was killed; we hold the lock
    words = ["--git-dir", str(commit.repository.git_dir), "--work-tree", str(tree),
             "-c", "core.autocrlf=false", "-c", "core.attributesFile=/dev/null",
             "-c", "core.symlinks=true", "-c", "core.sparseCheckout=false",
             "read-tree", "--reset", "-u", commit.ident]
    title = f"laying out {commit.repository.top.name} at {commit.short}"
    with progress.task(title) if first else contextlib.nullcontext():
        _git(words, cwd=tree, index=index, objects=commit.repository.environment(),
             timeout=LAYOUT_LIMIT)
    return tree


def lock_name(repository: Repository) -> str:
    """The lock that guards the directory of a repository's commits."""
    return f"commits-{repository.ident}"


def _git(
    words: list[str], *, cwd: Path | None = None, index: Path | None = None,
    objects: Mapping[str, str] | None = None, check: bool = True, timeout: float = 120.0,
) -> str:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0",
        **({"GIT_INDEX_FILE": str(index)} if index else {}), **(objects or {}),
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
