"""Modelled caches: which, how the plugin is told, and what it found. See guest/plugin/caches.c."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.core import sizes
from harness.core.errors import InfrastructureError, UserError
from harness.records.costs import CacheSize, CacheSizes

MAGIC = b"HCACHES1"
HEAD = struct.Struct("<4sIIIII9Q")
PLACE = np.dtype([
    ("pc", "<u8"), ("l1d_misses", "<u4"), ("l1i_misses", "<u4"), ("l2_misses", "<u4"),
    ("string_lines", "<u4"), ("mispredicted", "<u4"), ("zero", "<u4"),
])
HOST = "host"
EXAMPLE = "48K/12,32K/8,2M/16"
_SYSFS = Path("/sys/devices/system/cpu/cpu0/cache")
_LINE = 64
_MOST_WAYS = 64


def parse(text: str) -> CacheSizes:
    """``host`` or L1d, L1i and L2 as ``SIZE/WAYS``, such as :data:`EXAMPLE`.

    Raises :class:`UserError` for anything else, and for a cache whose sets are not a power of 2.
    """
    if text == HOST:
        return of_host()
    words = text.split(",")
    if len(words) != 3:
        raise UserError(
            f"--caches {text!r} is not three caches", hint=f"write {HOST} or {EXAMPLE}"
        )
    l1d, l1i, l2 = (_one(word) for word in words)
    return CacheSizes(l1d=l1d, l1i=l1i, l2=l2)


def _one(text: str) -> CacheSize:
    size, _, ways = text.partition("/")
    if not ways.isdecimal() or not 0 < int(ways) <= _MOST_WAYS:
        raise UserError(
            f"--caches: {text!r} does not say its ways", hint=f"write {HOST} or {EXAMPLE}"
        )
    return _checked(sizes.parse(size, "--caches", unit=1), int(ways), text)


def _checked(size: int, ways: int, text: str) -> CacheSize:
    sets, rest = divmod(size, ways * _LINE)
    if rest or sets < 1 or sets & (sets - 1):
        raise UserError(
            f"--caches: {text} has no power of 2 sets of {ways} lines of {_LINE} bytes",
            hint=f"write {HOST} or {EXAMPLE}",
        )
    return CacheSize(bytes=size, ways=ways)


def of_host(directory: Path = _SYSFS) -> CacheSizes:
    """The caches of this host's first CPU.

    Raises :class:`UserError` for a host that does not say, or has others than the model can be.
    """
    found: dict[tuple[str, str], CacheSize] = {}
    for index in sorted(directory.glob("index*")):
        try:
            level, kind, size, ways = (
                (index / name).read_text().strip()
                for name in ("level", "type", "size", "ways_of_associativity")
            )
        except OSError:
            continue
        if level in ("1", "2"):
            found[level, kind] = _checked(
                sizes.parse(size, "a cache of this host", unit=1), int(ways), f"{size}/{ways}"
            )
    try:
        return CacheSizes(
            l1d=found["1", "Data"], l1i=found["1", "Instruction"], l2=found["2", "Unified"]
        )
    except KeyError as error:
        raise UserError(
            "this host does not say which caches it has", hint=f"name them: --caches {EXAMPLE}"
        ) from error


@dataclass(frozen=True)
class CacheSpec:
    """How to load the plugin that models caches into one guest."""

    library: Path
    output: Path
    caches: CacheSizes

    def qemu_args(self) -> list[str]:
        """The words for QEMU's command line."""
        parts = [str(self.library), f"out={self.output}"] + [
            f"{name}={one.bytes}/{one.ways}" for name, one in (
                ("l1d", self.caches.l1d), ("l1i", self.caches.l1i), ("l2", self.caches.l2)
            )
        ]
        return ["-plugin", ",".join(part.replace(",", ",,") for part in parts)]


@dataclass(frozen=True)
class UserEvents:
    """What user space did in a window."""

    instructions: int
    loads: int
    stores: int
    branches: int
    calls: int
    locked: int
    string_rounds: int
    strings: int
    string_bytes: int


@dataclass(frozen=True)
class CacheWindow:
    """One window: the same as one of the profile plugin, as both see the same marks."""

    number: int
    series: int
    nth: int
    torn: bool
    user: UserEvents
    places: NDArray[np.void]
    """Of :data:`PLACE`; the first, at address 0, is user space."""


class CacheReader:
    """Reads the output as it grows: each call of :meth:`windows` gives what has come since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0

    def windows(self) -> Iterator[CacheWindow]:
        """The windows that have ended since the last call.

        Raises :class:`InfrastructureError` for a file that the plugin did not write.
        """
        try:
            data = self.path.read_bytes()[self._at:]
        except OSError as error:
            raise InfrastructureError(f"the cache plugin wrote nothing to {self.path}") from error
        at = 0
        if self._at == 0:
            if not data.startswith(MAGIC):
                raise InfrastructureError(f"{self.path} is not of the cache plugin")
            at = len(MAGIC)
        while len(data) - at >= HEAD.size:
            tag, number, series, nth, torn, places, *sums = HEAD.unpack_from(data, at)
            end = at + HEAD.size + places * PLACE.itemsize
            if tag != b"CWIN":
                raise InfrastructureError(f"{self.path} is damaged: a record {tag!r}")
            if end > len(data):
                break
            yield CacheWindow(
                number, series, nth, bool(torn), UserEvents(*sums),
                np.frombuffer(data, PLACE, places, at + HEAD.size),
            )
            at = end
        self._at += at
