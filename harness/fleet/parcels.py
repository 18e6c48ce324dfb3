"""What a boot is made from, on its way to workers: named by its content, fetched once per host.

A worker looks into its own workspace first. Where the same files lie in it already (a worker on
the client's computer shares its workspace) nothing is copied. Otherwise one worker of the host
asks the client, which sends the files in pieces through the scheduler: workers need not reach the
client, nor the client the workers. What came is compared with its SHA-256 before it is published.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from filelock import FileLock, Timeout

from harness.core import digest
from harness.core.errors import InfrastructureError
from harness.core.workspace import Workspace, require_space

FOLDER = "fleet"
PIECE = 8 * 2**20
ASK_AGAIN_S = 10.0
GIVE_UP_S = 300.0
"""Without a single piece."""


@dataclass(frozen=True)
class ParcelFile:
    """One file: its name in its directory, and what is in it."""

    name: str
    size: int
    mode: int
    sha256: str


@dataclass(frozen=True)
class Parcel:
    """Files of one directory."""

    place: str
    """Where a workspace may have them already, such as ``builds/KEY``."""
    files: tuple[ParcelFile, ...]

    @cached_property
    def ident(self) -> str:
        """A digest of the files' names, modes and contents."""
        return digest.key([[one.name, one.mode, one.sha256] for one in self.files])

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.size for one in self.files)


@dataclass(frozen=True)
class Piece:
    """A part of a file, compressed; parts that are all zeros are never sent."""

    parcel: str
    name: str
    at: int
    data: bytes
    last: bool = False
    """Nothing comes after it."""


def pack(workspace: Workspace, directory: Path, names: Sequence[str] | None = None) -> Parcel:
    """The parcel of some files of a directory, of all if none are named."""
    chosen = names if names is not None else sorted(
        path.name for path in directory.iterdir() if path.is_file() and path.name[:1] != "."
    )
    inside = directory.is_relative_to(workspace.root)
    place = str(directory.relative_to(workspace.root)) if inside else ""
    sums = _digests(workspace, directory, chosen)
    return Parcel(place, tuple(
        ParcelFile(name, (directory / name).stat().st_size,
                   (directory / name).stat().st_mode & 0o777, sums[name])
        for name in chosen
    ))


def pieces(parcel: Parcel, directory: Path) -> Iterator[Piece]:
    """What is sent of a parcel whose files lie in a directory."""
    for one in parcel.files:
        with (directory / one.name).open("rb") as stream:
            at = 0
            while data := stream.read(PIECE):
                if data.strip(b"\0"):
                    yield Piece(parcel.ident, one.name, at, zlib.compress(data, 1))
                at += len(data)
    yield Piece(parcel.ident, "", 0, b"", last=True)


@dataclass
class _Inbox:
    """Where the pieces of a parcel go while it is on its way."""

    directory: Path
    whole: threading.Event = field(default_factory=threading.Event)
    moved: float = field(default_factory=time.monotonic)


_inboxes: dict[str, _Inbox] = {}  # of this process


def take(piece: Piece) -> bool:
    """Put a piece where it belongs, in the worker's process; False where nobody waits for it."""
    inbox = _inboxes.get(piece.parcel)
    if inbox is None:
        return False
    inbox.moved = time.monotonic()
    if piece.last:
        inbox.whole.set()
        return True
    with (inbox.directory / piece.name).open("r+b") as stream:
        stream.seek(piece.at)
        stream.write(zlib.decompress(piece.data))
    return True


def fetch(
    workspace: Workspace, parcel: Parcel, ask: Callable[[str], None], check: Callable[[], None]
) -> Path:
    """The directory that holds a parcel's files, on a worker.

    ``ask`` tells the client that the parcel of that ident is wanted here; ``check`` raises when
    waiting has no purpose any more. Raises :class:`InfrastructureError` when nothing comes.
    """
    found = _own(workspace, parcel) or workspace.published(FOLDER, parcel.ident)
    if found:
        return found
    require_space(workspace.root, parcel.size, f"{parcel.place or 'a program'} of the client")
    lock = FileLock(workspace.dir("locks") / f"{FOLDER}-{parcel.ident}.lock")
    end = time.monotonic() + GIVE_UP_S
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            check()
            if time.monotonic() > end:
                break  # its holder is frozen: two copies do no harm
    try:
        found = workspace.published(FOLDER, parcel.ident)
        return found or _receive(workspace, parcel, ask, check)
    finally:
        lock.release()


def _receive(
    workspace: Workspace, parcel: Parcel, ask: Callable[[str], None], check: Callable[[], None]
) -> Path:
    with workspace.publish(FOLDER, parcel.ident) as staging:
        for one in parcel.files:
            with (staging / one.name).open("wb") as stream:
                stream.truncate(one.size)
        inbox = _inboxes[parcel.ident] = _Inbox(staging)
        try:
            _wait(inbox, parcel, ask, check)
        finally:
            del _inboxes[parcel.ident]
        for one in parcel.files:
            if digest.of_file(staging / one.name) != one.sha256:
                raise InfrastructureError(f"{one.name} of {parcel.place} came damaged")
            (staging / one.name).chmod(one.mode)
    return workspace.dir(FOLDER, parcel.ident)


def _wait(
    inbox: _Inbox, parcel: Parcel, ask: Callable[[str], None], check: Callable[[], None]
) -> None:
    asked = 0.0
    while not inbox.whole.wait(0.2):
        check()
        silent = time.monotonic() - inbox.moved
        if silent > GIVE_UP_S:
            raise InfrastructureError(
                f"the client sent nothing of {parcel.place} for {GIVE_UP_S:.0f} s"
            )
        if not asked or (silent > ASK_AGAIN_S and time.monotonic() - asked > ASK_AGAIN_S):
            asked = time.monotonic()
            ask(parcel.ident)


def _own(workspace: Workspace, parcel: Parcel) -> Path | None:
    """Where the workspace has the same files by itself."""
    found = workspace.published(*parcel.place.split("/")) if parcel.place else None
    names = [one.name for one in parcel.files]
    if found is None or not all((found / name).is_file() for name in names):
        return None
    sums = _digests(workspace, found, names)
    same = all(sums[one.name] == one.sha256 for one in parcel.files)
    return found if same else None


def _digests(workspace: Workspace, directory: Path, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of files; remembered, for a file system of gigabytes takes seconds."""
    memo = f"content-{digest.key(str(directory))}"
    known = workspace.read_state(memo)
    found: dict[str, str] = {}
    fresh = dict(known)
    for name in names:
        status = (directory / name).stat()
        stamp = f"{status.st_size}-{status.st_mtime_ns}"
        before = known.get(name)
        if isinstance(before, list) and before[0] == stamp:
            found[name] = str(before[1])
        else:
            found[name] = digest.of_file(directory / name)
            fresh[name] = [stamp, found[name]]
    if fresh != known:
        workspace.write_state(memo, fresh)
    return found
