"""A dump as QEMU writes it, made by hand: small, with registers and a page table."""

from __future__ import annotations

import struct

BLOCK = 4096
NOTES = 2 * BLOCK


def note(name: bytes, content: bytes) -> bytes:
    """An ELF note."""
    named = name + b"\0"
    parts = [struct.pack("<III", len(named), len(content), 0)]
    parts += [part + b"\0" * (-len(part) % 4) for part in (named, content)]
    return b"".join(parts)


def state(*, rip: int = 0, cr2: int = 0, cr3: int = 0, la57: bool = False) -> bytes:
    """QEMU's own note about a CPU."""
    registers = [0] * 18
    registers[16], registers[6] = rip, 0x1000
    control = struct.pack("<5Q", 0, 0, cr2, cr3, (1 << 12) if la57 else 0)
    content = struct.pack("<II18Q", 1, 440, *registers) + bytes(240) + control + bytes(8)
    return note(b"QEMU", content)


def whole(*states: bytes) -> bytes:
    """The file as crash wants it, as far as the harness reads it."""
    notes = b"".join([note(b"CORE", bytes(336)), *states])
    data = bytearray(NOTES + len(notes))
    data[:8] = b"KDUMP   "
    struct.pack_into("<i", data, 428, BLOCK)
    struct.pack_into("<QQ", data, BLOCK + 48, NOTES, len(notes))
    data[NOTES:] = notes
    return bytes(data)


def flattened(content: bytes, piece: int = 1000) -> bytes:
    """A file in pieces with their places, the last piece first."""
    pieces = [(at, content[at:at + piece]) for at in range(0, len(content), piece)]
    rows = [struct.pack(">qq", at, len(data)) + data for at, data in reversed(pieces)]
    return b"makedumpfile".ljust(4096, b"\0") + b"".join(rows) + struct.pack(">qq", -1, -1)
