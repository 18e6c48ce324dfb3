"""A plan in words, before it runs."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.plurals import plural
from harness.measure.runner import estimate, words
from harness.measure.workloads import ALL, Catalogue
from harness.records.plans import Block, Plan, PlannedBoot


def describe(plan: Plan, known: Catalogue = ALL) -> list[str]:
    """Boots in their order with their cells, how long they take, and what is compared."""
    lines = [line for block in plan.blocks for line in _block(plan, block, known)]
    if plan.packages:
        lines.append(f"guests' image: with {', '.join(plan.packages)} of Debian besides the usual")
    lines += [f"compared: {pair.variant} with {pair.baseline}" for pair in plan.comparisons]
    return lines


def minutes(plan: Plan, boots: Sequence[PlannedBoot], known: Catalogue = ALL) -> float:
    """Host minutes that boots take, about; ``auto`` is taken for TCG."""
    return sum(
        estimate(plan, boot, "tcg" if boot.accel == "auto" else boot.accel, known)
        for boot in boots
    ) / 60


def _block(plan: Plan, block: Block, known: Catalogue) -> list[str]:
    mine = [boot for boot in plan.boots if boot.accel == block.accel]
    order = ", ".join(map(_name, mine))
    under = " under TCG" if block.accel == "auto" else ""
    lines = [
        f"accel {block.accel}, {plural(len(mine), 'boot')}: {order}",
        f"{_long(minutes(plan, mine, known))}{under}; in each boot:",
    ]
    for cell in plan.cells:
        if cell.accel == block.accel:
            params = ", ".join(f"{key} {value}" for key, value in cell.params.items())
            lines.append(f"  {words(cell)}, {plural(cell.repeat, 'time')} ({params})")
    return lines


def _long(of: float) -> str:
    return f"about {plural(round(of), 'minute')}" if of >= 1 else "less than a minute"


def _name(boot: PlannedBoot) -> str:
    marks = [
        *([f"layout {boot.layout}"] if boot.layout else []),
        *(["control"] if boot.control else []), *([] if boot.again is None else ["again"]),
    ]
    return boot.variant + (f" ({', '.join(marks)})" if marks else "")
