"""The plugin's output: sites, nodes of call paths and windows. guest/plugin/profile.c writes it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import InfrastructureError

MAGIC = b"HPROFIL2"
HEADER = struct.Struct("<8sII")
RECORD = struct.Struct("<4sIQ")
WINDOW = struct.Struct("<IIIIQQ")
SITES, NODES, WINDOWS = b"SITE", b"NODE", b"WIND"

SITE = np.dtype([
    ("pc", "<u8"), ("kind", "<u4"), ("size", "<u4"), ("executed", "<u4"), ("operations", "<u4"),
])
NODE = np.dtype([("parent", "<u4"), ("function", "<u4"), ("kind", "<u4"), ("zero", "<u4")])
COUNT = np.dtype([("slot", "<u4"), ("vcpu", "<u4"), ("value", "<u8")])
VISIT = np.dtype([("node", "<u4"), ("zero", "<u4"), ("calls", "<u8"), ("self", "<u8")])

FOLLOWED, TORN = 1, 2

# Kinds of instruction: guest/plugin/x86.h.
CALL, RET, JMP, JCC = 0x1, 0x2, 0x4, 0x8
INDIRECT, LOCKED, REP, TLB = 0x10, 0x20, 0x40, 0x80
MSR, FENCE, IRET, IO, IRQFLAG = 0x100, 0x200, 0x400, 0x800, 0x1000
LOAD, STORE, IPI = 0x2000, 0x4000, 0x8000
WIDTH_SHIFT = 16

Array = NDArray[np.void]
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """One window: what moved between its marks."""

    number: int
    """That the program gave it, to tell its windows apart."""
    series: int
    """Counts the series of this boot from 1; windows of one repeat each other."""
    nth: int
    """Of the windows with this number in its series, from 0."""
    followed: bool
    """Whether call paths were kept."""
    torn: bool
    """Ended by the next one, or by the end of the guest."""
    user: NDArray[np.uint64]
    """Instructions outside the kernel, of each vCPU."""
    counts: Array
    """Of :data:`COUNT`: counters that moved."""
    visits: Array
    """Of :data:`VISIT`: nodes that were entered or ran; empty unless followed."""


@dataclass
class Raw:
    """What has been read of a plugin's output so far."""

    vcpus: int = 0
    sites: Array = field(default_factory=lambda: np.zeros(0, SITE))
    nodes: Array = field(default_factory=lambda: np.zeros(1, NODE))
    """Node 0 is the root, which is not in the file."""

    @property
    def slots(self) -> int:
        """One more than the highest counter that a site has."""
        if not len(self.sites):
            return 1
        names = ("executed", "operations")
        return 1 + max(int(self.sites[name].max()) for name in names)


class Reader:
    """Reads the output as it grows: each call of :meth:`windows` gives what has come since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.raw = Raw()
        self._at = 0

    def windows(self) -> Iterator[Window]:
        """The windows that have ended since the last call.

        Raises :class:`InfrastructureError` for a file that is no profile or is damaged; a
        record that is not wholly written yet is left for the next call.
        """
        try:
            stream = self.path.open("rb")
        except OSError as error:
            raise InfrastructureError(
                f"the profile plugin wrote nothing to {self.path}"
            ) from error
        with stream:
            if self._at == 0 and not self._header(stream):
                return
            stream.seek(self._at)
            while record := _record(stream):
                tag, payload = record
                self._at = stream.tell()
                if tag == SITES:
                    self.raw.sites = np.concatenate([self.raw.sites, _array(payload, SITE)])
                elif tag == NODES:
                    self.raw.nodes = np.concatenate([self.raw.nodes, _array(payload, NODE)])
                elif tag == WINDOWS:
                    yield self._window(payload)
                else:
                    raise InfrastructureError(f"{self.path} is damaged: a record {tag!r}")

    def _header(self, stream: BinaryIO) -> bool:
        data = stream.read(HEADER.size)
        if len(data) < HEADER.size:
            return False
        magic, self.raw.vcpus, _ = HEADER.unpack(data)
        if magic != MAGIC:
            raise InfrastructureError(f"{self.path} is not a profile of this harness")
        self._at = HEADER.size
        return True

    def _window(self, payload: bytes) -> Window:
        number, series, nth, flags, counts, visits = WINDOW.unpack_from(payload)
        ends = np.cumsum([WINDOW.size, 8 * self.raw.vcpus, COUNT.itemsize * counts,
                          VISIT.itemsize * visits])
        if ends[-1] != len(payload):
            raise InfrastructureError(f"{self.path} is damaged: a window of another length")
        return Window(
            number, series, nth, bool(flags & FOLLOWED), bool(flags & TORN),
            np.frombuffer(payload, "<u8", self.raw.vcpus, int(ends[0])).astype(np.uint64),
            np.frombuffer(payload, COUNT, counts, int(ends[1])),
            np.frombuffer(payload, VISIT, visits, int(ends[2])),
        )


def _record(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """The next record, or None where it has not been written to its end."""
    head = stream.read(RECORD.size)
    if len(head) < RECORD.size:
        return None
    tag, _, size = RECORD.unpack(head)
    payload = stream.read(size)
    return (tag, payload) if len(payload) == size else None


def _array(payload: bytes, kind: np.dtype[np.void]) -> Array:
    return np.frombuffer(payload, kind)
