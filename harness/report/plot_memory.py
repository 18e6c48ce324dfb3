"""Page-table memory of the process over time, on a logarithmic axis.

Logarithmic, so that 102 MB before and 248 kB after can both be read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from harness.report import plan, theme, words
from harness.report.load import RunData
from harness.report.picture import Plot, boots_text, origin, style_of, where
from harness.report.tables import Row

MOST_POINTS = 400  # of one boot's time series that are drawn
GAP = 0.13  # least distance of two labels, as a fraction of the axes' height


def memory_plots(data: RunData, rows: Sequence[Row]) -> list[Plot]:
    found = []
    for row in rows:
        if row.metric != "VmPTE":
            continue
        points = _points_of(data, row)
        found.append(_memory_over_time(data, row, points))
    return found


def _points_of(data: RunData, row: Row) -> pd.DataFrame:
    series = data.series
    same = (series["workload"] == row.workload) & (series["metric"] == row.metric)
    same &= (series["accel"] == row.accel) & (series["base"] == row.base)
    same &= series["machine"] == row.machine
    return series[same & (series["params"] == plan.canonical(row.params))]


def _memory_over_time(data: RunData, row: Row, points: pd.DataFrame) -> Plot:
    figure = theme.figure(4.2)
    axes = figure.add_subplot()
    ends: list[tuple[float, float, str, theme.Style]] = []
    for name in row.values:
        style = style_of(data, name)
        last = _draw_boots(axes, points[points["variant"] == name], style)
        median = row.median(name) or 0.0
        if last is None:
            last = 1.0
            axes.plot([0, 1], [median, median], style.line, color=style.color)
        axes.plot([last], [median], style.marker, color=style.color, clip_on=False, zorder=4)
        ends.append((last, median, f"{name}\n{words.number(median)} kB", style))
    _log_kb(axes, [median for _, median, _, _ in ends])
    _label_ends(axes, ends)
    axes.set_xlabel("time since the loop began (s)" if len(points) else "no time series recorded")
    axes.set_ylabel("VmPTE (kB, logarithmic)" if axes.get_yscale() == "log" else "VmPTE (kB)")
    title = f"Page-table memory of one process, {words.cell(row.workload, row.params)}"
    theme.finish(figure, title, origin(row))
    values = "; ".join(f"{n}: {words.number(row.median(n))} kB at the end" for n in row.values)
    caption = f"VmPTE while the program maps, touches and drops memory, one line a boot, {boots_text([row])}; the marked value is the median at the end."  # noqa: E501
    return Plot(f"vmpte-{row.accel}", title, f"{caption} {where(row)}",
                f"Line plot of VmPTE over time. {values}.", figure, row.workload)  # fmt: skip


def _draw_boots(axes: Axes, points: pd.DataFrame, style: theme.Style) -> float | None:
    """One line a boot; returns the latest time, None without points."""
    last = None
    for _, boot in points.groupby(["run", "boot", "repeat"], sort=False):
        ordered = boot.sort_values("t")
        step = max(1, len(ordered) // MOST_POINTS)
        keep = ordered.iloc[sorted({*range(0, len(ordered), step), len(ordered) - 1})]
        keep = keep[keep["value"] > 0]  # a logarithm has no place for 0
        if keep.empty:
            continue
        axes.plot(keep["t"], keep["value"], style.line, color=style.color, alpha=0.75)
        last = max(last or 0.0, float(keep["t"].max()))
    return last


def _log_kb(axes: Axes, medians: Sequence[float]) -> None:
    positive = [m for m in medians if m > 0]
    if not positive:
        return  # nothing that a logarithm could show
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    low, high = min([low, *positive]), max([high, *positive])
    if high / low < 100:
        low, high = low / 4, high * 4
    axes.set_ylim(low / 1.6, high * 1.6)
    axes.yaxis.set_major_locator(LogLocator(base=10, numticks=12))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.number(value)))


def _label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, theme.Style]]) -> None:
    """Each line's name at its end; names that would meet are moved apart."""
    if axes.get_yscale() != "log":
        return
    low, high = np.log10(axes.get_ylim())
    taken: list[float] = []
    for x, y, text, style in sorted(ends, key=lambda end: end[1]):
        place = (np.log10(max(y, 10**low)) - low) / (high - low)
        if taken and place - taken[-1] < GAP:
            place = taken[-1] + GAP
        taken.append(place)
        axes.annotate(
            text, xy=(x, y), xytext=(1.02, place), textcoords="axes fraction",
            color=style.color, va="center", fontweight="bold", annotation_clip=False,
        )  # fmt: skip
