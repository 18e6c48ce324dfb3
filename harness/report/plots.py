"""The plots: page-table memory over time, fault rate by threads, change with intervals.

Every plot names accel and machine in its caption, says its finding in words for who
cannot see it, and is drawn as SVG for the page and as PNG for Markdown.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from harness.report import theme, words
from harness.report.load import RunData
from harness.report.picture import Plot
from harness.report.plot_changes import changes
from harness.report.plot_memory import memory_plots
from harness.report.plot_rates import rates
from harness.report.tables import Row

__all__ = ["Plot", "draw"]

MOST_BARS = 40  # cells in one plot of changes


def draw(data: RunData, rows: Sequence[Row]) -> list[Plot]:
    """All plots that the data can fill, each once per accel, base and machine."""
    by_threads: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    compared: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if not words.is_cost(row.metric):
            continue
        place = (row.metric, row.accel, row.base, row.machine)
        if isinstance(row.params.get("threads"), int):
            by_threads[row.workload, words.rest(row.params), *place].append(row)
        if any(comparison.delta_pct is not None for comparison in row.comparisons.values()):
            compared[place].append(row)
    with theme.look():
        plots = memory_plots(data, rows)
        plots += [rates(data, group) for group in by_threads.values()]
        for group in compared.values():
            parts = range(0, len(group), MOST_BARS)
            plots += [changes(data, group[start : start + MOST_BARS]) for start in parts]
    return _unique(plots)


def _unique(plots: list[Plot]) -> list[Plot]:
    seen: dict[str, int] = defaultdict(int)
    for plot in plots:
        plot.name = re.sub(r"[^a-z0-9]+", "-", plot.name.lower()).strip("-")
        seen[plot.name] += 1
        if seen[plot.name] > 1:
            plot.name += f"-{seen[plot.name]}"
    return plots
