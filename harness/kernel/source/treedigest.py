"""The content digest of a directory that belongs to the user, quick the second time.

A stat cache (path -> size, mtime, inode, digest) in the workspace spares the
reading of files that have not changed since they were read last.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from harness.core import digest
from harness.core.errors import InfrastructureError
from harness.core.workspace import Workspace, write_atomic

# A file written in the same clock tick in which it was read can change again
# without a visible sign; such an entry is not kept (git calls this "racy").
RACY_NS = 100_000_000
BUILT_DIRECTORIES = re.compile(r"(.*/)?(\.git|include/config|include/generated)$")
BUILT_SUFFIXES = frozenset(("o", "a", "ko", "mod", "cmd", "order", "d", "su", "gz", "orig", "rej"))
BUILT_FILES = re.compile(
    r"\.config(\.old)?|\.version|\.tmp_.*|\.missing-syscalls\.d|System\.map|Module\.symvers"
    r"|bzImage|.*\.mod\.c|vmlinux(\.(o|lds|map|relocs|unstripped|bin(\..*)?))?"
)


def listing(workspace: Workspace, tree: Path) -> tuple[dict[str, str], str]:
    """Every source file of ``tree`` with its digest, and the digest of them all.

    Files that git ignores (or, outside git, that a kernel build leaves behind)
    do not count. An executable's digest starts with ``x``, a symbolic link's
    with ``l``.
    """
    cache = workspace.dir("state") / f"tree-{digest.key(str(tree))}.json"
    known, known_total = _load(cache)
    taken = time.time_ns()
    files: dict[str, str] = {}
    entries: dict[str, list[int | str]] = {}
    fresh = 0
    top = f"{tree}/"
    for name in _names(tree):
        try:
            info = os.lstat(top + name)  # not Path: it costs a second for 80,000 files
        except OSError:
            continue  # in git's index but deleted
        if stat.S_ISDIR(info.st_mode):
            continue  # a submodule, or a nested repository
        seen = [info.st_size, info.st_mtime_ns, info.st_ino, info.st_mode]
        entry = known.get(name)
        if not isinstance(entry, list) or len(entry) != 5 or entry[:4] != seen:
            entry = [*seen, _content(top + name, info)]
            fresh += 1
        files[name] = str(entry[4])
        if info.st_mtime_ns < taken - RACY_NS:
            entries[name] = entry
    if known_total and not fresh and len(files) == len(known):
        return files, known_total
    total = digest.of_bytes("".join(f"{n}\0{files[n]}\n" for n in sorted(files)).encode())
    write_atomic(cache, json.dumps({"total": total, "files": entries}))
    return files, total


def _load(cache: Path) -> tuple[dict[str, list[int | str]], str]:
    try:
        value = json.loads(cache.read_text())
        return dict(value["files"]), str(value["total"])
    except (OSError, ValueError, TypeError, KeyError):
        return {}, ""


def _content(path: str, info: os.stat_result) -> str:
    if stat.S_ISLNK(info.st_mode):
        return "l" + digest.of_bytes(os.fsencode(os.readlink(path)))  # noqa: PTH115
    return ("x" if info.st_mode & stat.S_IXUSR else "") + digest.of_file(Path(path))


def _names(tree: Path) -> Iterator[str]:
    if (tree / ".git").exists():
        return _git_names(tree)
    return _walk(f"{tree}/")


def _git_names(tree: Path) -> Iterator[str]:
    done = subprocess.run(
        ["git", "-C", str(tree), "ls-files", "-co", "--exclude-standard", "-z", "--deduplicate"],
        capture_output=True, check=False, stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        # "dubious ownership" and the like: git says what to do.
        raise InfrastructureError(
            f"git cannot list {tree}", excerpt=done.stderr.decode(errors="replace").strip()
        )
    return (os.fsdecode(name) for name in done.stdout.split(b"\0") if name)


def _walk(top: str) -> Iterator[str]:
    """The same without git; quick, because there are 80,000 of them."""
    folders = [""]
    while folders:
        prefix = folders.pop()
        with os.scandir(top + prefix) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    if not BUILT_DIRECTORIES.match(prefix + name):
                        folders.append(f"{prefix}{name}/")
                elif not _is_built(name) and (
                    entry.is_file(follow_symlinks=False) or entry.is_symlink()
                ):
                    yield prefix + name


def _is_built(name: str) -> bool:
    """Whether a build leaves files of that name behind."""
    if name.rpartition(".")[2] in BUILT_SUFFIXES and "." in name:
        return True
    return (name[0] in ".SMbv" or name.endswith(".mod.c")) and bool(BUILT_FILES.fullmatch(name))
