"""Made-up outputs of the profile plugin, and symbols for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from harness.measure.profiles import rawfile
from harness.measure.profiles.symbols import Symbols, load

TEXT = 0xFFFFFFFF81000000
FUNCTIONS = {
    "entry_SYSCALL_64": 0x000, "do_work": 0x100, "clear_page": 0x200, "do_work.cold": 0x300,
    "asm_sysvec_apic_timer_interrupt": 0x400, "tick": 0x500, "__switch_to_asm": 0x600,
    "asm_exc_page_fault": 0x700, "handle_mm_fault": 0x800,
}


def write_map(path: Path, functions: Mapping[str, int] | None = None) -> Symbols:
    """A System.map, and what is read of it."""
    found = FUNCTIONS if functions is None else functions
    path.write_text("".join([
        f"{TEXT:016x} T _stext\n",
        *(f"{TEXT + at:016x} t {name}\n" for name, at in found.items()),
        f"{TEXT + 0x1000:016x} T _etext\n", f"{TEXT + 0x2000:016x} D some_data\n",
    ]))
    return load(path)


def site(
    name: str, at: int, slot: int, *, kind: int = 0, operations: int = 0
) -> tuple[int, ...]:
    """An instruction of a function."""
    return (TEXT + FUNCTIONS[name] + at, kind, 4, slot, operations)


class ProfileFile:
    """Writes what the plugin would write."""

    def __init__(self, path: Path, *, vcpus: int = 2) -> None:
        self.path = path
        self.vcpus = vcpus
        path.write_bytes(rawfile.HEADER.pack(rawfile.MAGIC, vcpus, 0))

    def _record(self, tag: bytes, payload: bytes) -> None:
        with self.path.open("ab") as stream:
            stream.write(rawfile.RECORD.pack(tag, 0, len(payload)) + payload)

    def sites(self, *sites: tuple[int, ...]) -> None:
        """Instructions that were translated."""
        self._record(rawfile.SITES, np.array(list(sites), rawfile.SITE).tobytes())

    def nodes(self, *nodes: tuple[int, int, int]) -> None:
        """Parent, function (index of its entry), kind of each node."""
        rows = [(*node, 0) for node in nodes]
        self._record(rawfile.NODES, np.array(rows, rawfile.NODE).tobytes())

    def window(
        self, counts: Mapping[tuple[int, int], int], *, number: int = 1, series: int = 1,
        nth: int = 0, user: Sequence[int] = (0, 0),
        visits: Mapping[int, tuple[int, int]] | None = None, torn: bool = False,
    ) -> None:
        """A window: (slot, vcpu) to value, node to calls and own instructions."""
        flags = (rawfile.FOLLOWED if visits is not None else 0) | (rawfile.TORN if torn else 0)
        rows = [(slot, vcpu, value) for (slot, vcpu), value in counts.items()]
        seen = [(node, 0, *values) for node, values in (visits or {}).items()]
        self._record(rawfile.WINDOWS, b"".join([
            rawfile.WINDOW.pack(number, series, nth, flags, len(rows), len(seen)),
            np.array(user, "<u8").tobytes(), np.array(rows, rawfile.COUNT).tobytes(),
            np.array(seen, rawfile.VISIT).tobytes(),
        ]))
