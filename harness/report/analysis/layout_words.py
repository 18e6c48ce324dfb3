"""What layouts say of a report's costs, in a few sentences."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from harness.report.analysis import determinism, words
from harness.report.analysis.layout_blocks import LayoutSplit
from harness.report.analysis.rows import Row
from harness.report.data.identity import plural

Split = tuple[Row, LayoutSplit]
MOST_NAMED = 3
SURE = 0.05
"""The p-value of the F test up to which layouts are said to differ."""


def splits(rows: Sequence[Row]) -> list[Split]:
    """Each cost with what its layouts say, for each comparison but those with a control."""
    return [
        (row, claim.layouts) for row in rows if row.is_cost
        for claim in row.claims.values() if claim.layouts is not None
    ]


def sentences(rows: Sequence[Row]) -> tuple[str, ...]:
    """One for each clock that layouts were measured by; none without layouts."""
    found = splits(rows)
    clocks = list(dict.fromkeys(row.accel for row, _ in found))
    return tuple(
        _sentence(clock, [one for one in found if one[0].accel == clock]) for clock in clocks
    )


def _sentence(clock: str, found: Sequence[Split]) -> str:
    count = max(len(one.effects) for _, one in found)
    head = f"{plural(count, 'layout')} of each kernel, {words.short_accel(clock)}:"
    return f"{head} {_counted(found) if clock == 'icount' else _timed(found)}"


def _counted(found: Sequence[Split]) -> str:
    """Where functions lie must make no difference to a count: whether it does."""
    moved = [one for one in found if depends(*one)]
    worst, split = max(found, key=lambda one: one[1].reach_pct)
    text = (
        f"the effect differs from layout to layout by at most {points(split.reach_pct)} "
        f"({worst.cell})"
    )
    if not moved:
        return f"{text}; where functions lie makes no difference to what is counted, as it must."
    cells = words.listed(row.cell for row, _ in moved[:MOST_NAMED])
    more = f" and {len(moved) - MOST_NAMED} more" if len(moved) > MOST_NAMED else ""
    return (
        f"{text}. More than counting repeats to in {cells}{more}: something there depends on "
        "addresses, and differences of that size are no findings."
    )


def depends(row: Row, split: LayoutSplit) -> bool:
    """Whether a count's effect differs between layouts by more than counts repeat to."""
    return split.reach_pct > determinism.limit_pct(row.params) and (
        split.parts.p is None or split.parts.p <= SURE
    )


def _timed(found: Sequence[Split]) -> str:
    known = [(share, row, one) for row, one in found if (share := one.parts.share) is not None]
    worst, split = max(found, key=lambda one: one[1].level_pct)
    baseline = next(iter(worst.claims.values())).baseline.label
    level = (
        f"{baseline} alone moves by up to {words.percent(split.level_pct)[1:]} from layout to "
        f"layout ({worst.cell})"
    )
    if not known:
        return f"{level}; layout's share of the variance of the effect is not known."
    middle = statistics.median(share for share, _, _ in known)
    most, row, of_row = max(known, key=lambda one: one[0])
    text = f"layout is {100 * middle:.0f} % of the variance of the effect"
    if len(known) > 1:
        text += f" (median of {len(known)} cells; most, {100 * most:.0f} %, in {row.cell}"
        text += f", F test p = {of_row.parts.p:.2g})" if of_row.parts.p is not None else ")"
    elif of_row.parts.p is not None:
        text += f" (F test p = {of_row.parts.p:.2g})"
    return f"{text}; {level}."


def points(value: float) -> str:
    """A difference of two percentages: ``0.004 points``."""
    return f"{words.percent(value)[1:-2]} points"


def share(split: LayoutSplit) -> str:
    """Layout's share of the variance in percent, or why there is none."""
    parts = split.parts
    if parts.within is None:
        return "not known"
    if parts.share is None:
        return "nothing varies"
    return f"{100 * parts.share:.0f} %"
