"""How plots look: one palette for paper, and the same as CSS variables for HTML.

Colours are those of Okabe and Ito ("Color universal design", 2008), told apart by
every common kind of colour vision; marker and line style say the same again.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK = "#1b1c1e"
MUTED = "#5b5c5e"
GRID = "#d3d4d6"
PAPER = "#fefefd"
ORIGIN_WIDTH = 105  # characters of the small print that fit the width
TIP = "tip-"
"""Begins the id of a mark that has a text of its own."""
WIDTH = 8.0  # inches; at 96 px an inch this is the text column of the page


@dataclass(frozen=True)
class Style:
    """How one variant is drawn."""

    color: str
    marker: str
    line: str


STYLES = (
    Style("#0072b2", "o", "-"),
    Style("#d55e00", "s", "--"),
    Style("#009e73", "^", "-."),
    Style("#cc79a7", "D", ":"),
    Style("#56b4e9", "v", "-"),
    Style("#e69f00", "P", "--"),
)

RC: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 10.5,
    "axes.titlesize": 12.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.labelsize": 10.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.8,
    "lines.markersize": 6.5,
    "figure.constrained_layout.wspace": 0.06,
    "svg.fonttype": "none",
    "svg.hashsalt": "harness",
}

# Paper colour to CSS variable; report.html defines them for light and dark.
_VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
    **{style.color: f"var(--v{index})" for index, style in enumerate(STYLES)},
}


def style(index: int) -> Style:
    """The style of the variant at a place of the plan."""
    return STYLES[index % len(STYLES)]


def figure(height: float) -> Figure:
    """A figure of the page's width with constrained layout; call inside :func:`look`."""
    return Figure(figsize=(WIDTH, height), layout="constrained")


def look() -> AbstractContextManager[None]:
    """A context in which figures are made and drawn with this theme."""
    return mpl.rc_context(RC)


def finish(drawing: Figure, title: str, origin: str) -> None:
    """Title above and origin (accel, machine, base) below, both within the figure.

    The origin stays with the picture when somebody copies it out of the page.
    """
    drawing.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12.5)
    small = textwrap.fill(origin, ORIGIN_WIDTH)
    drawing.supxlabel(small, x=0.01, ha="left", fontsize=8.5, color=MUTED)


def to_png(drawing: Figure) -> bytes:
    """The figure on white, 150 dots an inch."""
    stream = io.BytesIO()
    with mpl.rc_context(RC):
        FigureCanvasAgg(drawing)
        drawing.savefig(stream, format="png", dpi=150, facecolor="white")
    drawing.set_layout_engine("none")  # done, and costly: the SVG keeps it
    return stream.getvalue()


def to_svg(
    drawing: Figure, name: str, title: str, description: str, tips: Sequence[str] = ()
) -> str:
    """The figure as an ``<svg>`` element to stand in an HTML page.

    It has a title and a description for a screen reader, no background, CSS
    variables for colours, and ids that start with ``name`` (a page holds several). ``tips``:
    the texts of the marks whose ids begin with :data:`TIP`.
    """
    stream = io.StringIO()
    with mpl.rc_context(RC):
        FigureCanvasSVG(drawing)
        metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        drawing.savefig(stream, format="svg", transparent=True, metadata=metadata)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(
        rf'<g id="{TIP}(\d+)">',
        lambda mark: f'<g class="tip"><title>{_escape(tips[int(mark[1])])}</title>', text,
    )
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'xlink:href="#', f'href="#{name}-', text)
    for color, variable in _VARIABLES.items():
        text = re.sub(color, variable, text, flags=re.IGNORECASE)
    opening = re.match(r"<svg[^>]*>", text)
    assert opening is not None  # matplotlib always writes one
    box = re.search(r'viewBox="[^"]*"', opening[0])
    head = (
        f'<svg {box[0] if box else ""} role="img" '
        f'aria-labelledby="{name}-title {name}-desc">\n'
        f'<title id="{name}-title">{_escape(title)}</title>\n'
        f'<desc id="{name}-desc">{_escape(description)}</desc>'
    )
    return head + text[opening.end() :].rstrip() + "\n"


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
