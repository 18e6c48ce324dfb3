"""The order of a run's boots: alternating variants, an A/A control, a boot repeated.

* Variants go A,B,B,A: a drift of the host hits all alike. Each round rotates the cells,
  so that none is always the first after a boot.
* The control is the first variant once more under another name, interleaved with the
  others. Whatever it seems to differ by is what this run takes for a difference. It
  gets two thirds of the boots of a variant, at least one: a run of two variants
  becomes a third longer at most.
* Where instructions are counted, the first boot is done again at the end, with the
  same seed: by how much it differs is what a count is worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.records.old_runs import CONTROL_MARK


@dataclass(frozen=True)
class Cell:
    """One workload with one set of parameters, ``repeat`` times in each boot."""

    workload: str
    params: dict[str, Any]
    repeat: int
    accel: str = "auto"
    """How the guest that runs it is to run, as asked for."""

    def record(self) -> dict[str, Any]:
        """For run.json."""
        return {
            "workload": self.workload, "params": self.params, "repeat": self.repeat,
            "accel": self.accel,
        }


@dataclass(frozen=True)
class PlannedBoot:
    """One boot: the variant, and the cells in the order in which it runs them.

    ``seed`` names the history (see :mod:`harness.measure.preamble`); boots of different
    variants with one seed have the same. ``repeats`` is the index of the boot that this
    one does again, to see whether it comes out the same.
    """

    index: int
    variant: str
    """The name its samples bear; see :attr:`kernel`."""
    seed: int
    cells: tuple[Cell, ...]
    accel: str = "auto"
    repeats: int | None = None

    @property
    def kernel(self) -> str:
        """The variant whose build it boots: the control's is the first variant's."""
        return self.variant.removesuffix(CONTROL_MARK)

    @property
    def folder(self) -> str:
        """Name of the directory of its logs."""
        name = self.variant.replace(CONTROL_MARK, "-control")
        return f"{self.index:02d}-{name}{'' if self.repeats is None else '-repeat'}"


@dataclass(frozen=True)
class Block:
    """The boots of one accel."""

    accel: str
    rounds: int
    """Boots of each variant."""
    control: bool

    @property
    def counts(self) -> bool:
        """Whether instructions are counted."""
        return self.accel == "icount"


def schedule(
    variants: Sequence[str], cells: Sequence[Cell], blocks: Sequence[Block]
) -> tuple[PlannedBoot, ...]:
    """All boots in order, accel by accel: counting does not mind when it is done."""
    planned: list[PlannedBoot] = []
    for block in blocks:
        mine = tuple(cell for cell in cells if cell.accel == block.accel)
        first = len(planned)
        for number, variant in _rounds(variants, block):
            turn = number % len(mine)
            planned.append(PlannedBoot(
                len(planned), variant, number, mine[turn:] + mine[:turn], block.accel
            ))
        if block.counts:
            again = planned[first]
            planned.append(PlannedBoot(
                len(planned), again.variant, again.seed, again.cells, again.accel, again.index
            ))
    return tuple(planned)


def _rounds(variants: Sequence[str], block: Block) -> Iterator[tuple[int, str]]:
    """Number of the round and variant of each boot: A B, C B A, A B C, ... (C: the control)."""
    control = variants[0] + CONTROL_MARK
    chosen = _control_rounds(block)
    for number in range(block.rounds):
        order = [*variants, *([control] if number in chosen else [])]
        for variant in order if number % 2 == 0 else reversed(order):
            yield number, variant


def _control_rounds(block: Block) -> set[int]:
    """The rounds that hold a boot of the control, evenly spread."""
    if not block.control:
        return set()
    if block.counts:  # compared in pairs of one seed: every seed counts
        return set(range(block.rounds))
    wanted = max(1, 2 * block.rounds // 3)
    return {
        number for number in range(block.rounds)
        if (number + 1) * wanted // block.rounds > number * wanted // block.rounds
    }
