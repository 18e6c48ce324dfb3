"""What every plot has: title, caption, words for who cannot see it, and its origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from harness.report.analysis.rows import Row
from harness.report.data.rundata import RunData
from harness.report.pages import words
from harness.report.plots import theme


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

    def png(self) -> bytes:
        """PNG on white."""
        return theme.to_png(self.figure)

    def svg(self) -> str:
        """An ``<svg>`` element for HTML."""
        return theme.to_svg(self.figure, self.name, self.title, self.alt)


def boots_text(rows: Sequence[Row]) -> str:
    counts = {len(row.boots(name)) for row in rows for name in row.values}
    low, high = min(counts), max(counts)
    return f"{low} boot{'' if low == high == 1 else 's'} of each variant" if low == high else (
        f"{low} to {high} boots of each variant"
    )


def where(row: Row) -> str:
    base = f"Base {row.base}. " if row.base else ""
    return base + words.accel_caption(row.accel, row.machine)


def origin(row: Row) -> str:
    """The label inside the picture."""
    base = f", base {row.base}" if row.base else ""
    return f"{words.accel_label(row.accel, row.machine)}{base}"


def style_of(data: RunData, name: str) -> theme.Style:
    """A variant's style; controls come last, so that they move nobody else's."""
    ranked = sorted(data.variants, key=lambda variant: variant in data.controls)
    return theme.style(ranked.index(name))
