"""The pristine source tree of a base: Debian's, or a directory of the user's."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.core import digest
from harness.core.config import Base, Project
from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import need, run_logged, tail
from harness.core.progress import Progress
from harness.core.workspace import Workspace, require_space
from harness.kernel import debian, treedigest
from harness.kernel.mirror import resolve_mirror, security_mirror

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
    mirror: str | None = None, progress: Progress | None = None, refresh: bool = False,
    keyring: Path = debian.KEYRING,
) -> Source:
    """The tree of a base, downloaded and unpacked if it is not there yet.

    Raises :class:`UserError` for a directory that is no kernel tree and for what
    :func:`harness.kernel.debian.fetch_package` raises.
    """
    progress = progress or Progress(-1)
    base = project.base(base_name)
    if (found := find_source(workspace, project, base_name, source_dir=source_dir)) and (
        not refresh or found.files is not None
    ):
        return found
    _check_debian(base, base_name)
    name = f"source-{base.suite}-{base.package}"
    with workspace.lock(name, on_wait=lambda: progress.say(
        f"another harness is fetching {base.package}; waiting for it"
    )):
        # Somebody else may have fetched it while we waited.
        if not refresh and (found := find_source(workspace, project, base_name)):
            return found
        chosen = resolve_mirror(project.config.mirror, mirror)
        progress.detail(f"mirror {chosen.url} (from {chosen.origin})")
        require_space(workspace.root, UNPACKED_SPACE, f"the source of {base_name}")
        package = debian.fetch_package(
            base.package, suite=base.suite, mirror=chosen.url, version=base.version,
            into=workspace.dir("downloads"), keyring=keyring, progress=progress,
            security=security_mirror(chosen, project.config.security_mirror) if base.security
            else "",
        )
        return _publish(workspace, base, base_name, package, progress)


def find_source(
    workspace: Workspace, project: Project, base_name: str, *, source_dir: Path | None = None
) -> Source | None:
    """The same without any download: None when a Debian tree is not there yet."""
    base = project.base(base_name)
    if source_dir is None and base.kind == "dir":
        if not base.path:
            raise UserError(f"base '{base_name}' has no `path`", hint="see harness.toml")
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


def _check_debian(base: Base, name: str) -> None:
    for key in ("suite", "package"):
        if not getattr(base, key):
            raise UserError(f"base '{name}' has no `{key}`", hint="see harness.toml")


def _state_name(base: Base) -> str:
    return f"source-{digest.key([base.suite, base.package, base.version, base.security])}"


def _publish(
    workspace: Workspace, base: Base, base_name: str, package: debian.Package, progress: Progress
) -> Source:
    """Unpack a linux-source package below sources/ and remember it."""
    directory = f"{package.name}_{package.version.replace(':', '%3a')}-{package.sha256[:12]}"
    origin = {
        "kind": "debian", "package": package.name, "version": package.version,
        "suite": package.suite, "mirror": package.mirror, "sha256": package.sha256,
    }
    if workspace.published("sources", directory) is None:
        title = f"unpacking {package.name} {package.version}"
        with progress.task(title), workspace.publish("sources", directory) as staging:
            _unpack(package, staging)
    package.path.unlink(missing_ok=True)  # verified, unpacked: 140 MB for nothing
    workspace.write_state(_state_name(base), {
        "directory": directory, "version": package.version, "digest": package.sha256,
        "origin": origin,
    })
    tree = workspace.root / "sources" / directory / "tree"
    return Source(base_name, tree, package.version, package.sha256, origin)


def _unpack(package: debian.Package, staging: Path) -> None:
    """Package -> tarball -> ``staging/tree``."""
    log = staging / "unpack.log"
    _step([need("dpkg-deb", package="dpkg"), "-x", str(package.path), str(staging / "deb")], log)
    tarballs = sorted(staging.glob("deb/usr/src/*.tar.*"))
    if not tarballs:
        raise UserError(
            f"{package.name} holds no source tarball", hint="is it a linux-source package?"
        )
    need("xz", package="xz-utils")
    (staging / "tree").mkdir()
    _step(["tar", "-C", str(staging / "tree"), "--strip-components=1", "--no-same-owner",
           "-xf", str(tarballs[0])], log)
    shutil.rmtree(staging / "deb")
    check_kernel_tree(staging / "tree")


def _step(argv: list[str], log: Path) -> None:
    if run_logged(argv, log):
        raise InfrastructureError(f"{Path(argv[0]).name} failed", excerpt=tail(log, 5))


def _user_tree(workspace: Workspace, base_name: str, directory: Path) -> Source:
    path = directory.expanduser().absolute()
    version = check_kernel_tree(path)
    files, tree_digest = treedigest.listing(workspace, path)
    origin = {"kind": "dir", "path": str(path), "digest": tree_digest}
    return Source(base_name, path, version, tree_digest, origin, files)


def check_kernel_tree(path: Path) -> str:
    """The version of the kernel tree at ``path``; :class:`UserError` if it is none."""
    try:
        lines = (path / "Makefile").read_text(errors="replace").splitlines()[:20]
    except OSError:
        lines = []
    words: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition("=")
        words[name.strip()] = value.strip()
    if "PATCHLEVEL" not in words or not all((path / f).is_file() for f in ("Kconfig", "Kbuild")):
        raise UserError(
            f"{path} is not a kernel source tree",
            hint="--source DIR wants the directory with the kernel's Makefile, Kconfig and Kbuild",
        )
    numbers = [words.get(key, "") for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL")]
    return ".".join(filter(None, numbers)) + words.get("EXTRAVERSION", "")
