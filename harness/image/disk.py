"""Read-only disks that carry a test suite into a guest, made once per content.

A suite of some hundred megabytes copied over SSH would cost a TCG guest minutes at
every boot, and a guest that crashes is booted again; a disk costs nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from harness.core.errors import InfrastructureError
from harness.core.proc import look_in_sbin, need, run_logged, tail
from harness.core.progress import Progress
from harness.core.workspace import Workspace, require_space

HEAD_ROOM = 1.25  # inodes, directories and ext4's own tables
SMALLEST = 16 * 2**20
FILE_NAME = "disk.ext4"


def get_disk(
    workspace: Workspace, kind: str, key: str, populate: Callable[[Path], Path | None],
    progress: Progress,
) -> Path:
    """The disk ``kind``/``key``; ``populate`` fills a directory with its content if it is new.

    ``populate`` may return another directory instead, which is read and not changed.
    Raises :class:`InfrastructureError` when mke2fs fails and what ``populate`` raises.
    """
    found = workspace.published(f"disks/{kind}", key)
    if found is None:
        with workspace.lock(f"disk-{kind}"):
            found = workspace.published(f"disks/{kind}", key)
            if found is None:
                with workspace.publish(f"disks/{kind}", key) as staging:
                    root = staging / "root"
                    root.mkdir()
                    content = populate(root) or root
                    with progress.task(f"making the disk of {kind}"):
                        _make(workspace, content, staging / FILE_NAME)
                    shutil.rmtree(root)
                found = workspace.dir(f"disks/{kind}", key)
    return found / FILE_NAME


def _make(workspace: Workspace, root: Path, disk: Path) -> None:
    """An ext4 file of a directory."""
    look_in_sbin()
    need("mke2fs")
    sizes = [path.lstat().st_size for path in root.rglob("*")]
    size = sum(-(-bytes_ // 4096) * 4096 + 512 for bytes_ in sizes)
    space = SMALLEST + int(size * HEAD_ROOM)
    require_space(workspace.root, size, "the disk of a suite")
    with disk.open("wb") as stream:
        stream.truncate(space)
    argv = [
        "mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-N",
        str(len(sizes) + 100), "-E", "lazy_itable_init=1,root_owner=0:0", "-d", str(root),
        str(disk),
    ]
    if os.geteuid() != 0:
        argv = [need("fakeroot"), "--", *argv]
    log = workspace.dir("logs") / "disk.log"
    log.write_bytes(b"")
    if run_logged(argv, log) != 0:
        raise InfrastructureError(
            "making the disk of a suite failed", excerpt=tail(log, 8), log=log
        )
