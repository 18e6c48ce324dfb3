"""A dump of a guest's memory as QEMU writes it, made into a file that drgn and crash can open.

QEMU's kdump format is compressed and leaves out pages of zeros, so a guest of gigabytes becomes a
file of megabytes. It comes in makedumpfile's *flattened* form, pieces with their places, which
every QEMU can write to a stream; and its header does not say what machine it is of. Beside the
memory it holds a note about each CPU, with the control registers that no core file knows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import InfrastructureError

FLAT_HEADER = 4096
FLAT_SIGNATURE = b"makedumpfile\0"
SIGNATURE = b"KDUMP   "
UTSNAME, FIELD = 12, 65  # where the header's struct new_utsname is, and how long each of its fields
BLOCK_SIZE_AT = 428
NOTES_AT = 48  # in the sub-header: offset and size of the notes
_PIECE = struct.Struct(">qq")
_NOTE = struct.Struct("<III")
_QEMU_STATE = struct.Struct("<II18Q")  # version, size, rax .. r15, rip, rflags
_SEGMENTS = 10 * 24
LA57 = 1 << 12
RSP, RIP = 6, 16


@dataclass(frozen=True)
class CpuState:
    """Registers of one CPU as the emulator had them when the guest was stopped."""

    number: int
    rip: int
    rsp: int
    cr2: int
    """The last address that a page fault of this CPU was about."""
    cr3: int
    """The physical address of the page table that it used, with flags in the lowest bits."""
    levels: int = 4
    """Of that page table: 4, or 5 where cr4 says so."""


def unflatten(raw: Path, target: Path, release: str) -> None:
    """Put the pieces of a flattened dump into their places, and name the machine in its header.

    ``release`` is the kernel's. Raises :class:`InfrastructureError` for what is no such dump.
    """
    with raw.open("rb") as pieces, target.open("wb") as whole:
        if not pieces.read(FLAT_HEADER).startswith(FLAT_SIGNATURE):
            raise InfrastructureError(f"{raw} is not what QEMU writes as a dump")
        while True:
            head = pieces.read(_PIECE.size)
            if len(head) < _PIECE.size:
                raise InfrastructureError(f"{raw} ends in the middle of a piece")
            at, size = _PIECE.unpack(head)
            if at < 0:  # the end, in makedumpfile's words
                break
            data = pieces.read(size)
            if len(data) < size:
                raise InfrastructureError(f"{raw} ends in the middle of a piece")
            whole.seek(at)
            whole.write(data)
        names = [b"Linux", b"guest", release.encode(), b"#1", b"x86_64", b"(none)"]
        for number, name in enumerate(names):
            whole.seek(UTSNAME + FIELD * number)
            whole.write(name[: FIELD - 1].ljust(FIELD, b"\0"))


def cpus(dump: Path) -> list[CpuState]:
    """The registers of each CPU that QEMU left in a dump, in order; empty where it left none."""
    with dump.open("rb") as stream:
        header = stream.read(512)
        if not header.startswith(SIGNATURE):
            return []
        block = struct.unpack_from("<i", header, BLOCK_SIZE_AT)[0]
        stream.seek(block)
        offset, size = struct.unpack_from("<QQ", stream.read(block), NOTES_AT)
        stream.seek(offset)
        notes = stream.read(size)
    found: list[CpuState] = []
    at = 0
    while at + _NOTE.size <= len(notes):
        name_size, size, _ = _NOTE.unpack_from(notes, at)
        at += _NOTE.size
        name = notes[at:at + name_size].rstrip(b"\0")
        at += _aligned(name_size)
        if name == b"QEMU":
            found.append(_state(len(found), notes[at:at + size]))
        at += _aligned(size)
    return found


def _state(number: int, note: bytes) -> CpuState:
    """QEMU's own note about one CPU: registers, segments, cr0 to cr4."""
    words = _QEMU_STATE.unpack_from(note)[2:]
    control = struct.unpack_from("<5Q", note, _QEMU_STATE.size + _SEGMENTS)
    levels = 5 if control[4] & LA57 else 4
    return CpuState(number, words[RIP], words[RSP], control[2], control[3], levels)


def _aligned(size: int) -> int:
    return (size + 3) & ~3
