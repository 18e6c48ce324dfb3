"""What the plots of a report have in common: how a side is drawn, and the words of their origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.analysis import words
from harness.report.analysis.analyse import Analysis
from harness.report.analysis.rows import Place, Row
from harness.report.data.identity import Column
from harness.style import theme
from harness.style.plot import Tips


@dataclass(frozen=True)
class Brush:
    """How one side is drawn, and where its marks' texts go."""

    style: theme.Style
    tips: Tips


def boots_text(rows: Sequence[Row]) -> str:
    """How many boots stand behind rows: ``2 boots of each variant``."""
    counts = {len(row.boots(side)) for row in rows for side in row.values}
    low, high = min(counts), max(counts)
    if low == high:
        return f"{low} boot{'' if low == 1 else 's'} of each variant"
    return f"{low} to {high} boots of each variant"


def where(place: Place) -> str:
    """Base, accel and host for a caption."""
    base = f"Base {place.base}. " if place.base else ""
    return base + words.accel_caption(place.accel, place.machine)


def origin(place: Place) -> str:
    """The label inside the picture."""
    base = f", base {place.base}" if place.base else ""
    return f"{words.accel_label(place.accel, place.machine)}{base}"


def style_of(analysis: Analysis, side: Column) -> theme.Style:
    """A side's style; controls come last, so that they move nobody else's."""
    ranked = sorted(analysis.data.columns, key=lambda column: column.control)
    return theme.style(ranked.index(side))
