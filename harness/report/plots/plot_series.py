"""A cell over time, one panel a metric, page tables first and on a logarithmic axis.

Logarithmic, so that 102 MB before and 248 kB after can both be read. Whatever a
workload recorded over time is drawn, be its name known here or not.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.report.analysis import metrics
from harness.report.analysis.rows import Row
from harness.report.data import planned as plan
from harness.report.data.rundata import RunData
from harness.report.pages import words
from harness.report.plots import theme
from harness.report.plots.picture import Plot, boots_text, origin, style_of, where

MOST_POINTS = 400  # of one boot's time series that are drawn
MOST_PANELS = 3
LABEL_WIDTH = 16  # characters along the height of a small panel
GAP = 0.13  # least distance of two labels, as a fraction of the axes' height
LOG_FROM = 20  # a quantity that differs by so much between variants is drawn on a logarithm
# The same as VmPTE seen from the guest, and what never changes: in the tables, not in the plot.
LEFT_OUT = frozenset({"VmSize", "PageTables", "nr_page_table_pages"})

End = tuple[float, float, str, theme.Style]


def over_time(data: RunData, rows: Sequence[Row]) -> Plot | None:
    """The plot of one cell, all of whose rows are given; None when there is nothing to draw."""
    points = _points_of(data, rows[0])
    points = points[~points["variant"].isin(data.controls)]  # exact: it would hide the first
    panels = _panels(points)
    if not panels:
        return None
    figure = theme.figure(4.2 + 2.0 * (len(panels) - 1))
    ratios = [2.0, *([1.0] * (len(panels) - 1))]
    drawn = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    said = []
    for axes, metric in zip(drawn, panels, strict=True):
        row = next((row for row in rows if row.metric == metric), None)
        said.append(_panel(data, axes, metric, row, points[points["metric"] == metric]))
    drawn[-1].set_xlabel("time since the workload began (s)")
    main = next((row for row in rows if row.metric == panels[0]), rows[0])
    labels = [words.metric_label(metric) for metric in panels]
    what = "Page-table memory of one process" if metrics.is_page_tables(panels[0]) else labels[0]
    title = f"{what[0].upper()}{what[1:]} over time, {main.cell}"
    theme.finish(figure, title, origin(main))
    caption = f"{', '.join(labels)} while the workload runs, one line a boot, {boots_text([main])}; the marked value is the median at the end."  # noqa: E501
    return Plot(
        f"{main.workload}-{panels[0]}-{main.accel}" if main.workload != panels[0].lower()
        else f"{panels[0]}-{main.accel}",
        title, f"{caption} {where(main)}", f"Line plot over time. {' '.join(said)}", figure,
        main.workload,
    )  # fmt: skip


def _points_of(data: RunData, row: Row) -> pd.DataFrame:
    series = data.series
    same = (series["workload"] == row.workload) & (series["accel"] == row.accel)
    same &= (series["base"] == row.base) & (series["machine"] == row.machine)
    return series[same & (series["params"] == plan.canonical(row.params))]


def _panels(points: pd.DataFrame) -> list[str]:
    """The metrics to draw: what was recorded over time, of what varies there."""
    recorded = [str(metric) for metric in points["metric"].unique()]
    wanted = [metric for metric in recorded if metric not in LEFT_OUT] or recorded
    wanted.sort(key=lambda m: (not metrics.is_page_tables(m), not metrics.is_cost(m)))
    return wanted[:MOST_PANELS]


def _panel(
    data: RunData, axes: Axes, metric: str, row: Row | None, points: pd.DataFrame
) -> str:
    """Draw one metric; returns what is to be seen."""
    unit = str(row.unit if row else points["unit"].iloc[0])
    names = [n for n in data.variants if n in set(points["variant"]) and n not in data.controls]
    ends: list[End] = []
    for name in names:
        style, mine = style_of(data, name), points[points["variant"] == name]
        median = (row.median(name) if row else None) or _last_median(mine)
        last = float(mine["t"].max())
        ends.append((last, median, f"{name}\n{words.number(median)} {unit}", style))
    logarithmic = _scale(axes, [median for _, median, _, _ in ends])
    for name, (last, median, _, style) in zip(names, ends, strict=True):
        mine = points[points["variant"] == name]
        _draw_boots(axes, mine if not logarithmic else mine[mine["value"] > 0], style)
        if median > 0 or not logarithmic:
            axes.plot([last], [median], style.marker, color=style.color, clip_on=False, zorder=4)
    _limits(axes, [median for _, median, _, _ in ends], logarithmic)
    _label_ends(axes, ends, logarithmic)
    label = "\n".join(textwrap.wrap(words.metric_label(metric), LABEL_WIDTH))
    axes.set_ylabel(f"{label}\n({unit}{', logarithmic' * logarithmic})")
    values = ", ".join(text.replace("\n", " ") for _, _, text, _ in ends)
    return f"{words.metric_label(metric)} at the end: {values}."


def _last_median(points: pd.DataFrame) -> float:
    """The median over boots of the last value; 0 without points."""
    last = points.sort_values("t").groupby(["run", "boot", "repeat"])["value"].last()
    return float(last.median()) if len(last) else 0.0


def _draw_boots(axes: Axes, points: pd.DataFrame, style: theme.Style) -> None:
    """One line a boot."""
    for _, boot in points.groupby(["run", "boot", "repeat"], sort=False):
        ordered = boot.sort_values("t")
        step = max(1, len(ordered) // MOST_POINTS)
        keep = ordered.iloc[sorted({*range(0, len(ordered), step), len(ordered) - 1})]
        axes.plot(keep["t"], keep["value"], style.line, color=style.color, alpha=0.75)


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
        )  # fmt: skip
