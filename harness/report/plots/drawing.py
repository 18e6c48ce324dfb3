"""The plots: cells as a grid, over time, by threads or size, and each cell's change.

Every plot names accel and machine in its caption, says its finding in words for who
cannot see it, and is drawn as SVG for the page and as PNG for Markdown. What is drawn
follows from the data alone: a workload of which nothing is known here has its plots too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

from harness.report.analysis.analyse import Analysis
from harness.report.analysis.rows import Row
from harness.report.data.rundata import canonical
from harness.report.plots.plot_answer import answering
from harness.report.plots.plot_changes import changes, comparable
from harness.report.plots.plot_matrix import LEAST_CELLS, fits, matrix
from harness.report.plots.plot_scaling import scaling
from harness.report.plots.plot_series import over_time
from harness.style import theme
from harness.style.plot import Plot

MOST_CELLS = 24  # in one plot of changes
MOST_SERIES = 6  # cells of one workload that are drawn over time
LEAST_VALUES = 3  # of a parameter other than threads, to draw a metric over it


def draw(analysis: Analysis) -> list[Plot]:
    """All plots that the data can fill, each once per accel, base and machine.

    The first one carries the answer, where there is one: its name is :data:`ANSWER`.
    """
    with theme.look():
        first = answering(analysis)
        plots = [
            *([first] if first else []), *_matrices(analysis), *_series(analysis),
            *_scalings(analysis), *_changes(analysis),
        ]
    return _unique(plots)


def _matrices(analysis: Analysis) -> Iterator[Plot]:
    """Exact memory of many cells, kernels of all bases in one picture."""
    for group in _grouped(
        [row for row in analysis.rows if fits(row)],
        lambda row: (row.workload, row.metric.name, row.place.accel, row.place.machine),
    ):
        if len({row.cell for row in group}) >= LEAST_CELLS:
            yield matrix(analysis, group)


def _series(analysis: Analysis) -> Iterator[Plot]:
    """Cells over time."""
    cells = _grouped(
        analysis.rows, lambda row: (row.workload, canonical(row.params), *row.place)
    )
    drawn: dict[Hashable, int] = defaultdict(int)
    for cell in cells:
        section = (cell[0].workload, *cell[0].place)
        plot = over_time(analysis, cell) if drawn[section] < MOST_SERIES else None
        if plot is not None:
            drawn[section] += 1
            yield plot


def _scalings(analysis: Analysis) -> Iterator[Plot]:
    """Costs and memory over threads, or over a size of which there are several."""
    for axis in dict.fromkeys(key for row in analysis.rows for key in row.params):
        fit = [
            row for row in analysis.rows
            if (row.is_cost or row.is_memory) and axis in row.telling
            and isinstance(row.params.get(axis), int)
        ]
        for group in _along(fit, axis):
            if len(group) >= (2 if axis == "threads" else LEAST_VALUES):
                yield scaling(analysis, group, axis)


def _along(rows: Sequence[Row], axis: str) -> list[list[Row]]:
    """Rows that differ by one parameter only."""

    def others(row: Row) -> Hashable:
        rest = {key: value for key, value in row.params.items() if key != axis}
        return (row.workload, row.metric.name, canonical(rest), *row.place)

    return _grouped(rows, others)


def _changes(analysis: Analysis) -> Iterator[Plot]:
    """Costs of all workloads together, the other metrics in their workload's section."""
    costs = [row for row in analysis.rows if row.is_cost and comparable(row, controls=True)]
    for group in _grouped(costs, lambda row: row.place):
        for start in range(0, len(group), MOST_CELLS):
            yield changes(analysis, group[start : start + MOST_CELLS])
    quantities = [
        row for row in analysis.rows if not row.is_cost and comparable(row, controls=False)
    ]
    for group in _grouped(quantities, lambda row: (row.workload, *row.place)):
        for start in range(0, len(group), MOST_CELLS):
            yield changes(analysis, group[start : start + MOST_CELLS], group[0].workload)


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
