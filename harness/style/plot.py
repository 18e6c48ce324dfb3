"""What every plot has: title, caption, words for who cannot see it, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass, field

from matplotlib.artist import Artist
from matplotlib.figure import Figure

from harness.style import theme


@dataclass
class Tips:
    """What a reader who points at a mark is told: a browser shows an SVG title by itself."""

    texts: list[str] = field(default_factory=list)

    def add(self, artist: Artist, text: str) -> None:
        """Give a mark its text."""
        artist.set_gid(f"{theme.TIP}{len(self.texts)}")
        self.texts.append(text)


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
