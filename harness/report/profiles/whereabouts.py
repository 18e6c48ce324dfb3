"""Where the differences of a report are: the functions that hold most of each, in a line."""

from __future__ import annotations

from collections.abc import Iterable

from harness.report.analysis.rows import Row
from harness.report.profiles.explaining import Explanation

MOST_CELLS = 4
MOST_FUNCTIONS = 3
SHARE = 0.1
"""A function that holds less than this share of its cell's difference is not named."""


def whereabouts(explained: Explanation | None, rows: Iterable[Row]) -> list[str]:
    """``pipe: pipe_mark +47.0, pipe_write +4.0``, of each cell that differs, in its order.

    Cells without a profile, or whose difference no function holds a tenth of, are left out.
    """
    if explained is None:
        return []
    differing = {
        (row.workload, tuple(sorted(row.params.items())), c.baseline.variant, c.variant.variant):
        row.cell
        for row in rows if row.is_cost and row.accel == "icount"
        for c in row.claims.values() if c.word in ("lower", "higher")
    }
    found = []
    for one in explained.differences:
        key = (one.workload, tuple(sorted(one.params.items())), one.before, one.after)
        if key not in differing or one.window > 1:
            continue
        large = [
            change for change in one.functions if abs(change.delta) >= SHARE * abs(one.total.delta)
        ][:MOST_FUNCTIONS]
        if large:
            names = ", ".join(f"{change.name} {change.delta:+,.1f}" for change in large)
            found.append(f"{differing[key]}: {names}")
    return found[:MOST_CELLS]
