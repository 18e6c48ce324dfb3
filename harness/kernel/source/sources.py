"""The pristine source tree of a base: fetched and kept, or a directory of the user's."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.core import digest
from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace, explain_full_disk, require_space
from harness.kernel.source import commits, debiantree, gittree, tarball, treedigest
from harness.kernel.source.fetching import Fetched, Job, Wanted, check_kernel_tree
from harness.project.bases import Base, CommitBase, DirBase
from harness.project.config import Project
from harness.records.kernels import SourceRecord

UNPACKED_SPACE = 3 * 2**30  # the package, the tarball inside it and 80,000 files


@dataclass(frozen=True)
class Source:
    """A source tree that nobody writes to.

    ``files`` is the listing (path -> digest) of a tree that belongs to the user
    and can change at any time; None for a published one.
    """

    name: str
    path: Path
    record: SourceRecord
    files: dict[str, str] | None = field(default=None, repr=False, compare=False)
    commit: commits.Commit | None = field(default=None, repr=False)
    """Of a git tree of the user's: what :func:`lay_out` puts at ``path``."""

    @property
    def version(self) -> str:
        """The package's version, or that of the tree's Makefile."""
        return self.record.version

    @property
    def digest(self) -> str:
        """What stands for its content in the keys of builds."""
        return self.record.digest


    def read(self, name: str) -> str:
        """The text of one of its files; empty when there is none of that name."""
        if self.commit is not None:
            return commits.file_of(self.commit, name)
        try:
            return (self.path / name).read_text(errors="replace")
        except OSError:
            return ""


def get_source(
    workspace: Workspace, project: Project, base_name: str, *, source_dir: Path | None = None,
    wanted: Wanted | None = None, progress: Progress | None = None, refresh: bool = False,
) -> Source:
    """The tree of a base, fetched if it is not there yet.

    ``refresh`` asks again for what is not pinned, and keeps what is there when that is
    what would be fetched. Raises :class:`UserError` for a directory that is no kernel
    tree and for what the fetcher of the base's kind raises.
    """
    progress, wanted = progress or Progress(-1), wanted or Wanted()
    base = project.base(base_name)
    found = find_source(workspace, project, base_name, source_dir=source_dir)
    if found and (not refresh or found.files is not None):
        return found
    with workspace.lock(_state_name(base), on_wait=lambda: progress.say(
        f"another harness is fetching {base_name}; waiting for it"
    )):
        # Somebody else may have fetched it while we waited.
        found = find_source(workspace, project, base_name)
        if found and not refresh:
            return found
        require_space(workspace.root, UNPACKED_SPACE, f"the source of {base_name}")
        wanted = replace(wanted, have=found.digest if found else "")
        with explain_full_disk(workspace.root), tempfile.TemporaryDirectory(
            prefix=".fetch.", dir=workspace.dir("sources")
        ) as scratch:
            fetched = FETCHERS[base.kind](Job(
                project, base_name, wanted, Path(scratch), progress, workspace.dir("downloads")
            ))
            if fetched is None:
                assert found is not None
                return found
            return _publish(workspace, base, base_name, fetched, progress)


FETCHERS: dict[str, Callable[[Job], Fetched | None]] = {
    "debian": debiantree.fetch, "git": gittree.fetch, "tarball": tarball.fetch,
}


def find_source(
    workspace: Workspace, project: Project, base_name: str, *, source_dir: Path | None = None
) -> Source | None:
    """The same without any download: None when the tree is not there yet."""
    base = project.base(base_name)
    if source_dir is None and isinstance(base, CommitBase):
        return _commit_tree(workspace, project, base_name, base)
    if source_dir is None and isinstance(base, DirBase):
        source_dir = project.path(base.path)
        if not source_dir.is_dir():
            raise UserError(
                f"bases.{base_name}: there is no directory {source_dir}",
                hint="`path` of that base in harness.toml names a kernel tree",
            )
    if source_dir is not None:
        return _user_tree(workspace, base_name, source_dir)
    known = workspace.read_state(_state_name(base))
    published = workspace.published("sources", str(known.get("directory") or "none"))
    if published is None:
        return None
    return Source(base_name, published / "tree", _remembered(known))


def _remembered(known: Mapping[str, object]) -> SourceRecord:
    """The record of a source that was fetched earlier."""
    old = known.get("origin")
    if not isinstance(old, dict):
        return SourceRecord.model_validate(known["record"])
    # As the first version of the harness wrote it: not worth a second download.
    details = {key: str(value) for key, value in old.items() if key not in ("kind", "version")}
    return SourceRecord(
        kind=str(old["kind"]), version=str(known["version"]), digest=str(known["digest"]),
        details=details,
    )


def _state_name(base: Base) -> str:
    """Names what harness.toml says of a source: another package or commit is another source."""
    return f"source-{digest.key(base.identity)}"


def _publish(
    workspace: Workspace, base: Base, base_name: str, fetched: Fetched, progress: Progress
) -> Source:
    """Put a fetched source below sources/ and remember it."""
    if workspace.published("sources", fetched.directory) is None:
        with progress.task(f"unpacking {fetched.directory}"), workspace.publish(
            "sources", fetched.directory
        ) as staging:
            fetched.unpack(staging)
    workspace.write_state(_state_name(base), {
        "directory": fetched.directory, "record": fetched.record.model_dump(),
    })
    tree = workspace.root / "sources" / fetched.directory / "tree"
    return Source(base_name, tree, fetched.record)


@contextlib.contextmanager
def held(workspace: Workspace, project: Project, base_name: str) -> Iterator[None]:
    """Surrounds the use of a source that is laid out anew for each commit: one user at a time.

    For any other kind of base it does nothing.
    """
    base = project.base(base_name)
    if not isinstance(base, CommitBase):
        yield
        return
    repository = commits.open_repository(project.path(base.path))
    with workspace.lock(commits.lock_name(repository)):
        yield


def commit_of(workspace: Workspace, project: Project, base: CommitBase) -> commits.Commit:
    """The commit that a base names; of a base without one the work tree as it is."""
    repository = commits.open_repository(project.path(base.path))
    if not base.commit:
        return commits.snapshot(workspace, repository, Progress(-1))
    return commits.find_commit(repository, base.commit)


def _commit_tree(
    workspace: Workspace, project: Project, base_name: str, base: CommitBase
) -> Source:
    commit = commit_of(workspace, project, base)
    record = SourceRecord(
        kind="commit", version=commits.kernel_version(commit), digest=commits.tree_of(commit),
        details={
            "path": commit.repository.ident, "commit": commit.ident, "name": commit.name,
            "subject": commit.subject,
        },
    )
    return Source(
        base_name, commits.place(workspace, commit), record, commits.files_of(commit), commit
    )


def lay_out(workspace: Workspace, source: Source, progress: Progress) -> None:
    """Put a commit's files where its source says they are; see :func:`held`.

    For any other kind of source they are there.
    """
    if source.commit is not None:
        commits.lay_out(workspace, source.commit, progress)


def _user_tree(workspace: Workspace, base_name: str, directory: Path) -> Source:
    path = directory.expanduser().absolute()
    version = check_kernel_tree(path)
    files, tree_digest = treedigest.listing(workspace, path)
    record = SourceRecord(
        kind="dir", version=version, digest=tree_digest, details={"path": str(path)}
    )
    return Source(base_name, path, record, files)
