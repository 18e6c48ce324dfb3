"""The plots: cells over time, by threads or size, and the change of every cell with its interval.

Every plot names accel and machine in its caption, says its finding in words for who
cannot see it, and is drawn as SVG for the page and as PNG for Markdown. What is drawn
follows from the data alone: a workload of which nothing is known here has its plots too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from harness.report.analysis import metrics
from harness.report.analysis.rows import Row
from harness.report.data import planned as plan
from harness.report.data.rundata import RunData
from harness.report.plots import theme
from harness.report.plots.picture import Plot
from harness.report.plots.plot_changes import changes, comparable
from harness.report.plots.plot_scaling import scaling
from harness.report.plots.plot_series import over_time

__all__ = ["Plot", "draw"]

MOST_CELLS = 24  # in one plot of changes
MOST_SERIES = 6  # cells of one workload that are drawn over time
LEAST_VALUES = 3  # of a parameter other than threads, to draw a metric over it


def draw(data: RunData, rows: Sequence[Row]) -> list[Plot]:
    """All plots that the data can fill, each once per accel, base and machine."""
    with theme.look():
        plots = [*_series(data, rows), *_scalings(data, rows), *_changes(data, rows)]
    return _unique(plots)


def _series(data: RunData, rows: Sequence[Row]) -> Iterator[Plot]:
    """Cells over time."""
    cells = _grouped(rows, lambda row: (row.workload, plan.canonical(row.params), *_place(row)))
    drawn: dict[Hashable, int] = defaultdict(int)
    for cell in cells:
        section = (cell[0].workload, *_place(cell[0]))
        plot = over_time(data, cell) if drawn[section] < MOST_SERIES else None
        if plot is not None:
            drawn[section] += 1
            yield plot


def _scalings(data: RunData, rows: Sequence[Row]) -> Iterator[Plot]:
    """Costs and page-table memory over threads, or over a size of which there are several."""
    for axis in dict.fromkeys(key for row in rows for key in row.params):
        fit = [
            row for row in rows
            if (metrics.is_cost(row.metric) or metrics.is_page_tables(row.metric))
            and (axis == "threads" or axis in row.telling)
            and isinstance(row.params.get(axis), int)
        ]
        for group in _along(fit, axis):
            if len(group) >= (2 if axis == "threads" else LEAST_VALUES):
                yield scaling(data, group, axis)


def _along(rows: Sequence[Row], axis: str) -> list[list[Row]]:
    """Rows that differ by one parameter only."""

    def others(row: Row) -> Hashable:
        rest = {key: value for key, value in row.params.items() if key != axis}
        return (row.workload, row.metric, plan.canonical(rest), *_place(row))

    return _grouped(rows, others)


def _changes(data: RunData, rows: Sequence[Row]) -> Iterator[Plot]:
    """Costs of all workloads together, the other metrics in their workload's section."""
    costs = [row for row in rows if metrics.is_cost(row.metric) and comparable(row, controls=True)]
    for group in _grouped(costs, _place):
        for start in range(0, len(group), MOST_CELLS):
            yield changes(data, group[start : start + MOST_CELLS])
    quantities = [
        row for row in rows
        if not metrics.is_cost(row.metric) and comparable(row, controls=False)
    ]
    for group in _grouped(quantities, lambda row: (row.workload, *_place(row))):
        for start in range(0, len(group), MOST_CELLS):
            yield changes(data, group[start : start + MOST_CELLS], group[0].workload)


def _place(row: Row) -> tuple[str, str, str]:
    """What may stand in one plot."""
    return row.accel, row.base, row.machine


def _grouped(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> list[list[Row]]:
    groups: dict[Hashable, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return list(groups.values())


def _unique(plots: list[Plot]) -> list[Plot]:
    seen: dict[str, int] = defaultdict(int)
    for plot in plots:
        plot.name = re.sub(r"[^a-z0-9]+", "-", plot.name.lower()).strip("-")
        seen[plot.name] += 1
        if seen[plot.name] > 1:
            plot.name += f"-{seen[plot.name]}"
    return plots
