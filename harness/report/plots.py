"""The plots: page-table memory over time, fault rate by threads, change with intervals.

Every plot names accel and machine in its caption, says its finding in words for who
cannot see it, and is drawn as SVG for the page and as PNG for Markdown.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.report import theme, words
from harness.report.load import RunData
from harness.report.tables import Row
from harness.report.verdict import Comparison

RATE_METRICS = ("faults_per_minute", "instructions_per_fault")
MOST_POINTS = 400  # of one boot's time series that are drawn
MOST_BARS = 40  # cells in one ratio plot


@dataclass
class Plot:
    """A drawn plot. ``alt`` states what is to be seen, ``caption`` how it was measured."""

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure

    def png(self) -> bytes:
        """PNG on white."""
        return theme.to_png(self.figure)

    def svg(self) -> str:
        """An ``<svg>`` element for HTML."""
        return theme.to_svg(self.figure, self.name, self.title, self.alt)


def draw(data: RunData, rows: Sequence[Row]) -> list[Plot]:
    """All plots that the data can fill, each once per accel, base and machine."""
    with theme.look():
        plots = [*_memory_plots(data, rows)]
        groups: dict[tuple[str, str, str, str], list[Row]] = defaultdict(list)
        for row in rows:
            if row.metric in RATE_METRICS and "threads" in row.params:
                mode = str(row.params.get("mode", "letter"))
                groups[row.metric, mode, row.accel, f"{row.base} {row.machine}"].append(row)
        plots += [_rates(data, group) for group in groups.values()]
        compared: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
        for row in rows:
            if row.metric in RATE_METRICS and any(
                c.delta_pct is not None for c in row.comparisons.values()
            ):
                compared[row.metric, row.accel, f"{row.base} {row.machine}"].append(row)
        plots += [_ratios(data, group[:MOST_BARS]) for group in compared.values()]
    return _unique(plots)


def _unique(plots: list[Plot]) -> list[Plot]:
    seen: dict[str, int] = defaultdict(int)
    for plot in plots:
        plot.name = re.sub(r"[^a-z0-9]+", "-", plot.name.lower()).strip("-")
        seen[plot.name] += 1
        if seen[plot.name] > 1:
            plot.name += f"-{seen[plot.name]}"
    return plots


def _boots_text(rows: Sequence[Row]) -> str:
    counts = {len(row.boots(name)) for row in rows for name in row.values}
    low, high = min(counts), max(counts)
    return f"{low} boot{'' if low == high == 1 else 's'} of each variant" if low == high else (
        f"{low} to {high} boots of each variant"
    )


def _where(row: Row) -> str:
    base = f"Base {row.base}. " if row.base else ""
    return base + words.accel_caption(row.accel, row.machine)


# ---- page-table memory over time


def _memory_plots(data: RunData, rows: Sequence[Row]) -> list[Plot]:
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
    return series[same & (series["params"].map(json.loads) == row.params)]


def _memory_over_time(data: RunData, row: Row, points: pd.DataFrame) -> Plot:
    figure = theme.figure(4.2)
    axes = figure.add_subplot()
    ends: list[tuple[float, float, str, theme.Style]] = []
    for name in row.values:
        style = theme.style(data.variants.index(name))
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
    axes.set_ylabel("VmPTE (kB, logarithmic)")
    title = f"Page-table memory of one process, {words.cell(row.workload, row.params)}"
    axes.set_title(title)
    values = "; ".join(f"{n}: {words.number(row.median(n))} kB at the end" for n in row.values)
    caption = f"VmPTE while the program maps, touches and drops memory, one line a boot, {_boots_text([row])}; the marked value is the median at the end."  # noqa: E501
    return Plot(f"vmpte-{row.accel}", title, f"{caption} {_where(row)}",
                f"Line plot of VmPTE over time. {values}.", figure)  # fmt: skip


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
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    positive = [m for m in medians if m > 0]
    low, high = min([low, *positive]), max([high, *positive])
    if high / low < 100:
        low, high = low / 4, high * 4
    axes.set_ylim(low / 1.6, high * 1.6)
    axes.yaxis.set_major_locator(LogLocator(base=10, numticks=12))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.number(value)))


def _label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, theme.Style]]) -> None:
    """Each line's name at its end; names that would meet are moved apart."""
    low, high = np.log10(axes.get_ylim())
    taken: list[float] = []
    for x, y, text, style in sorted(ends, key=lambda end: end[1]):
        place = (np.log10(max(y, 10**low)) - low) / (high - low)
        if taken and place - taken[-1] < 0.13:
            place = taken[-1] + 0.13
        taken.append(place)
        axes.annotate(
            text, xy=(x, y), xytext=(1.02, place), textcoords="axes fraction",
            color=style.color, va="center", fontweight="bold", annotation_clip=False,
        )  # fmt: skip


# ---- rate by threads


def _rates(data: RunData, rows: Sequence[Row]) -> Plot:
    rows = sorted(rows, key=lambda row: float(row.params["threads"]))
    first = rows[0]
    figure = theme.figure(4.2)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1))
    names = [name for name in data.variants if any(row.boots(name) for row in rows)]
    for place, name in enumerate(names):
        shift = 0.26 * (place - (len(names) - 1) / 2) / max(1, len(names) - 1) * 2
        _rate_points(left, rows, name, shift, theme.style(data.variants.index(name)))
        _relative_points(right, rows, names[0], name, shift,
                         theme.style(data.variants.index(name)))  # fmt: skip
    label = words.metric_label(first.metric)
    _finish_rates(left, right, rows, names, label)
    mode = first.params.get("mode", "letter")
    title = f"{label[0].upper()}{label[1:]} by threads"
    title += "" if mode == "letter" else f", mode {mode}"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12.5)
    medians = "; ".join(
        f"{words.cell(row.workload, row.params)}: "
        + ", ".join(f"{n} {words.number(row.median(n))}" for n in names if row.boots(n))
        for row in rows
    )
    caption = f"Left: each point one boot (median of its repeats), lines through the medians over boots. Right: the same points as the change from the median of '{names[0]}'; the bar is the median. {_boots_text(rows)}."  # noqa: E501
    return Plot(f"{first.metric}-{mode}-{first.accel}", title, f"{caption} {_where(first)}",
                f"Two panels of points by number of threads. Medians: {medians}.", figure)  # fmt: skip


def _rate_points(
    axes: Axes, rows: Sequence[Row], name: str, shift: float, style: theme.Style
) -> None:
    shift /= 2.5
    places = [place for place, row in enumerate(rows) if row.boots(name)]
    medians = [rows[place].median(name) for place in places]
    axes.plot([p + shift for p in places], medians, style.line, color=style.color, label=name)
    for place in places:
        values = rows[place].boots(name)
        axes.plot([place + shift] * len(values), values, style.marker, color=style.color,
                  alpha=0.7, markeredgewidth=0)  # fmt: skip


def _relative_points(
    axes: Axes, rows: Sequence[Row], reference: str, name: str, shift: float, style: theme.Style
) -> None:
    for place, row in enumerate(rows):
        median, values = row.median(reference), row.boots(name)
        if not median or not values:
            continue
        changes = [100 * (value / median - 1) for value in values]
        axes.plot([place + shift] * len(changes), changes, style.marker, color=style.color,
                  alpha=0.7, markeredgewidth=0)  # fmt: skip
        middle = float(np.median(changes))
        axes.plot([place + shift - 0.14, place + shift + 0.14], [middle, middle],
                  color=style.color, linewidth=2.4, solid_capstyle="butt")  # fmt: skip


def _finish_rates(
    left: Axes, right: Axes, rows: Sequence[Row], names: Sequence[str], label: str
) -> None:
    for axes in (left, right):
        axes.set_xticks(range(len(rows)), [str(row.params["threads"]) for row in rows])
        axes.set_xlim(-0.6, len(rows) - 0.4)
        axes.set_xlabel("threads")
        axes.grid(axis="x", visible=False)
    left.set_ylim(bottom=0, top=left.get_ylim()[1] * 1.12)
    left.set_ylabel(_scaled(left, label))
    left.legend(loc="lower right", frameon=False, handlelength=3)
    right.axhline(0, color=theme.MUTED, linewidth=1)
    reach = max(0.5, *(abs(end) for end in right.get_ylim()))
    right.set_ylim(-reach * 1.05, reach * 1.05)
    right.yaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    right.set_ylabel(f"change from the median of {names[0]} (%)")


def _scaled(axes: Axes, label: str) -> str:
    """Show millions as such; returns the axis label."""
    if axes.get_ylim()[1] < 2e6:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.number(value)))
        return label
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:g}"))
    return f"{label} (millions)"


# ---- change with intervals


def _ratios(data: RunData, rows: Sequence[Row]) -> Plot:
    lines = [(row, name, c) for row in rows for name, c in row.comparisons.items()
             if c.delta_pct is not None]  # fmt: skip
    figure = theme.figure(1.7 + 0.52 * len(lines))
    axes = figure.add_subplot()
    for place, (row, name, comparison) in enumerate(lines):
        _ratio_line(axes, place, comparison, theme.style(data.variants.index(name)))
        if row.letter is not None:
            axes.plot([row.letter.delta_pct], [place + 0.28], "*", color=theme.MUTED,
                      markersize=8, markeredgewidth=0)  # fmt: skip
    several = len({name for _, name, _ in lines}) > 1
    _finish_ratios(axes, [_line_label(row, name, c, several) for row, name, c in lines],
                   [f"{words.percent(c.delta_pct)}  {_short(c.verdict)}" for _, _, c in lines])  # fmt: skip
    first = rows[0]
    label = words.metric_label(first.metric)
    axes.set_xlabel(f"change of {label} against {data.variants[0]} (%)")
    title = f"Change of {label}, every cell"
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12.5)
    star = " Star: the letter's own change, on its hardware." if any(r.letter for r in rows) else ""
    caption = f"Ratio of the medians over boots. {_interval_text(lines)} Filled: a verdict of lower or higher; hollow: none.{star}"  # noqa: E501
    said = "; ".join(
        f"{_line_label(row, name, c, several)}: {words.percent(c.delta_pct)}"
        f" ({words.interval(c) or 'no interval'}), {c.verdict}" for row, name, c in lines
    )  # fmt: skip
    return Plot(f"change-{first.metric}-{first.accel}", title, f"{caption} {_where(first)}",
                f"Points with intervals, one line a cell. {said}.", figure)  # fmt: skip


def _ratio_line(axes: Axes, place: int, comparison: Comparison, style: theme.Style) -> None:
    decided = comparison.verdict in ("lower", "higher")
    if comparison.interval_pct is not None:
        dashed = comparison.interval_kind == "range"
        axes.plot(comparison.interval_pct, [place, place], ":" if dashed else "-",
                  color=style.color, linewidth=2.4)  # fmt: skip
    axes.plot([comparison.delta_pct or 0.0], [place], style.marker, color=style.color,
              markerfacecolor=style.color if decided else "none", markersize=8,
              markeredgewidth=1.8)  # fmt: skip


def _finish_ratios(axes: Axes, labels: Sequence[str], verdicts: Sequence[str]) -> None:
    axes.axvline(0, color=theme.MUTED, linewidth=1.2)
    reach = max(1.0, *(abs(end) for end in axes.get_xlim()))
    axes.set_xlim(-reach * 1.05, reach * 1.05)
    axes.set_ylim(len(labels) - 0.45, -0.6)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))
    for place, verdict in enumerate(verdicts):
        axes.annotate(verdict, xy=(1.02, place), xycoords=("axes fraction", "data"),
                      va="center", fontsize=9.5, annotation_clip=False)  # fmt: skip


def _line_label(row: Row, name: str, comparison: Comparison, several: bool) -> str:
    text = words.cell(row.workload, row.params)
    if comparison.control:
        return f"{text}, {name} (control)"
    return f"{text}, {name}" if several else text


def _short(verdict: str) -> str:
    """The verdict without what stands in brackets."""
    return verdict.split(" (")[0]


def _interval_text(lines: Sequence[tuple[Row, str, Comparison]]) -> str:
    kinds = {comparison.interval_kind for _, _, comparison in lines}
    texts = {
        "bootstrap": "Solid line: 95 % bootstrap interval.",
        "range": "Dotted line: smallest to largest ratio of two boots (too few for an interval).",
        "pairs": "Solid line: smallest to largest ratio of two boots with the same history.",
    }
    return " ".join(texts[kind] for kind in sorted(kinds) if kind in texts)
