"""The change of every cell with its interval and verdict, zero in the middle."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, SymmetricalLogLocator

from harness.records.workloads import Metric
from harness.report.analysis import words
from harness.report.analysis.analyse import Analysis
from harness.report.analysis.rows import Row
from harness.report.analysis.verdict import Comparison
from harness.report.data.identity import Column
from harness.report.plots.picture import origin, style_of, where
from harness.style import theme
from harness.style.plot import Plot, Tips

Mark = tuple[Row, Column, Comparison]
FAR_PCT = 5.0  # a change beyond that, and ten times the usual one, bends the axis
STEP = 0.27  # inches between two comparisons of one cell
GAP = 0.26  # inches between two cells


def comparable(row: Row, *, controls: bool) -> dict[Column, Comparison]:
    """The comparisons of a row that have a change to show, the control first."""
    found = {
        name: c for name, c in row.comparisons.items()
        if c.delta_pct is not None and (controls or not c.control)
    }
    return dict(sorted(found.items(), key=lambda pair: not pair[1].control))


def changes(analysis: Analysis, rows: Sequence[Row], workload: str = "") -> Plot:
    """One group of lines a cell. ``workload``: the section that the plot stands in.

    A workload's own plot leaves the controls out: it shows quantities that are exact.
    """
    lines = [
        (row, name, c) for row in rows
        for name, c in comparable(row, controls=not workload).items()
    ]
    places = _places(rows, lines)
    figure = theme.figure(1.5 + places[-1] + GAP)
    axes = figure.add_subplot()
    tips = Tips()
    for place, (row, name, comparison) in zip(places, lines, strict=True):
        for artist in _ratio_line(axes, place, comparison, style_of(analysis, name)):
            tips.add(artist, tip(row, comparison))
    scale_changes(axes, [comparison for _, _, comparison in lines])
    axes.set_ylim(places[-1] + GAP, 0.0)
    _annotate(axes, analysis, lines, places)
    _published(axes, lines, places)
    kinds = _kinds(rows)
    what = f"quantities of {workload}" if workload else "every cost"
    what = words.metric_label(kinds[0]) if len(kinds) == 1 else what
    bent = ", logarithmic beyond ±1" if axes.get_xscale() == "symlog" else ""
    axes.set_xlabel(f"change against {words.against(c for _, _, c in lines)} (%{bent})")
    clock = words.short_accel(rows[0].accel)
    title = f"Change of {what}, cell by cell, {clock}"
    theme.finish(figure, title, origin(rows[0].place))
    titles = dict.fromkeys(one.published.title for row in rows for one in row.beside)
    star = f" Star: the change as published ({words.listed(titles)})." if titles else ""
    caption = f"Ratio of the medians over boots. {_interval_text(lines)} Filled: a verdict of lower or higher; hollow: none. {_direction_text(kinds)}{star}"  # noqa: E501
    said = "; ".join(
        f"{_label(row, kinds, ' ')}, {name.label}: {words.change(c)} "
        f"({words.interval(c) or 'no interval'}), {c.verdict}" for row, name, c in lines
    )
    file = f"change-{workload or (kinds[0].name if len(kinds) == 1 else 'cost')}-{rows[0].accel}"
    return Plot(file, title, f"{caption} {where(rows[0].place)}",
                f"Points with intervals, cell by cell. {said}.", figure, workload, tips,
                appendix=not workload and not rows[0].trusted)


def _places(rows: Sequence[Row], lines: Sequence[Mark]) -> list[float]:
    """Where each line stands, in inches from the top: those of one cell close together."""
    found, at, last = [], 0.0, rows[0]
    for row, _, _ in lines:
        at += GAP if row is not last else 0.0
        at += STEP
        last = row
        found.append(at)
    return found


def tip(row: Row, comparison: Comparison) -> str:
    """What a mark says of itself: change, verdict, and every boot of both sides."""
    both = "; ".join(
        f"{side.label}: {', '.join(words.number(value) for value in row.boots(side))}"
        for side in (comparison.baseline, comparison.variant)
    )
    return (
        f"{row.cell}, {words.with_unit(row.metric)}: {words.change(comparison)} "
        f"({words.interval(comparison) or 'no interval'}), {comparison.verdict}. Boots: {both}"
    )


def _ratio_line(
    axes: Axes, place: float, comparison: Comparison, style: theme.Style
) -> list[Artist]:
    """Interval and mark of one comparison."""
    drawn: list[Artist] = []
    decided = comparison.word in ("lower", "higher")
    if comparison.interval_pct is not None:
        dashed = comparison.interval_kind == "range"
        drawn += axes.plot(comparison.interval_pct, [place, place], ":" if dashed else "-",
                           color=style.color, linewidth=2.4)
    drawn += axes.plot([comparison.delta_pct or 0.0], [place], style.marker, color=style.color,
                       markerfacecolor=style.color if decided else theme.PAPER, markersize=7.5,
                       markeredgewidth=1.8)
    return drawn


def scale_changes(axes: Axes, comparisons: Sequence[Comparison]) -> None:
    """Zero in the middle; logarithmic where one change is far larger than the usual one."""
    axes.axvline(0, color=theme.MUTED, linewidth=1.2)
    sizes = sorted(abs(c.delta_pct or 0.0) for c in comparisons)
    reach = max(1.0, *(abs(end) for end in axes.get_xlim()))
    if sizes[-1] > FAR_PCT and sizes[-1] > 10 * sizes[len(sizes) // 2]:
        axes.set_xscale("symlog", linthresh=1.0, linscale=1.0)
        axes.set_xlim(-reach * 1.6, reach * 1.6)
        axes.xaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=1.0))
    else:
        axes.set_xlim(-reach * 1.05, reach * 1.05)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:+g}" if value else "0"))


def _annotate(
    axes: Axes, analysis: Analysis, lines: Sequence[Mark], places: Sequence[float]
) -> None:
    """The cell's name on the left, each line's variant and verdict on the right."""
    kinds = _kinds([row for row, _, _ in lines])
    several = len({name for _, name, _ in lines}) > 1
    middles: dict[int, list[float]] = {}
    for place, (row, name, comparison) in zip(places, lines, strict=True):
        middles.setdefault(id(row), []).append(place)
        text = f"{words.change(comparison)}  {_short(comparison.verdict)}"
        text = f"{name.label}: {text}" if several else text
        axes.annotate(text, xy=(1.02, place), xycoords=("axes fraction", "data"), va="center",
                      fontsize=9, annotation_clip=False,
                      color=style_of(analysis, name).color if several else theme.INK)
    named = {id(row): row for row, _, _ in lines}
    axes.set_yticks([sum(at) / len(at) for at in middles.values()],
                    [_label(named[one], kinds, "\n") for one in middles], fontsize=9)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def _published(axes: Axes, lines: Sequence[Mark], places: Sequence[float]) -> None:
    """A star for the change that was published, below the last line of its cell."""
    last = {id(row): (row, place) for place, (row, _, _) in zip(places, lines, strict=True)}
    left, right = axes.get_xlim()
    for row, place in last.values():
        if not row.beside:
            continue
        x = row.beside[0].figure.delta_pct
        outside = x > right or x < left
        room = (min(max(x, left), right) - left) / (right - left)
        far = room > 0.8 or (x < 0 and room > 0.2)  # keep off the line at zero
        axes.plot([min(max(x, left), right)], [place + 0.16], "*", color=theme.MUTED, markersize=8,
                  markeredgewidth=0, clip_on=False)
        text = f"published {words.percent(x)}" if outside else "published"
        axes.annotate(text, (min(max(x, left), right), place + 0.16), va="center", fontsize=8.5,
                      xytext=(-6 if far else 6, 0), textcoords="offset points",
                      ha="right" if far else "left", color=theme.MUTED)


def _kinds(rows: Sequence[Row]) -> list[Metric]:
    """The metrics, each once."""
    return list({row.metric.name: row.metric for row in rows}.values())


def _label(row: Row, kinds: Sequence[Metric], between: str) -> str:
    """The cell, and its metric where there are several."""
    return row.cell + (f",{between}{words.metric_label(row.metric)}" if len(kinds) > 1 else "")


def _direction_text(kinds: Sequence[Metric]) -> str:
    costs = [kind for kind in kinds if kind.kind == "cost" and kind.better != "neither"]
    texts = {
        "more": "Of a rate more is better.",
        "less": "Of a price less is better.",
    }
    return " ".join(texts[way] for way in dict.fromkeys(kind.better for kind in costs))


def _short(verdict: str) -> str:
    """The verdict without what stands in brackets."""
    return verdict.partition(" (")[0]


def _interval_text(lines: Sequence[Mark]) -> str:
    kinds = {comparison.interval_kind for _, _, comparison in lines}
    texts = {
        "bootstrap": "Solid line: 95 % bootstrap interval.",
        "range": "Dotted line: smallest to largest ratio of two boots (too few for an interval).",
        "pairs": "Solid line: smallest to largest ratio of two boots with the same history.",
        "layouts": "Solid line: from the effect of one layout to that of another.",
    }
    return " ".join(texts[kind] for kind in sorted(kinds) if kind in texts)
