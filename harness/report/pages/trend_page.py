"""A trend as a page (a plot and a table for every cell), as JSON, and in few lines."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from harness.core.workspace import write_atomic
from harness.report.analysis import trend as trends
from harness.report.analysis import words
from harness.report.analysis.method import METHOD
from harness.report.analysis.trend import Trend
from harness.report.data.identity import plural
from harness.report.data.rundata import canonical
from harness.report.pages.exports import Json
from harness.report.pages.tabular import Table, measured
from harness.report.pages.terminal import table_text
from harness.report.pages.write import render, writing
from harness.style import theme
from harness.style.plot import Plot, Tips

MOST_TICKS = 12
MOST_LINES = 30  # of trends on a terminal
LOG_FROM = 20  # variants that differ by so much share a logarithmic axis


@dataclass(frozen=True)
class Group:
    """The trends of one cell and metric: one plot, a table a variant."""

    name: str
    plot: Plot
    tables: list[Table]


def write_trend(found: Sequence[Trend], warnings: Sequence[str], directory: Path) -> Path:
    """Write trend.html; returns its path.

    Raises :class:`UserError` when the directory cannot be written.
    """
    cells: dict[Hashable, list[Trend]] = {}
    for one in found:
        row = one.row
        key = (row.workload, canonical(row.params), row.metric.name, row.place)
        cells.setdefault(key, []).append(one)
    with theme.look():
        groups = [_group(number, group) for number, group in enumerate(cells.values(), 1)]
    context = {
        "runs": plural(len({point.run for one in found for point in one.points}), "run"),
        "groups": groups, "warnings": warnings, "method": METHOD[-1][1],
        "steps": [
            f"{one.row.cell}, {words.metric_label(one.row.metric)}, {one.variant}: {size} "
            f"at {one.points[place].run}"
            for one in found for place, size in one.steps.items()
        ],
    }
    path = directory / "trend.html"
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        write_atomic(path, render("trend.html.j2", context))
    return path


def trend_text(found: Sequence[Trend], warnings: Sequence[str]) -> str:
    """One line a trend of several runs, those with a step first; ends without a newline."""
    lines = [f"! {warning}" for warning in warnings]
    rows = trends.overview(found)
    single = sum(len(one.points) == 1 for one in found)
    if rows:
        lines.append(table_text(trends.OVERVIEW, rows[:MOST_LINES]))
    if len(rows) > MOST_LINES:
        lines.append(f"{len(rows) - MOST_LINES} more, without a step, are on the page.")
    if single:
        lines.append(f"{plural(single, 'cell')} measured in one run only: no trend, see the page.")
    return "\n".join(lines)


def trend_json(found: Sequence[Trend]) -> list[Json]:
    """The trends for programs."""
    return [
        {
            "workload": one.row.workload, "params": dict(one.row.params),
            "metric": one.row.metric.name, "unit": one.row.unit, "accel": one.row.accel,
            "base": one.row.place.base, "machine": one.row.place.machine, "variant": one.variant,
            "points": [
                {
                    "run": point.run, "started": point.started, "release": point.release,
                    "median": round(point.median, 4), "min": round(point.span[0], 4),
                    "max": round(point.span[1], 4), "n": len(point.values),
                    "step": one.steps.get(place),
                }
                for place, point in enumerate(one.points)
            ],
        }
        for one in found
    ]


def _group(number: int, found: Sequence[Trend]) -> Group:
    row = found[0].row
    columns = [f"{name} ({row.unit})" if name == "median" else name for name in trends.COLUMNS]
    return Group(
        f"{row.cell}, {words.metric_label(row.metric)}, {words.short_accel(row.accel)}",
        _draw(number, found),
        [Table(f"{one.title}, {one.variant}", columns, trends.table_rows(one),
               frozenset({3, 4, 5})) for one in found],
    )


def _draw(number: int, found: Sequence[Trend]) -> Plot:
    order = sorted({(p.started, p.run) for one in found for p in one.points})
    places = {run: place for place, (_, run) in enumerate(order)}
    figure = theme.figure(3.8)
    axes = figure.add_subplot()
    said, tips = [], Tips()
    for rank, one in enumerate(found):
        _line(axes, one, [places[p.run] for p in one.points], theme.style(rank), tips)
        said.append(f"{one.variant}: {words.number(one.points[-1].median)} at last; "
                    f"steps: {trends.steps_text(one) or 'none'}")
    every = -(-len(order) // MOST_TICKS)
    axes.set_xticks(range(0, len(order), every),
                    [started[5:16].replace("T", "\n") or run for started, run in order[::every]])
    axes.set_xlim(-0.5, len(order) - 0.5)
    axes.set_xlabel("run, by its start (UTC)")
    _scale(axes, [p.median for one in found for p in one.points])
    row = found[0].row
    axes.set_ylabel(f"{words.metric_label(row.metric)} ({row.unit})")
    axes.legend(loc="best", frameon=False, handlelength=3)
    title = words.capital(f"{words.metric_label(row.metric)}, {row.cell}")
    theme.finish(figure, title, words.accel_label(row.accel, row.place.machine))
    name = re.sub(r"[^a-z0-9]+", "-", f"trend-{number}-{row.metric.name}".lower())
    caption = (
        "Median over the boots of a run, bars from least to greatest boot. A vertical line is a "
        f"step of the variant of its colour. {measured(row.place)}"
    )
    return Plot(name, title, caption, f"Line plot over runs. {'. '.join(said)}.", figure, "", tips)


def _scale(axes: Axes, medians: Sequence[float]) -> None:
    if min(medians) > 0 and max(medians) > LOG_FROM * min(medians):
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.number(value)))


def _line(
    axes: Axes, one: Trend, places: Sequence[int], style: theme.Style, tips: Tips
) -> None:
    medians = [point.median for point in one.points]
    axes.plot(places, medians, style.line, color=style.color, label=one.variant)
    for place, point in zip(places, one.points, strict=True):
        low, high = point.span
        axes.plot([place, place], [low, high], "-", color=style.color, linewidth=1.2)
        mark = axes.plot([place], [point.median], style.marker, color=style.color)[0]
        boots = ", ".join(map(words.number, point.values.values()))
        tips.add(mark, f"{one.variant}, {point.run}: median {words.number(point.median)}; "
                       f"boots: {boots}")
    for index, size in one.steps.items():
        at = (places[index - 1] + places[index]) / 2
        axes.axvline(at, color=style.color, linewidth=1.4, linestyle=style.line)
        axes.annotate(f"{one.variant} {size}", (at, 1.0), xycoords=("data", "axes fraction"),
                      xytext=(3, -4), textcoords="offset points", va="top", fontsize=8.5,
                      color=style.color, rotation=90)
