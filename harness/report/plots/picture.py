"""What every plot has: title, caption, words for who cannot see it, and its origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from harness.report.analysis import words
from harness.report.analysis.analyse import Analysis
from harness.report.analysis.rows import Place, Row
from harness.report.data.identity import Column
from harness.report.plots import theme


@dataclass
class Tips:
    """What a reader who points at a mark is told: a browser shows an SVG title by itself."""

    texts: list[str] = field(default_factory=list)

    def add(self, artist: Artist, text: str) -> None:
        """Give a mark its text."""
        artist.set_gid(f"{theme.TIP}{len(self.texts)}")
        self.texts.append(text)


@dataclass(frozen=True)
class Brush:
    """How one side is drawn, and where its marks' texts go."""

    style: theme.Style
    tips: Tips


@dataclass
class Plot:
    """A drawn plot. ``alt`` states what is to be seen, ``caption`` how it was measured."""

    name: str
    title: str
    caption: str
    alt: str
    figure: Figure
    workload: str = ""
    """The workload it belongs to; empty for a plot over several."""
    tips: Tips = field(default_factory=Tips)
    appendix: bool = False
    """It shows what no finding rests on."""

    def png(self) -> bytes:
        """PNG on white."""
        return theme.to_png(self.figure)

    def svg(self) -> str:
        """An ``<svg>`` element for HTML."""
        return theme.to_svg(self.figure, self.name, self.title, self.alt, self.tips.texts)


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
