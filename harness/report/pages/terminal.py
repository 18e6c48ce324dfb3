"""The few lines that end ``harness bench`` and ``harness report``, as wide as the terminal."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from harness.report.analysis.analyse import Analysis
from harness.report.analysis.findings import Line

WIDEST = 120
NARROWEST = 60


def terminal_text(analysis: Analysis, width: int = 0, where: Sequence[str] = ()) -> str:
    """What was compared, warnings, the three sentences, the findings; ends without a newline.

    ``where``: which functions hold the differences, a cell each.
    ``width``: columns; 0 takes the terminal's, within :data:`NARROWEST` and :data:`WIDEST`.
    """
    console = _console(width)
    _hanging(console, "", f"Compared: {analysis.compared}")
    for warning in analysis.warnings:
        _hanging(console, "! ", warning)
    for sentence in analysis.answer:
        head = f"{sentence.kind.capitalize()}: {sentence.verdict}. "
        _hanging(console, "", head + sentence.text)
    if where:
        _hanging(console, "", f"Where: {'; '.join(where)} instructions.")
    if analysis.findings:
        console.print(_grid(analysis.findings))
    for text in (*(f"Measured under {label}" for label in analysis.measured_under),
                 *analysis.notes):
        _hanging(console, "", text)
    return _text(console)


def table_text(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int = 0) -> str:
    """Any table for a terminal; cells wrap where it is too narrow for them."""
    grid = _empty(columns)
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    console = _console(width)
    console.print(grid)
    return _text(console)


def _grid(lines: Sequence[Line]) -> Grid:
    grid = _empty(["", "cell", "medians", "change", "verdict"])
    pairs = {line.pair for line in lines}
    for line in lines:
        cell = f"{line.cell}: {line.metric}" + (f", {line.pair}" if len(pairs) > 1 else "")
        change = f"{line.change} ({line.detail})" if line.detail else line.change
        texts = (f"{line.kind}, {line.clock}", cell, line.sides, change, line.verdict)
        grid.add_row(*map(Text, texts))
    return grid


def _empty(columns: Sequence[str]) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        grid.add_column(Text(column), overflow="fold")
    return grid


def _console(width: int) -> Console:
    if not width:
        width = min(WIDEST, max(NARROWEST, shutil.get_terminal_size((100, 24)).columns))
    return Console(file=io.StringIO(), width=width, color_system=None, highlight=False)


def _hanging(console: Console, mark: str, text: str) -> None:
    """A paragraph whose further lines are indented."""
    lines = Text(mark + text).wrap(console, console.width - 2)
    for place, line in enumerate(lines):
        console.print(Padding(line, (0, 0, 0, 2 if place else 0)), soft_wrap=False)


def _text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().rstrip("\n").split("\n"))
