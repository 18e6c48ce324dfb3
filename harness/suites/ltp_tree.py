"""An installed LTP tree on the host: found, understood, put on a read-only disk.

Installed means what upstream's ``make install`` leaves: ``runtest/`` with the lists of
tests and ``testcases/bin/`` with the programs. A tarball of one will do.
"""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from harness.core import digest
from harness.core.errors import UserError
from harness.core.proc import capture
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.image.disk import get_disk
from harness.project.config import nearest

HOW = (
    "name an installed one with --ltp DIR (or a tarball), or by path in [settings.ltp] of "
    "harness.toml; "
    "to make one: ./configure --prefix=DIR && make && make install in LTP's sources"
)


@dataclass(frozen=True)
class LtpTree:
    """A tree: where it is, what it contains, and the text of its runtest files."""

    path: Path
    digest: str
    runtest: dict[str, str]

    def suite(self, name: str) -> str:
        """The text of a runtest file; :class:`UserError` when there is none of that name."""
        if name not in self.runtest:
            raise UserError(f"LTP has no suite '{name}'", hint=nearest(name, self.runtest))
        return self.runtest[name]

    def disk(self, workspace: Workspace, progress: Progress) -> Path:
        """The disk that carries it."""
        return get_disk(workspace, "ltp", self.digest[:16], self._populate, progress)

    def _populate(self, root: Path) -> Path | None:
        if self.path.is_dir():
            return self.path
        top = _top(self.path)
        strip = [f"--strip-components={top.count('/')}"] if top else []
        capture(["tar", "-xf", str(self.path), "-C", str(root), *strip], timeout=600.0)
        return None


def open_tree(workspace: Workspace, path: Path | None) -> LtpTree:
    """Read a tree's lists and its content digest.

    Raises :class:`UserError` without a path, and for one that holds no installed LTP.
    """
    if path is None:
        raise UserError("no LTP tree", hint=HOW)
    path = path.expanduser().absolute()
    if path.is_dir():
        lists = path / "runtest"
        if not (path / "testcases/bin").is_dir() or not lists.is_dir():
            raise UserError(f"{path} is no installed LTP tree", hint=HOW)
        texts = {f.name: f.read_text(errors="replace") for f in lists.iterdir() if f.is_file()}
        return LtpTree(path, _tree_digest(workspace, path), texts)
    if not path.exists():
        raise UserError(f"{path} does not exist", hint=HOW)
    return LtpTree(path, digest.of_file(path), _read_archive(path))


def _read_archive(path: Path) -> dict[str, str]:
    top = _top(path) + "runtest/"
    texts = {}
    with tarfile.open(path) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if member.isfile() and name.startswith(top) and "/" not in name[len(top):]:
                stream = archive.extractfile(member)
                assert stream is not None
                texts[name[len(top):]] = stream.read().decode(errors="replace")
    return texts


def _top(path: Path) -> str:
    """The directory inside the archive that holds ``runtest/``: empty, or with a ``/`` at its end.

    Raises :class:`UserError` for a file that is no archive, or of something else.
    """
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                head, found, _ = f"/{member.name.removeprefix('./')}/".partition("/runtest/")
                if found:
                    return head.removeprefix("/") + "/" if head else ""
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{path} cannot be read as a tarball", hint=HOW) from error
    raise UserError(f"{path} holds no installed LTP tree", hint=HOW)


def _tree_digest(workspace: Workspace, path: Path) -> str:
    """The digest of a directory's content; read anew only when some file's stat changed."""
    stats = []
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            info = os.lstat(f"{folder}/{name}")
            stats.append((f"{folder}/{name}", info.st_size, info.st_mtime_ns, info.st_mode))
    seen, memo = digest.of_json(stats), f"ltp-{digest.key(str(path))}"
    known = workspace.read_state(memo)
    if known.get("stat") == seen:
        return str(known["digest"])
    content = [
        (name.removeprefix(str(path)), mode, str(Path(name).readlink()) if Path(name).is_symlink()
         else digest.of_file(Path(name)))
        for name, _, _, mode in stats
    ]
    found = digest.of_json(content)
    workspace.write_state(memo, {"stat": seen, "digest": found})
    return found
