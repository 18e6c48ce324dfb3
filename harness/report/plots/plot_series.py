"""A cell over time, one panel a metric, memory first and on a logarithmic axis.

Logarithmic, so that 102 MB on one side and 248 kB on the other can both be read. Whatever a
workload recorded over time is drawn, be its name known here or not.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.records.workloads import Metric
from harness.report.analysis import words
from harness.report.analysis.analyse import Analysis
from harness.report.analysis.rows import Row
from harness.report.data.identity import Column
from harness.report.data.rundata import canonical
from harness.report.plots.picture import boots_text, origin, style_of, where
from harness.style import theme
from harness.style.plot import Plot, Tips

MOST_POINTS = 400  # of one boot's time series that are drawn
MOST_PANELS = 3
LABEL_WIDTH = 16  # characters along the height of a small panel
GAP = 0.13  # least distance of two labels, as a fraction of the axes' height
LOG_FROM = 20  # a quantity that differs by so much between variants is drawn on a logarithm

End = tuple[float, float, str, theme.Style]


@dataclass(frozen=True)
class Panel:
    """One metric's axes and what belongs to them."""

    analysis: Analysis
    axes: Axes
    metric: Metric
    row: Row | None
    """The metric's results, where the cell has any beside its time series."""
    tips: Tips


def over_time(analysis: Analysis, rows: Sequence[Row]) -> Plot | None:
    """The plot of one cell, all of whose rows are given; None when there is nothing to draw."""
    points = _points_of(analysis, rows[0])
    panels = _panels(analysis, rows[0].workload, points)
    if not panels:
        return None
    figure = theme.figure(4.2 + 2.0 * (len(panels) - 1))
    ratios = [2.0, *([1.0] * (len(panels) - 1))]
    drawn = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    said, tips = [], Tips()
    for axes, metric in zip(drawn, panels, strict=True):
        row = next((row for row in rows if row.metric == metric), None)
        mine = points[points["metric"] == metric.name]
        said.append(_panel(Panel(analysis, axes, metric, row, tips), mine))
    drawn[-1].set_xlabel("time since the workload began (s)")
    main = next((row for row in rows if row.metric == panels[0]), rows[0])
    labels = [words.metric_label(metric) for metric in panels]
    title = f"{words.capital(labels[0])} over time, {main.cell}"
    theme.finish(figure, title, origin(main.place))
    caption = f"{', '.join(labels)} while the workload runs, one line a boot, {boots_text([main])}; the marked value is the median at the end."  # noqa: E501
    return Plot(
        f"{main.workload}-{panels[0].name}-{main.accel}" if main.workload != panels[0].name.lower()
        else f"{panels[0].name}-{main.accel}",
        title, f"{caption} {where(main.place)}", f"Line plot over time. {' '.join(said)}", figure,
        main.workload, tips,
    )


def _points_of(analysis: Analysis, row: Row) -> pd.DataFrame:
    """The points of a cell, without controls: what is exact would hide the first."""
    series = analysis.data.series
    controls = [index for index, side in enumerate(analysis.data.columns) if side.control]
    series = series[~series["column"].isin(controls)]
    same = (series["workload"] == row.workload) & (series["accel"] == row.accel)
    same &= (series["base"] == row.place.base) & (series["machine"] == row.place.machine)
    return series[same & (series["params"] == canonical(row.params))]


def _panels(analysis: Analysis, workload: str, points: pd.DataFrame) -> list[Metric]:
    """The metrics to draw: memory, then costs, then in the order of their declaration.

    What never moves (the size of an address space, say) stands in the tables, not here.
    """
    pairs = points[["metric", "unit"]].drop_duplicates()
    found = [analysis.data.metric(workload, str(name), str(unit))
             for name, unit in pairs.itertuples(index=False)]
    moving = [metric for metric in found
              if points[points["metric"] == metric.name]["value"].nunique() > 1]
    declared = [
        metric.name for run in analysis.data.runs if workload in run.run.workloads
        for metric in run.run.workloads[workload].metrics
    ]
    ranks = {"memory": 0, "cost": 1, "other": 2}
    ordered = sorted(moving or found, key=lambda metric: (
        ranks[metric.kind], not metric.headline,
        declared.index(metric.name) if metric.name in declared else len(declared),
    ))
    return ordered[:MOST_PANELS]


def _panel(
    panel: Panel, points: pd.DataFrame
) -> str:
    """Draw one metric; returns what is to be seen."""
    analysis, axes, metric = panel.analysis, panel.axes, panel.metric
    row, tips = panel.row, panel.tips
    sides = analysis.data.columns
    names = [sides[index] for index in sorted(points["column"].unique())]
    ends: list[End] = []
    for name in names:
        style, mine = style_of(analysis, name), points[points["column"] == sides.index(name)]
        median = row.median(name) if row else None
        median = _last_median(mine) if median is None else median
        last = float(mine["t"].max())
        ends.append((last, median, f"{name.label}\n{words.number(median)} {metric.unit}", style))
    logarithmic = _scale(axes, [median for _, median, _, _ in ends])
    for name, (last, median, _, style) in zip(names, ends, strict=True):
        mine = points[points["column"] == sides.index(name)]
        drawn = mine if not logarithmic else mine[mine["value"] > 0]
        _draw_boots(axes, drawn, style, (name, metric), tips)
        if median > 0 or not logarithmic:
            mark = axes.plot([last], [median], style.marker, color=style.color, clip_on=False,
                             zorder=4)[0]
            boots = ", ".join(map(words.number, row.boots(name))) if row else "-"
            tips.add(mark, f"{name.label} at the end: median {words.number(median)} {metric.unit}; "
                           f"boots: {boots}")
    _limits(axes, [median for _, median, _, _ in ends], logarithmic)
    _label_ends(axes, ends, logarithmic)
    label = "\n".join(textwrap.wrap(words.metric_label(metric), LABEL_WIDTH))
    axes.set_ylabel(f"{label}\n({metric.unit}{', logarithmic' * logarithmic})")
    values = ", ".join(text.replace("\n", " ") for _, _, text, _ in ends)
    return f"{words.metric_label(metric)} at the end: {values}."


def _last_median(points: pd.DataFrame) -> float:
    """The median over boots of the last value; 0 without points."""
    last = points.sort_values("t").groupby(["run", "boot", "repeat"])["value"].last()
    return float(last.median()) if len(last) else 0.0


def _draw_boots(
    axes: Axes, points: pd.DataFrame, style: theme.Style, of: tuple[Column, Metric], tips: Tips
) -> None:
    """One line a boot."""
    side, metric = of
    for (_, number, _), boot in points.groupby(["run", "boot", "repeat"], sort=False):
        ordered = boot.sort_values("t")
        step = max(1, len(ordered) // MOST_POINTS)
        keep = ordered.iloc[sorted({*range(0, len(ordered), step), len(ordered) - 1})]
        line = axes.plot(keep["t"], keep["value"], style.line, color=style.color, alpha=0.75)[0]
        tips.add(line, f"{side.label}, boot {number}: {words.number(keep['value'].iloc[-1])} "
                       f"{metric.unit} at last, "
                       f"{words.number(keep['value'].max())} at most")


def _scale(axes: Axes, medians: Sequence[float]) -> bool:
    """Whether the axis is logarithmic: where variants differ by an order of magnitude."""
    positive = [m for m in medians if m > 0]
    if len(positive) < 2 or max(positive) < LOG_FROM * min(positive):
        return False
    axes.set_yscale("log")
    return True


def _limits(axes: Axes, medians: Sequence[float], logarithmic: bool) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.number(value)))
    if not logarithmic:
        axes.set_ylim(0, max(axes.get_ylim()[1], *medians, 1e-9) * 1.08)
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        return
    positive = [m for m in medians if m > 0]
    low, high = axes.get_ylim()
    low, high = min([low, *positive]), max([high, *positive])
    axes.set_ylim(low / 1.6, high * 1.6)
    axes.yaxis.set_major_locator(LogLocator(base=10, numticks=12))
    axes.yaxis.set_minor_locator(NullLocator())


def _label_ends(axes: Axes, ends: Sequence[End], logarithmic: bool) -> None:
    """Each line's name at its end; names that would meet are moved apart, within the axes."""
    low, high = axes.get_ylim()
    scale = np.log10 if logarithmic else float
    height = axes.get_window_extent().height / axes.figure.get_dpi()  # inches, before layout
    gap = max(GAP, 0.36 / max(height, 0.5))
    ordered = sorted(ends, key=lambda end: end[1])
    places: list[float] = []
    for _, y, _, _ in ordered:
        place = (scale(max(y, low)) - scale(low)) / (scale(high) - scale(low))
        places.append(max(place, places[-1] + gap) if places else place)
    over = max(0.0, places[-1] - 0.97) if places else 0.0
    for (x, y, text, style), place in zip(ordered, places, strict=True):
        axes.annotate(
            text, xy=(x, y), xytext=(1.02, place - over), textcoords="axes fraction",
            color=style.color, va="center", fontweight="bold", annotation_clip=False,
        )
