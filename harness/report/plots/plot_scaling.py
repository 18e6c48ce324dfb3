"""A cost, or memory, over threads or a size, with every boot to be seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.report.analysis import words
from harness.report.analysis.analyse import Analysis
from harness.report.analysis.rows import Row
from harness.report.data.identity import Column
from harness.report.plots.picture import Brush, boots_text, origin, style_of, where
from harness.style import theme
from harness.style.plot import Plot, Tips

LOG_FROM = 20  # values that differ by so much are drawn on a logarithm


def scaling(analysis: Analysis, rows: Sequence[Row], axis: str) -> Plot:
    """One metric of cells that differ by the parameter ``axis`` only."""
    rows = sorted(rows, key=lambda row: float(row.params[axis]))
    first = rows[0]
    figure = theme.figure(4.2)
    left, right = figure.subplots(1, 2)
    names = [side for side in analysis.data.columns if any(row.boots(side) for row in rows)
             and (first.is_cost or not side.control)]
    tips = Tips()
    reference = _references(rows, names)
    for place, name in enumerate(names):
        shift = 0.0 if len(names) == 1 else 0.52 * (place / (len(names) - 1) - 0.5)
        brush = Brush(style_of(analysis, name), tips)
        _rate_points(left, rows, name, shift, brush)
        _relative_points(right, rows, (reference[name], name), shift, brush)
    label = words.metric_label(first.metric)
    label += "" if first.is_cost else f" ({first.unit})"
    origins = " or ".join(dict.fromkeys(side.label for side in reference.values()))
    _finish_rates(left, right, (rows, axis), names, label)
    right.set_ylabel(f"change from the median of {origins} (%)")
    title = f"{label[0].upper()}{label[1:]} by {axis.partition('_')[0]}"
    others = [key for key in first.telling if key != axis]
    fixed = words.cell(first.workload, first.params, "", others)
    title += f", {fixed}"
    theme.finish(figure, title, origin(first.place))
    medians = "; ".join(
        f"{row.cell}: "
        + ", ".join(f"{n.label} {words.number(row.median(n))}" for n in names if row.boots(n))
        for row in rows
    )
    caption = f"Left: each point one boot (median of its repeats), lines through the medians over boots. Right: the same points as the change from the median of {origins}; the bar is the median. {boots_text(rows)}."  # noqa: E501
    file = f"{fixed}-{first.metric.name}-by-{axis}-{first.accel}"
    return Plot(file, title, f"{caption} {where(first.place)}",
                f"Two panels of points by {axis}. Medians: {medians}.", figure,
                first.workload, tips)


def _references(rows: Sequence[Row], names: Sequence[Column]) -> dict[Column, Column]:
    """Whose median each variant's points are drawn against: its baseline's, else its own."""
    known = {name: c.baseline for row in rows for name, c in row.comparisons.items()}
    return {name: known.get(name, name) for name in names}


def _rate_points(
    axes: Axes, rows: Sequence[Row], name: Column, shift: float, brush: Brush
) -> None:
    style, tips = brush.style, brush.tips
    shift /= 2.5
    places = [place for place, row in enumerate(rows) if row.boots(name)]
    medians = [rows[place].median(name) or 0.0 for place in places]
    axes.plot([p + shift for p in places], medians, style.line, color=style.color, label=name.label)
    for place in places:
        for value in rows[place].boots(name):
            mark = axes.plot([place + shift], [value], style.marker, color=style.color,
                             alpha=0.7, markeredgewidth=0)[0]
            unit = rows[place].unit
            tips.add(mark, f"{rows[place].cell}, a boot of {name.label}: "
                           f"{words.number(value)} {unit}")


def _relative_points(
    axes: Axes, rows: Sequence[Row], names: tuple[Column, Column], shift: float, brush: Brush
) -> None:
    style, tips = brush.style, brush.tips
    reference, name = names
    for place, row in enumerate(rows):
        median, values = row.median(reference), row.boots(name)
        if not median or not values:
            continue
        changes = [100 * (value / median - 1) for value in values]
        for value, change in zip(values, changes, strict=True):
            mark = axes.plot([place + shift], [change], style.marker, color=style.color,
                             alpha=0.7, markeredgewidth=0)[0]
            tips.add(mark, f"{row.cell}, a boot of {name.label}: {words.number(value)} "
                           f"{row.unit}, {words.percent(change)}")
        middle = float(np.median(changes))
        axes.plot([place + shift - 0.14, place + shift + 0.14], [middle, middle],
                  color=style.color, linewidth=2.4, solid_capstyle="butt")


def _finish_rates(
    left: Axes, right: Axes, along: tuple[Sequence[Row], str],
    names: Sequence[Column], label: str,
) -> None:
    rows, axis = along
    unit = words.UNITS.get(axis.rpartition("_")[2], "")
    ticks = [str(row.params[axis]) for row in rows]
    for axes in (left, right):
        axes.set_xticks(range(len(rows)), ticks)
        axes.set_xlim(-0.6, len(rows) - 0.4)
        axes.set_xlabel(f"{axis.partition('_')[0]} ({unit})" if unit else axis)
        axes.grid(axis="x", visible=False)
    medians = [m for row in rows for n in names if (m := row.median(n))]
    if medians and min(medians) > 0 and max(medians) > LOG_FROM * min(medians):
        left.set_yscale("log")
    else:
        left.set_ylim(bottom=0, top=left.get_ylim()[1] * 1.12)
    left.set_ylabel(_scaled(left, label))
    left.legend(loc="best", frameon=False, handlelength=3)
    right.axhline(0, color=theme.MUTED, linewidth=1)
    reach = max(0.5, *(abs(end) for end in right.get_ylim()))
    right.set_ylim(-reach * 1.05, reach * 1.05)
    right.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))


def _scaled(axes: Axes, label: str) -> str:
    """Show millions as such; returns the axis label."""
    if axes.get_ylim()[1] < 2e6:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.number(value)))
        return label
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:g}"))
    return f"{label} (millions)"
