"""The kernel functions that hold a difference, as bars."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from harness.report.profiles.difference import Change, ProfileDifference
from harness.style import theme
from harness.style.plot import Plot, Tips

MOST_BARS = 12
SMALLEST = 0.05
"""Instructions per operation below which a function gets no bar of its own."""
STEP = 0.27  # inches between two bars
ROOM = 0.2  # of the axis, for the numbers at the ends of bars


def functions(one: ProfileDifference, slug: str, origin: str) -> Plot | None:
    """One bar a function, the longest first, and what is left; None where nothing differs.

    ``slug`` becomes the figure's name, ``origin`` its small print.
    """
    shown = [change for change in one.functions if abs(change.delta) >= SMALLEST][:MOST_BARS]
    if not shown:
        return None
    rest = one.total.delta - sum(change.delta for change in shown)
    names = [*(change.name for change in shown), "all others"]
    deltas = [*(change.delta for change in shown), rest]
    tips = Tips()
    with theme.look():
        figure = theme.figure(1.7 + STEP * len(names))
        axes = figure.add_subplot()
        more, less = theme.style(1).color, theme.style(0).color
        bars = axes.barh(
            range(len(names)), deltas, height=0.62,
            color=[theme.MUTED if i == len(shown) else more if delta > 0 else less
                   for i, delta in enumerate(deltas)],
        )
        for bar, change in zip(bars, shown, strict=False):
            tips.add(bar, _tip(change, one))
        _ranges(axes, shown, one.histories)
        for i, delta in enumerate(deltas):
            axes.annotate(
                f"{delta:+,.2f}", (_end(i, delta, shown, one.histories), i), fontsize=9.5,
                xytext=(5 if delta >= 0 else -5, 0), textcoords="offset points", va="center",
                ha="left" if delta >= 0 else "right",
            )
        axes.axvline(0, color=theme.MUTED, linewidth=1.2)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")
        axes.margins(x=ROOM)
        axes.set_xlabel(f"instructions per {one.unit}, {one.after} less {one.before}")
        title = (
            f"{one.title}: {one.total.delta:+,.1f} instructions per {one.unit}, by function"
        )
        theme.finish(figure, title, origin)
    return Plot(
        f"functions-{slug}", title, _caption(one), _alt(one, names, deltas), figure, tips=tips
    )


def _end(i: int, delta: float, shown: Sequence[Change], histories: int) -> float:
    """Where a bar and its range end, on the side of its number."""
    if i >= len(shown) or histories == 1:
        return delta
    return max(delta, shown[i].high) if delta >= 0 else min(delta, shown[i].low)


def _ranges(axes: Axes, shown: Sequence[Change], histories: int) -> None:
    """From the least to the greatest difference of a history."""
    if histories > 1:
        for i, change in enumerate(shown):
            axes.plot([change.low, change.high], [i, i], color=theme.INK, linewidth=1.2)


def _tip(change: Change, one: ProfileDifference) -> str:
    file = f" ({change.file})" if change.file else ""
    return (
        f"{change.name}{file}: {change.before:,.2f} to {change.after:,.2f} instructions per "
        f"{one.unit}"
    )


def _caption(one: ProfileDifference) -> str:
    spread = (
        "One history." if one.histories == 1 else
        f"Mean of {one.histories} histories; the line is from the least to the greatest."
    )
    return (
        f"All functions and user space sum to the total, {one.total.before:,.1f} to "
        f"{one.total.after:,.1f} instructions per {one.unit}. What the compiler inlined is in its "
        f"caller. {spread}"
    )


def _alt(one: ProfileDifference, names: Sequence[str], deltas: Sequence[float]) -> str:
    said = "; ".join(f"{name} {delta:+,.2f}" for name, delta in zip(names, deltas, strict=True))
    return f"Bars, instructions per {one.unit}: {said}."
