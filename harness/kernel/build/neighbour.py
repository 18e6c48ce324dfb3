"""A variant's first object tree: a copy of its nearest neighbour's of the same base.

kbuild knows for each object which symbols and files it was made from. Begun as a copy of the
objects of another variant, a tree compiles what asks for a symbol that differs or includes a file
that differs, and nothing else; begun empty, it compiles everything.

kbuild compares times, so those must be right: a source file whose content differs from the
neighbour's must be younger than the copied objects, and one that is the same as old as the
neighbour's is. Nothing is copied where that cannot be had.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build import kconfig
from harness.kernel.build.kbuild import CONFIG_FILE, CONFIG_STAMP, WRAPPER
from harness.kernel.build.worktree import OBJ, RUNNING, WorkTree, changed, same_file

PREFIX = ".adopt."


@dataclass(frozen=True)
class Neighbour:
    """A variant whose objects could be begun with."""

    tree: WorkTree
    symbols: int
    """How many symbols its configuration has otherwise."""
    files: int
    """How many files its patches touch and ours do not, or the other way round."""


def lock_name(slot: str) -> str:
    """Of the lock that guards a work tree, from its place in the workspace."""
    return slot.replace("/", "-")


def adopt(workspace: Workspace, tree: WorkTree, progress: Progress) -> bool:
    """Fill the object tree of ``tree``, configured and still empty, from its nearest neighbour.

    Returns whether there was one. The caller holds the lock of ``tree``; neighbours that another
    harness is building are passed over.
    """
    for found in candidates(tree):
        slot = str(found.tree.slot.relative_to(workspace.root))
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(workspace.sole(lock_name(slot), "a build runs"))
            except UserError:
                continue
            if not _usable(tree, found.tree) or not align(tree, found.tree):
                continue
            with progress.task(
                f"beginning with the objects of {found.tree.slot.name}"
                f" ({found.symbols} symbols differ)"
            ):
                _copy(tree, found.tree)
            return True
    return False


def candidates(tree: WorkTree) -> list[Neighbour]:
    """The other variants of the base that have objects, the nearest first."""
    mine = kconfig.parse_config((tree.obj / CONFIG_FILE).read_text())
    state = tree.read_state()
    found = []
    for slot in sorted(tree.slot.parent.iterdir()):
        other = WorkTree(slot)
        if slot == tree.slot or not _usable(tree, other):
            continue
        theirs = kconfig.parse_config((other.obj / CONFIG_FILE).read_text())
        touched = other.read_state()
        assert state and touched
        found.append(Neighbour(
            other,
            sum(mine.get(name, "n") != theirs.get(name, "n") for name in {*mine, *theirs}),
            len({*state.touched} ^ {*touched.touched}),
        ))
    return sorted(found, key=lambda one: (one.symbols, one.files))


def _usable(tree: WorkTree, other: WorkTree) -> bool:
    """Whether a slot holds whole objects, of the same source and the same compiler's wrapper."""
    needed = (other.obj / "vmlinux", other.obj / CONFIG_FILE)
    if (other.obj / RUNNING).exists() or not all(path.is_file() for path in needed):
        return False
    mine, theirs = tree.read_state(), other.read_state()
    if mine is None or theirs is None:
        return False
    listed = mine.files is not None and theirs.files is not None
    return (listed or mine.origin == theirs.origin) and (
        _content(tree.obj / WRAPPER) == _content(other.obj / WRAPPER)
    )


def align(tree: WorkTree, other: WorkTree) -> bool:
    """Give the source files of ``tree`` the times that the objects of ``other`` call for.

    False, and nothing that matters was changed, where a symbolic link differs: make looks at
    what it leads to.
    """
    mine, theirs = tree.read_state(), other.read_state()
    assert mine and theirs
    doubtful = {*mine.touched, *theirs.touched, *changed(mine.files, theirs.files)}
    for name, here in _files(tree.src):
        path, peer = tree.src / name, other.src / name
        try:
            there = os.lstat(peer)
        except FileNotFoundError:
            _set_time(path, None)
            continue
        if here.st_ino == there.st_ino and here.st_dev == there.st_dev:
            continue
        if path.is_symlink() or peer.is_symlink():
            if not same_file(path, peer):
                return False
        elif name in doubtful or (here.st_size, here.st_mtime_ns) != (
            there.st_size, there.st_mtime_ns
        ):
            _set_time(path, there.st_mtime_ns if same_file(path, peer) else None)
    return True


def _files(top: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below ``top`` but the objects: its name, and what lstat says of it."""
    folders = [""]
    while folders:
        prefix = folders.pop()
        with os.scandir(top / prefix) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if prefix or entry.name != OBJ:
                        folders.append(f"{prefix}{entry.name}/")
                else:
                    yield prefix + entry.name, entry.stat(follow_symlinks=False)


def _set_time(path: Path, mtime_ns: int | None) -> None:
    """Set a file's time (None: now). It may share its inode with the pristine tree's."""
    if path.is_symlink():
        return
    if path.stat().st_nlink > 1:
        new = path.with_name(f".harness.{path.name}")
        new.unlink(missing_ok=True)
        shutil.copy2(path, new)
        new.rename(path)
    if mtime_ns is None:
        os.utime(path)
    else:
        os.utime(path, ns=(mtime_ns, mtime_ns))


def _copy(tree: WorkTree, other: WorkTree) -> None:
    """Put a copy of the neighbour's objects in the place of the empty ones, with our .config."""
    for left in tree.slot.glob(f"{PREFIX}*"):  # by a killed copy
        shutil.rmtree(left)
    staging = Path(tempfile.mkdtemp(prefix=PREFIX, dir=tree.slot))
    try:
        new = staging / OBJ
        done = subprocess.run(
            ["cp", "-a", "--reflink=auto", "--", str(other.obj), str(new)], capture_output=True,
            text=True, check=False, stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise UserError(f"cannot copy {other.obj}: {done.stderr.strip()[-200:]}")
        _rename(new, f"{other.src}/", f"{tree.src}/")
        for name in (CONFIG_FILE, CONFIG_STAMP, RUNNING):
            (new / name).unlink(missing_ok=True)
            if (tree.obj / name).exists():
                shutil.copyfile(tree.obj / name, new / name)
        shutil.rmtree(tree.obj)
        new.rename(tree.obj)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _rename(obj: Path, old: str, new: str) -> None:
    """Change the absolute path of the sources in the dependency files, which are no younger for it.

    The kernel itself has none; tools/ (objtool, on which every object depends) has.
    """
    for directory, _, names in os.walk(obj):
        for name in names:
            if not name.endswith((".cmd", ".d")):
                continue
            path = Path(directory, name)
            data = path.read_bytes()
            if old.encode() in data:
                times = path.stat()
                path.write_bytes(data.replace(old.encode(), new.encode()))
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _content(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
