"""The pristine source tree of a base: fetched and kept, or a directory of the user's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.core import digest
from harness.core.progress import Progress
from harness.core.workspace import Workspace, explain_full_disk, require_space
from harness.kernel.source import debiantree, gittree, tarball, treedigest
from harness.kernel.source.fetching import Fetched, Job, Wanted, check_kernel_tree
from harness.project.config import Project
from harness.project.tables import Base

UNPACKED_SPACE = 3 * 2**30  # the package, the tarball inside it and 80,000 files


@dataclass(frozen=True)
class Source:
    """A source tree that nobody writes to.

    ``files`` is the listing (path -> digest) of a tree that belongs to the user
    and can change at any time; None for a published one.
    """

    name: str
    path: Path
    version: str
    digest: str
    origin: dict[str, Any]
    files: dict[str, str] | None = field(default=None, repr=False, compare=False)


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
            fetched = FETCHERS[base.kind](Job(project, base_name, wanted, Path(scratch), progress))
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
    if source_dir is None and base.kind == "dir":
        source_dir = project.root / Path(base.path).expanduser()
    if source_dir is not None:
        return _user_tree(workspace, base_name, source_dir)
    known = workspace.read_state(_state_name(base))
    published = workspace.published("sources", str(known.get("directory") or "none"))
    if published is None:
        return None
    return Source(
        base_name, published / "tree", known["version"], known["digest"], known["origin"]
    )


def _state_name(base: Base) -> str:
    """Names what harness.toml says of a source: another package or commit is another source."""
    words: list[object] = [base.suite, base.package, base.version, base.security]
    if base.kind == "git":
        words = ["git", base.ref, base.commit, [] if base.commit else base.urls]
    elif base.kind == "tarball":
        words = ["tarball", base.sha256, [] if base.sha256 else base.urls]
    return f"source-{digest.key(words)}"


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
        "directory": fetched.directory, "version": fetched.version, "digest": fetched.digest,
        "origin": fetched.origin,
    })
    tree = workspace.root / "sources" / fetched.directory / "tree"
    return Source(base_name, tree, fetched.version, fetched.digest, fetched.origin)


def _user_tree(workspace: Workspace, base_name: str, directory: Path) -> Source:
    path = directory.expanduser().absolute()
    version = check_kernel_tree(path)
    files, tree_digest = treedigest.listing(workspace, path)
    origin = {"kind": "dir", "path": str(path), "digest": tree_digest}
    return Source(base_name, path, version, tree_digest, origin, files)
