"""One quantity of many cells: a grid of numbers, kernels of several bases side by side."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from harness.records.workloads import Metric
from harness.report.analysis import words
from harness.report.analysis.analyse import Analysis
from harness.report.analysis.rows import Row
from harness.report.data.identity import Column
from harness.style import theme
from harness.style.plot import Plot, Tips

LEAST_CELLS = 8  # fewer are better told by the tables
HEIGHT = 0.24  # inches a row
DARKEST = 0.45  # opacity of the largest value; the number must stay readable

Kernel = tuple[str, Column]
"""Base and column: what one column of the grid shows."""


def fits(row: Row) -> bool:
    """Whether a row's quantity is one whose numbers say all: exact, and of memory."""
    return row.is_memory and row.metric.exact and row.metric.headline


def matrix(analysis: Analysis, rows: Sequence[Row]) -> Plot:
    """The grid of rows of one workload and metric, under one accel and on one machine."""
    cells = list(dict.fromkeys(row.cell for row in rows))
    kernels = _kernels(analysis, rows)
    origin = rows[0].place
    values = {
        (row.cell, (row.place.base, column)): median(boots)
        for row in rows for column in row.values
        if not column.control and (boots := row.boots(column))
    }
    metric = rows[0].metric
    label = words.metric_label(metric)
    figure = theme.figure(1.3 + HEIGHT * len(cells))
    axes = figure.add_subplot()
    tips = Tips()
    largest = max(values.values()) or 1.0
    for (cell, kernel), value in values.items():
        place = (kernels.index(kernel), cells.index(cell))
        _number(axes, place, value, value / largest)
        _tip(axes, place, f"{cell}, {kernel[1].label}: {words.number(value)} {metric.unit}", tips)
    _frame(axes, cells, kernels)
    title = f"{label[0].upper()}{label[1:]} ({metric.unit}), on every kernel"
    theme.finish(figure, title, words.accel_label(origin.accel, origin.machine))
    said = "; ".join(
        f"{kernel[1].label} of {kernel[0]}: " + _counted(values, cells, kernel, metric)
        for kernel in kernels
    )
    return Plot(
        f"{rows[0].workload}-{metric.name}-matrix-{origin.accel}", title,
        f"Medians over boots in {metric.unit}; the stronger the colour, the more. Empty: not "
        f"measured. {words.accel_caption(origin.accel, origin.machine)}",
        f"A grid of {len(cells)} cells by {len(kernels)} kernels. {said}.", figure,
        rows[0].workload, tips,
    )


def _kernels(analysis: Analysis, rows: Sequence[Row]) -> list[Kernel]:
    """Base by base, the columns in the analysis's order; a control shows nothing new."""
    found = {(row.place.base, column) for row in rows for column in row.values
             if row.boots(column) and not column.control}
    order = list(analysis.data.columns)
    bases = list(dict.fromkeys(row.place.base for row in rows))
    return sorted(found, key=lambda kernel: (bases.index(kernel[0]), order.index(kernel[1])))


def _number(axes: Axes, place: tuple[int, int], value: float, share: float) -> None:
    across, down = place
    if value:
        axes.add_patch(Rectangle((across - 0.46, down - 0.42), 0.92, 0.84, linewidth=0,
                                 facecolor=theme.STYLES[0].color, alpha=DARKEST * max(share, 0.1)))
    axes.text(across, down, words.number(value), ha="center", va="center", fontsize=9)


def _tip(axes: Axes, place: tuple[int, int], text: str, tips: Tips) -> None:
    """A mark that is not to be seen, for who points at the number."""
    across, down = place
    cover = Rectangle((across - 0.5, down - 0.5), 1, 1, linewidth=0, alpha=0.0)
    axes.add_patch(cover)
    tips.add(cover, text)


def _frame(axes: Axes, cells: Sequence[str], kernels: Sequence[Kernel]) -> None:
    axes.set_xlim(-0.5, len(kernels) - 0.5)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    several = len({base for base, _ in kernels}) > 1
    axes.set_xticks(range(len(kernels)), [
        f"{column.label}\n{base}" if several else column.label for base, column in kernels
    ])
    axes.xaxis.tick_top()
    axes.set_yticks(range(len(cells)), list(cells), fontsize=9)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _counted(
    values: dict[tuple[str, Kernel], float], cells: Sequence[str], kernel: Kernel, metric: Metric
) -> str:
    shown = [values[cell, kernel] for cell in cells if (cell, kernel) in values]
    none = sum(value == 0 for value in shown)
    return f"0 in {none} of {len(shown)}, {words.number(sum(shown))} {metric.unit} in all"
