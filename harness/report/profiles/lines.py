"""Source lines of instructions, inlined functions among them, where a build has debug lines.

The harness's kernels have none, as they would make builds much longer; a variant with
``CONFIG_DEBUG_INFO_DWARF5=y`` has, and the same code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.core.errors import InfrastructureError
from harness.core.proc import capture, need

_ADDRESS = re.compile(r"^0x[0-9a-f]+$")


@dataclass(frozen=True)
class LineCost:
    """What one source line cost, in instructions per operation."""

    place: str
    """``mm/memory.c:1234``."""
    function: str
    """That the line stands in; inlined or not."""
    into: str
    """The function that it was compiled into."""
    before: float
    after: float

    @property
    def delta(self) -> float:
        """After less before."""
        return self.after - self.before


@dataclass(frozen=True)
class SourcePlace:
    """Where an instruction comes from."""

    place: str
    function: str
    into: str


def has_lines(vmlinux: Path) -> bool:
    """Whether an image carries line numbers."""
    return vmlinux.exists() and ".debug_line" in capture(
        ["readelf", "-S", "-W", str(vmlinux)], check=False
    )


def resolve(vmlinux: Path, addresses: Sequence[int]) -> list[SourcePlace]:
    """The innermost place of each address. Raises :class:`UserError` without addr2line."""
    text = capture(
        [need("addr2line", package="binutils"), "-a", "-i", "-f", "-e", str(vmlinux)],
        text_input="".join(f"{address:#x}\n" for address in addresses), timeout=300.0,
    )
    places = list(parse(text.splitlines()))
    if len(places) != len(addresses):
        raise InfrastructureError(
            f"addr2line gave {len(places)} places for {len(addresses)} addresses"
        )
    return places


def parse(lines: Iterable[str]) -> Iterable[SourcePlace]:
    """addr2line's answers: for each address pairs of function and place, the innermost first."""
    block: list[str] | None = None
    for line in lines:
        if _ADDRESS.match(line):
            if block is not None:
                yield _place(block)
            block = []
        elif block is not None:
            block.append(line)
    if block is not None:
        yield _place(block)


def _place(block: list[str]) -> SourcePlace:
    functions, places = block[0::2], block[1::2]
    place = re.sub(r" \(discriminator \d+\)$", "", places[0] if places else "??:0")
    return SourcePlace(_short(place), functions[0] if functions else "??",
                 functions[-1] if functions else "??")


def _short(place: str) -> str:
    """A path below the tree: what builds put before it differs from build to build."""
    path, _, number = place.rpartition(":")
    parts = [part for part in path.split("/") if part not in ("", ".", "..")]
    for i, part in enumerate(parts):
        if part in ("mm", "kernel", "fs", "arch", "lib", "include", "drivers", "net", "block",
                    "security", "ipc", "init", "crypto", "io_uring", "sound", "virt"):
            return "/".join(parts[i:]) + f":{number}"
    return "/".join(parts[-2:]) + f":{number}"


def costs(sites: Path, vmlinux: Path, units: float) -> dict[SourcePlace, float]:
    """Instructions per operation of each place, from a profile's file of sites."""
    with np.load(sites) as data:
        addresses, counts = data["pc"], data["count"]
    unique, inverse = np.unique(addresses, return_inverse=True)
    sums = np.bincount(inverse.reshape(-1), counts) / units
    found: dict[SourcePlace, float] = {}
    for place, value in zip(resolve(vmlinux, [int(a) for a in unique]), sums, strict=True):
        found[place] = found.get(place, 0.0) + float(value)
    return found


def by_function(costs_of_lines: dict[SourcePlace, float]) -> dict[SourcePlace, float]:
    """The same without line numbers: what each function costs where it was compiled into.

    Lines move when another is added above them; functions stay, inlined or not.
    """
    found: dict[SourcePlace, float] = {}
    for place, value in costs_of_lines.items():
        short = SourcePlace(place.place.rpartition(":")[0], place.function, place.into)
        found[short] = found.get(short, 0.0) + value
    return found


def compare(before: dict[SourcePlace, float], after: dict[SourcePlace, float]) -> list[LineCost]:
    """Both kernels' places, the greatest differences first."""
    found = [
        LineCost(p.place, p.function, p.into, before.get(p, 0.0), after.get(p, 0.0))
        for p in {**before, **after}
    ]
    return sorted(found, key=lambda line: (-abs(line.delta), line.place, line.into))
