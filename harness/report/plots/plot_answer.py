"""The one figure that carries the answer: what is held, and what it costs."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from harness.report.analysis import findings, words
from harness.report.analysis.analyse import Analysis
from harness.report.analysis.findings import Claim
from harness.report.analysis.rows import Row
from harness.report.data.identity import Column
from harness.report.plots.picture import origin, style_of
from harness.report.plots.plot_changes import scale_changes, tip
from harness.style import theme
from harness.style.plot import Plot, Tips

ANSWER = "answer"
MOST_MEMORY = 3  # comparisons of memory
MOST_COSTS = 6  # and of costs
LOG_FROM = 20  # quantities that differ by so much share a logarithmic axis
LINE = 0.27  # inches a line
LEAST = 1.9  # inches
LABEL_WIDTH = 52  # characters of an axis label that fit beside the names of lines
NAME_WIDTH = 46  # characters of a line's name; a longer one takes two, in smaller letters


def answering(analysis: Analysis) -> Plot | None:
    """Memory of each side on top, changes of costs with intervals below; None without either."""
    top = findings.headlines(analysis.rows)
    memory = _some(findings.claims(row for row in top if row.is_memory), MOST_MEMORY)
    held = list({id(row): row for row, _ in memory}.values())
    costs = _some(findings.claims(row for row in top if row.is_cost), MOST_COSTS)
    if not held and not costs:
        return None
    heights = _heights(held, costs)
    # Title, axis and small print take their room from the axes: with too little nothing is left.
    figure = theme.figure(max(sum(heights), LEAST))
    panels = list(figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
    tips, said = Tips(), []
    if held:
        said.append(_memory(analysis, panels[0], held, tips))
    if costs:
        said.append(_costs(analysis, panels[-1], costs, tips))
    title = _title(held, costs)
    places = dict.fromkeys(row.place for row in [*held, *(row for row, _ in costs)])
    theme.finish(figure, title, "; ".join(map(origin, places)))
    every = [claim for row in top if row.is_cost for claim in findings.claims([row])]
    some = len(costs) < len(every)
    caption = (f"{len(costs)} of {len(every)} costs, those that differ first. " if some else "") + (
        "Point at a mark to read its boots."
    ) + (
        " Lines are intervals (how they are made: see the method); a filled mark is a difference, "
        "a hollow one is none." if costs else ""
    )
    captions = dict.fromkeys(words.accel_caption(place.accel, place.machine) for place in places)
    return Plot(ANSWER, title, f"{caption} {' '.join(captions)}", " ".join(said), figure, "", tips)


def _title(held: Sequence[Row], costs: Sequence[Claim]) -> str:
    parts = (["memory held"] if held else []) + (["what it costs"] if costs else [])
    return words.capital(", and ".join(parts))


def _heights(held: Sequence[Row], costs: Sequence[Claim]) -> list[float]:
    lines = sum(len(_sides(row)) for row in held)
    found = [0.8 + LINE * lines] if held else []
    return found + ([0.85 + LINE * len(costs)] if costs else [])


def _some(claims: Sequence[Claim], most: int) -> list[Claim]:
    """As many as fit, in their order: of each pair and workload one before any has a second.

    What differs comes before what does not: a figure of equal cells would hide it.
    """
    groups: dict[tuple[str, str], list[Claim]] = {}
    for row, comparison in claims:
        if comparison.delta_pct is not None:
            key = (row.workload, findings.pair(comparison))
            groups.setdefault(key, []).append((row, comparison))
    ranked = sorted(
        ((place, number, claim) for number, group in enumerate(groups.values())
         for place, claim in enumerate(sorted(group, key=_is_same))), key=lambda one: one[:2],
    )
    chosen = {id(claim[1]) for _, _, claim in ranked[:most]}
    return [claim for claim in claims if id(claim[1]) in chosen]


def _is_same(claim: Claim) -> bool:
    return claim[1].word not in ("lower", "higher")


def _sides(row: Row) -> list[Column]:
    return [side for side in row.values if not side.control]


def _memory(analysis: Analysis, axes: Axes, rows: Sequence[Row], tips: Tips) -> str:
    """A bar a side, with its value."""
    bars = [(row, side) for row in rows for side in _sides(row)]
    medians = [row.median(side) or 0.0 for row, side in bars]
    positive = [value for value in medians if value > 0]
    logarithmic = len(positive) > 1 and max(positive) > LOG_FROM * min(positive)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(min(positive) / 4, max(positive) * 2)
        axes.xaxis.set_major_locator(LogLocator(base=10, numticks=5))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(0, max([*medians, 1e-9]) * 1.12)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.number(value)))
    for place, ((row, side), median) in enumerate(zip(bars, medians, strict=True)):
        style = style_of(analysis, side)
        left = axes.get_xlim()[0] if logarithmic else 0.0
        shown = median if median > 0 or not logarithmic else left
        bar = axes.barh([place], [shown - left], left=left, height=0.66, color=style.color)[0]
        boots = ", ".join(map(words.number, row.boots(side)))
        tips.add(bar, f"{side.label}, {row.cell}: median {words.number(median)} {row.unit}; "
                      f"boots: {boots}")
        axes.annotate(f"{words.number(median)} {row.unit}", (1.02, place), va="center",
                      xycoords=("axes fraction", "data"), annotation_clip=False,
                      color=style.color, fontweight="bold")
    _name_lines(axes, [f"{row.cell}, {side.label}" if len(rows) > 1 else side.label
                       for row, side in bars])
    labels = list(dict.fromkeys(words.metric_label(row.metric) for row in rows))
    where = f", {rows[0].cell}" if len(rows) == 1 else ""
    units = list(dict.fromkeys(row.unit for row in rows))
    scale = ", logarithmic" if logarithmic else ""
    label = f"{words.listed(labels)}{where} ({words.listed(units)}{scale})"
    axes.set_xlabel(textwrap.fill(label, LABEL_WIDTH))
    return "; ".join(f"{row.cell}, {side.label}: {words.number(median)} {row.unit}"
                     for (row, side), median in zip(bars, medians, strict=True)) + "."


def _costs(analysis: Analysis, axes: Axes, claims: Sequence[Claim], tips: Tips) -> str:
    """A mark and an interval a comparison, zero marked."""
    several = len({comparison.variant for _, comparison in claims}) > 1
    kinds = {row.metric.name for row, _ in claims}
    for place, (row, comparison) in enumerate(claims):
        style = style_of(analysis, comparison.variant)
        if comparison.interval_pct is not None:
            line = axes.plot(comparison.interval_pct, [place, place], "-", color=style.color,
                             linewidth=2.6)[0]
            tips.add(line, tip(row, comparison))
        decided = comparison.word in ("lower", "higher")
        mark = axes.plot([comparison.delta_pct or 0.0], [place], style.marker, color=style.color,
                         markerfacecolor=style.color if decided else theme.PAPER, markersize=7.5,
                         markeredgewidth=1.8)[0]
        tips.add(mark, tip(row, comparison))
        text = f"{words.change(comparison)}  {comparison.verdict.partition(' (')[0]}"
        axes.annotate(text, (1.02, place), xycoords=("axes fraction", "data"), va="center",
                      annotation_clip=False, color=style.color if several else theme.INK,
                      fontsize=9.5)
    scale_changes(axes, [comparison for _, comparison in claims])
    bent = ", logarithmic beyond ±1" if axes.get_xscale() == "symlog" else ""
    names = [
        row.cell + (f", {words.metric_label(row.metric)}" if len(kinds) > 1 else "")
        + (f", {comparison.variant.label}" if several else "")
        for row, comparison in claims
    ]
    _name_lines(axes, names)
    what = words.metric_label(claims[0][0].metric) if len(kinds) == 1 else "the cost"
    better = {row.metric.better for row, _ in claims} - {"neither"}
    hint = f"; {next(iter(better))} is better" if len(better) == 1 else ""
    baselines = {comparison.baseline for _, comparison in claims}
    base = next(iter(baselines)).label if len(baselines) == 1 else "its own baseline"
    label = f"change of {what} against {base} (%{bent}{hint})"
    axes.set_xlabel(textwrap.fill(label, LABEL_WIDTH))
    return "; ".join(
        f"{name}: {words.change(c)} ({words.interval(c) or 'no interval'}), {c.verdict}"
        for name, (_, c) in zip(names, claims, strict=True)
    ) + "."


def _name_lines(axes: Axes, names: Sequence[str]) -> None:
    lines = [textwrap.fill(name, NAME_WIDTH, break_on_hyphens=False) for name in names]
    axes.set_yticks(range(len(names)), lines, fontsize=9.5, linespacing=0.9)
    for label, text in zip(axes.get_yticklabels(), lines, strict=True):
        if "\n" in text:
            label.set_fontsize(8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
