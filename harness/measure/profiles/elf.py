"""The symbol table of an ELF image: which source file a function is from."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = np.dtype([
    ("name", "<u4"), ("type", "<u4"), ("flags", "<u8"), ("addr", "<u8"), ("offset", "<u8"),
    ("size", "<u8"), ("link", "<u4"), ("info", "<u4"), ("align", "<u8"), ("entsize", "<u8"),
])
_SYMBOL = np.dtype([
    ("name", "<u4"), ("info", "u1"), ("other", "u1"), ("section", "<u2"), ("value", "<u8"),
    ("size", "<u8"),
])
_EXCEPTION = np.dtype([("insn", "<i4"), ("fixup", "<i4"), ("data", "<i4")])  # since 5.16
_SYMTAB = 2
_FUNC, _FILE = 2, 4
_LOCAL = 0


def local_files(vmlinux: Path) -> dict[int, str]:
    """Address of a function to the name of its file, without directories.

    A linked image says of static functions which file they are from. A global one is given a
    file only where its neighbours on both sides are from one: objects lie side by side. Empty
    for what is no 64-bit ELF image with symbols.
    """
    data = vmlinux.read_bytes()
    symtab = _symtab(data)
    if symtab is None:
        return {}
    table, strings = symtab
    kinds, binds = table["info"] & 15, table["info"] >> 4
    files: dict[int, str] = {}
    current = ""
    for i in np.flatnonzero((binds == _LOCAL) & ((kinds == _FUNC) | (kinds == _FILE))):
        if kinds[i] == _FILE:
            current = _string(strings, int(table["name"][i]))
        elif current.endswith((".c", ".S")):
            files[int(table["value"][i])] = current
    globals_ = np.unique(table["value"][(binds != _LOCAL) & (kinds == _FUNC)])
    return _between(files, [int(address) for address in globals_])


def expected_faults(vmlinux: Path) -> list[int]:
    """Addresses of instructions that may fault in the kernel: its table of exceptions.

    Empty for an image without the table, or with one of a layout that is not known.
    """
    data = vmlinux.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        return []
    sections, names = _sections(data)
    for section in sections:
        if _string(names, int(section["name"])) != "__ex_table":
            continue
        start, size = int(section["offset"]), int(section["size"])
        if size % _EXCEPTION.itemsize:
            return []
        table = np.frombuffer(data, _EXCEPTION, size // _EXCEPTION.itemsize, start)
        first = int(section["addr"])
        return sorted({
            first + i * _EXCEPTION.itemsize + int(distance)
            for i, distance in enumerate(table["insn"])
        })
    return []


def _between(files: dict[int, str], addresses: list[int]) -> dict[int, str]:
    known = np.array(sorted(files), np.uint64)
    found = dict(files)
    if not len(known):
        return found
    for address in addresses:
        at = int(np.searchsorted(known, np.uint64(address)))
        if address not in files and 0 < at < len(known):
            below, above = files[int(known[at - 1])], files[int(known[at])]
            if below == above:
                found[address] = below
    return found


def _sections(data: bytes) -> tuple[np.ndarray[tuple[int], np.dtype[np.void]], bytes]:
    """Section headers, and their names."""
    header = _HEADER.unpack_from(data)
    sections = np.frombuffer(data, _SECTION, header[12], header[6])
    names = sections[header[13]]
    start = int(names["offset"])
    return sections, data[start:start + int(names["size"])]


def _symtab(data: bytes) -> tuple[np.ndarray[tuple[int], np.dtype[np.void]], bytes] | None:
    if data[:5] != b"\x7fELF\x02":
        return None
    sections, _ = _sections(data)
    for section in sections:
        if section["type"] == _SYMTAB:
            strings = sections[int(section["link"])]
            start = int(strings["offset"])
            count = int(section["size"]) // _SYMBOL.itemsize
            return (
                np.frombuffer(data, _SYMBOL, count, int(section["offset"])),
                data[start:start + int(strings["size"])],
            )
    return None


def _string(strings: bytes, at: int) -> str:
    return strings[at:strings.index(b"\0", at)].decode(errors="replace")
