"""The change of every cell with its interval and verdict, zero in the middle."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.report import theme, words
from harness.report.load import RunData
from harness.report.picture import Plot, origin, style_of, where
from harness.report.tables import Row
from harness.report.verdict import Comparison


def changes(data: RunData, rows: Sequence[Row]) -> Plot:
    lines = [(row, name, c) for row in rows for name, c in row.comparisons.items()
             if c.delta_pct is not None]  # fmt: skip
    figure = theme.figure(1.7 + 0.52 * len(lines))
    axes = figure.add_subplot()
    for place, (row, name, comparison) in enumerate(lines):
        _ratio_line(axes, place, comparison, style_of(data, name))
        if row.letter is not None and not comparison.control:
            axes.plot([row.letter.delta_pct], [place + 0.3], "*", color=theme.MUTED,
                      markersize=8, markeredgewidth=0)  # fmt: skip
            axes.annotate("letter", (row.letter.delta_pct, place + 0.3), xytext=(-6, 0),
                          textcoords="offset points", ha="right", va="center", fontsize=8.5,
                          color=theme.MUTED)  # fmt: skip
    several = len({name for _, name, _ in lines}) > 1
    _finish_ratios(axes, [_line_label(row, name, c, several) for row, name, c in lines],
                   [f"{words.percent(c.delta_pct)}  {_short(c.verdict)}"
                    for _, _, c in lines])  # fmt: skip
    first = rows[0]
    label = words.metric_label(first.metric)
    axes.set_xlabel(f"change of {label} against {data.variants[0]} (%)")
    title = f"Change of {label}, every cell"
    theme.finish(figure, title, origin(first))
    star = " Star: the letter's own change, on its hardware." if any(r.letter for r in rows) else ""
    caption = f"Ratio of the medians over boots. {_interval_text(lines)} Filled: a verdict of lower or higher; hollow: none.{star}"  # noqa: E501
    said = "; ".join(
        f"{_line_label(row, name, c, several)}: {words.percent(c.delta_pct)}"
        f" ({words.interval(c) or 'no interval'}), {c.verdict}" for row, name, c in lines
    )  # fmt: skip
    return Plot(f"change-{first.metric}-{first.accel}", title, f"{caption} {where(first)}",
                f"Points with intervals, one line a cell. {said}.", figure)  # fmt: skip


def _ratio_line(axes: Axes, place: int, comparison: Comparison, style: theme.Style) -> None:
    decided = comparison.verdict in ("lower", "higher")
    if comparison.interval_pct is not None:
        dashed = comparison.interval_kind == "range"
        axes.plot(comparison.interval_pct, [place, place], ":" if dashed else "-",
                  color=style.color, linewidth=2.4)  # fmt: skip
    axes.plot([comparison.delta_pct or 0.0], [place], style.marker, color=style.color,
              markerfacecolor=style.color if decided else theme.PAPER, markersize=8,
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
    return verdict.partition(" (")[0]


def _interval_text(lines: Sequence[tuple[Row, str, Comparison]]) -> str:
    kinds = {comparison.interval_kind for _, _, comparison in lines}
    texts = {
        "bootstrap": "Solid line: 95 % bootstrap interval.",
        "range": "Dotted line: smallest to largest ratio of two boots (too few for an interval).",
        "pairs": "Solid line: smallest to largest ratio of two boots with the same history.",
    }
    return " ".join(texts[kind] for kind in sorted(kinds) if kind in texts)
