"""The page of a trend: a plot and a table for every cell, steps marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from harness.core.errors import UserError
from harness.core.workspace import explain_full_disk, write_atomic
from harness.report.analysis.trend import Trend, table_rows
from harness.report.data import planned as plan
from harness.report.pages import words
from harness.report.pages.view import Table
from harness.report.pages.write import environment
from harness.report.plots import theme
from harness.report.plots.picture import Plot

METHOD = (
    "The run is the unit here: each has its own day and host load. In counts and exact metrics a "
    "step is a difference between neighbouring runs, as between two variants of one run. In "
    "wall-clock metrics it is a change point of the runs' medians (permutation test on ranks, "
    "5 %), which takes eight runs at least."
)
MOST_TICKS = 12
LOG_FROM = 20  # variants that differ by so much share a logarithmic axis


def write_trend(found: Sequence[Trend], warnings: Sequence[str], directory: Path) -> Path:
    """Write trend.html; returns its path.

    Raises :class:`UserError` when the directory cannot be written.
    """
    cells: dict[tuple[str, ...], list[Trend]] = {}
    for trend in found:
        row = trend.row
        key = (row.workload, plan.canonical(row.params), row.metric, row.accel, row.base,
               row.machine)  # fmt: skip
        cells.setdefault(key, []).append(trend)
    with theme.look():
        groups = [_group(number, group) for number, group in enumerate(cells.values(), 1)]
    context = {
        "runs": len({point.run for trend in found for point in trend.points}),
        "groups": groups, "warnings": warnings, "method": METHOD,
        "steps": [
            f"{trend.row.cell}, {words.metric_label(trend.row.metric)}, {trend.variant}: {size} "
            f"at {trend.points[place].run}"
            for trend in found for place, size in trend.steps.items()
        ],
    }  # fmt: skip
    path = directory / "trend.html"
    try:
        with explain_full_disk(directory):
            directory.mkdir(parents=True, exist_ok=True)
            write_atomic(path, environment(True).get_template("trend.html.j2").render(context))
    except OSError as error:
        raise UserError(
            f"cannot write to {directory}: {error.strerror}", hint="choose another --out DIR"
        ) from error
    return path


def _group(number: int, trends: Sequence[Trend]) -> dict[str, Any]:
    first = trends[0]
    clock = words.SHORT_ACCELS.get(first.row.accel, first.row.accel)
    columns = ["run", "started", "kernel", f"median ({first.row.unit})", "range", "boots", "step"]
    return {
        "name": f"{first.row.cell}, {words.metric_label(first.row.metric)}, {clock}",
        "plot": _draw(number, trends),
        "tables": [
            Table(f"{trend.title}, {trend.variant}", columns, table_rows(trend), {3, 4, 5})
            for trend in trends
        ],
    }


def _draw(number: int, trends: Sequence[Trend]) -> Plot:
    order = sorted({(p.started, p.run) for trend in trends for p in trend.points})
    places = {run: place for place, (_, run) in enumerate(order)}
    figure = theme.figure(3.8)
    axes = figure.add_subplot()
    said = []
    for rank, trend in enumerate(trends):
        _line(axes, trend, [places[p.run] for p in trend.points], theme.style(rank))
        steps = ", ".join(f"{s} at {trend.points[i].run}" for i, s in trend.steps.items())
        said.append(f"{trend.variant}: {words.number(trend.points[-1].median)} at last; "
                    f"steps: {steps or 'none'}")  # fmt: skip
    every = -(-len(order) // MOST_TICKS)
    axes.set_xticks(range(0, len(order), every),
                    [started[5:16].replace("T", "\n") or run for started, run in order[::every]])
    axes.set_xlim(-0.5, len(order) - 0.5)
    axes.set_xlabel("run, by its start (UTC)")
    medians = [p.median for trend in trends for p in trend.points]
    if min(medians) > 0 and max(medians) > LOG_FROM * min(medians):
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.number(value)))
    row = trends[0].row
    axes.set_ylabel(f"{words.metric_label(row.metric)} ({row.unit})")
    axes.legend(loc="best", frameon=False, handlelength=3)
    title = f"{words.metric_label(row.metric)}, {row.cell}"
    title = title[0].upper() + title[1:]
    theme.finish(figure, title, words.accel_label(row.accel, row.machine))
    name = re.sub(r"[^a-z0-9]+", "-", f"trend-{number}-{row.metric}".lower())
    caption = f"Median over the boots of a run, bars from least to greatest boot. A vertical line is a step of the variant of its colour. {words.accel_caption(row.accel, row.machine)}"  # noqa: E501
    return Plot(name, title, caption, f"Line plot over runs. {'. '.join(said)}.", figure)


def _line(axes: Axes, trend: Trend, places: Sequence[int], style: theme.Style) -> None:
    medians = [point.median for point in trend.points]
    lows = [m - min(p.values.values()) for m, p in zip(medians, trend.points, strict=True)]
    highs = [max(p.values.values()) - m for m, p in zip(medians, trend.points, strict=True)]
    axes.errorbar(places, medians, yerr=[lows, highs], fmt=style.marker, color=style.color,
                  linestyle=style.line, capsize=3, label=trend.variant)  # fmt: skip
    for index, size in trend.steps.items():
        at = (places[index - 1] + places[index]) / 2
        axes.axvline(at, color=style.color, linewidth=1.4, linestyle=style.line)
        axes.annotate(f"{trend.variant} {size}", (at, 1.0), xycoords=("data", "axes fraction"),
                      xytext=(3, -4), textcoords="offset points", va="top", fontsize=8.5,
                      color=style.color, rotation=90)  # fmt: skip
