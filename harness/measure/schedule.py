"""The order of a run's boots: alternating variants, an A/A control, a boot repeated.

* Variants go A,B,B,A: a drift of the host hits all alike. Each round rotates the cells,
  so that none is always the first after a boot.
* The control is the first variant once more, its samples kept apart, interleaved with the
  others. Whatever it seems to differ by is what this run takes for a difference. It
  gets two thirds of the boots of a variant, at least one: a run of two variants
  becomes a third longer at most.
* Each round boots every layout of a kernel, the variants of one layout one after the other:
  what drifts does not look like a layout, and a pair of boots has both in common.
* Where instructions are counted, the first boot is done again at the end, with the
  same seed: by how much it differs is what a count is worth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.records.plans import Block, Cell, PlannedBoot


def schedule(
    variants: Sequence[str], cells: Sequence[Cell], blocks: Sequence[Block], *,
    layouts: int = 1, again: bool = True,
) -> list[PlannedBoot]:
    """All boots in order, accel by accel: counting does not mind when it is done.

    ``again``: whether the first counted boot is done once more, to see that it repeats.
    """
    planned: list[PlannedBoot] = []
    for block in blocks:
        mine = [at for at, cell in enumerate(cells) if cell.accel == block.accel]
        first = len(planned)
        for number, layout, variant, control in _rounds(variants, block, layouts):
            turn = number % len(mine)
            planned.append(PlannedBoot(
                index=len(planned), variant=variant, control=control, seed=number,
                layout=layout, accel=block.accel, cells=mine[turn:] + mine[:turn],
            ))
        if block.counts and again:
            one = planned[first]
            planned.append(one.model_copy(update={"index": len(planned), "again": one.index}))
    return planned


def _rounds(
    variants: Sequence[str], block: Block, layouts: int
) -> Iterator[tuple[int, int, str, bool]]:
    """Number of the round, layout, variant, whether it is the control: A B, C B A, A B C, ..."""
    chosen = _control_rounds(block)
    for number in range(block.rounds):
        order = [(name, False) for name in variants]
        if number in chosen:
            order.append((variants[0], True))
        turn = range(layouts) if number % 2 == 0 else range(layouts)[::-1]
        for place, layout in enumerate(turn):
            for variant, control in order if (number + place) % 2 == 0 else reversed(order):
                yield number, layout, variant, control


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
