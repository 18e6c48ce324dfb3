"""A series that is a range of commits in a git tree of the user's: BASE..TOPIC.

The commits are turned into patch files as `harness series save` would write them, in a directory
of the workspace that is named by the commits: after an amend it is another one. The user's tree is
only read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.core import digest
from harness.core.errors import UserError
from harness.core.workspace import Workspace, write_atomic
from harness.kernel.series.patches import SERIES_FILE, touched_files
from harness.kernel.series.seriestree import FORMAT
from harness.kernel.source.commits import Commit, find_commit, open_repository
from harness.project.tables import SeriesTable

RECIPE = 1  # goes up when commits are turned into patches in another way
PLAIN = (  # whatever the user has set for mails of their own
    "-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false", "-c", "diff.context=3",
    "-c", "format.signOff=false", "-c", "format.coverLetter=false", "-c", "format.thread=false",
    "-c", "format.subjectPrefix=PATCH", "-c", "format.notes=false",
)


@dataclass(frozen=True)
class Branch:
    """A range of commits, looked up."""

    base: Commit
    topic: Commit
    idents: tuple[str, ...]
    """Of its commits, oldest first."""

    @property
    def top(self) -> Path:
        """The user's work tree, or the bare repository."""
        return self.topic.repository.top

    def details(self) -> dict[str, str]:
        """For the record of a kernel."""
        return {
            "tree": str(self.top), "range": f"{self.base.name}..{self.topic.name}",
            "base": self.base.ident, "tip": self.topic.ident, "commits": str(len(self.idents)),
        }

    def uncommitted(self) -> bool:
        """Whether the branch is checked out and its work tree has changes that no commit has."""
        repository = self.topic.repository
        if repository.top == repository.git_dir:
            return False
        return find_commit(repository, "HEAD").ident == self.topic.ident and bool(
            repository.git("status", "--porcelain", "--untracked-files=no").strip()
        )


def find(wanted: SeriesTable, path: Path, name: str) -> Branch:
    """The commits that a series of kind ``git`` names; ``path`` is its git tree.

    Raises :class:`UserError` for a tree or revision that is not there, a range without a commit,
    merges among them, and another number of patches than harness.toml says.
    """
    repository = open_repository(path)
    below, dots, above = wanted.range.partition("..")
    if not dots or not below or ".." in above or above.startswith("."):
        raise UserError(
            f"series {name}: '{wanted.range}' is no range of commits", hint='range = "BASE..TOPIC"'
        )
    base, topic = find_commit(repository, below), find_commit(repository, above or "HEAD")
    span = f"{base.ident}..{topic.ident}"
    idents = tuple(repository.git("rev-list", "--reverse", "--topo-order", span).split())
    if not idents:
        raise UserError(
            f"series {name}: there is no commit in {wanted.range} of {repository.top}",
            hint="name the branch behind the dots, its base before them",
        )
    merges = repository.git("log", "--merges", "--format=%h %s", span).splitlines()
    if merges:
        raise UserError(
            f"series {name}: {wanted.range} holds a merge, which is no patch: {merges[-1]}",
            hint=f"git rebase {below} {above or 'HEAD'}",
        )
    if wanted.patches and len(idents) != wanted.patches:
        raise UserError(f"series {name} has {len(idents)} commits, not {wanted.patches}")
    return Branch(base, topic, idents)


def published(workspace: Workspace, branch: Branch) -> Path:
    """The directory of the branch's patch files with their ``series``; made if it is missing."""
    where = ("series", f"git-{digest.key([RECIPE, FORMAT, branch.idents])}")
    if found := workspace.published(*where):
        return found
    with workspace.lock("-".join(where)):
        if workspace.published(*where) is None:
            with workspace.publish(*where) as staging:
                _write(branch, staging)
    return workspace.root.joinpath(*where)


def _write(branch: Branch, into: Path) -> None:
    branch.topic.repository.git(
        *PLAIN, "format-patch", *FORMAT, "-o", str(into),
        f"{branch.base.ident}..{branch.topic.ident}", timeout=600.0,
    )
    files = sorted(into.glob("*.patch"))
    real = [path for path in files if touched_files(path.read_text(errors="surrogateescape"))]
    if len(real) != len(branch.idents):
        raise UserError(
            f"a commit in {branch.base.name}..{branch.topic.name} of {branch.top} changes no file",
            hint=f"git rebase --no-keep-empty {branch.base.name} drops it",
        )
    write_atomic(into / SERIES_FILE, "".join(f"{path.name}\n" for path in files))
