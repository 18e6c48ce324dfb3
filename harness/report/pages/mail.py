"""Plain text for a mailing list: 72 columns, ASCII, a subject first."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from harness.report.analysis import words
from harness.report.analysis.analyse import Analysis
from harness.report.analysis.answer import UNKNOWN
from harness.report.analysis.rows import Place, Row
from harness.report.data.identity import Column
from harness.report.pages import origins, tabular

COLUMNS = 72


def mail(analysis: Analysis) -> str:
    """The report as a mail; published figures stand in it where cells were measured for them."""
    parts = [[_subject(analysis)], _wrap(f"Compared: {analysis.compared}")]
    if analysis.warnings:
        parts.append(["Read this first:",
                      *(line for one in analysis.warnings for line in _bullet(one))])
    for sentence in analysis.answer:
        parts.append(_wrap(f"{sentence.kind.capitalize()}: {sentence.verdict}. {sentence.text}"))
    parts += [_wrap(f"Measured under {label}") for label in analysis.measured_under]
    for group in tabular.grouped(analysis.rows, lambda row: row.place):
        parts += _memory(analysis, group)
        parts += _costs(analysis, group)
    parts += _published(analysis)
    parts += [_wrap(note) for note in analysis.notes]
    parts += [_crash(crash) for crash in origins.crashes(analysis.data)]
    parts.append(_made_with(analysis))
    text = "\n\n".join("\n".join(part) for part in parts if part) + "\n"
    return text.encode("ascii", "replace").decode()


def _subject(analysis: Analysis) -> str:
    """One line, whole words, not wrapped: a mail program takes it as it is."""
    known = [one for one in analysis.answer if one.verdict != UNKNOWN]
    verdicts = [f"{one.kind} {one.verdict}" for one in known]
    text = f"Subject: [measured] {analysis.title}"
    return f"{text}: {'; '.join(verdicts)}" if verdicts else text


def _origin(place: Place) -> str:
    base = f", base {place.base}" if place.base else ""
    return f" ({words.short_accel(place.accel)}{base})"


def _memory(analysis: Analysis, rows: Sequence[Row]) -> list[list[str]]:
    """Per cell a table of its quantities, one column a side."""
    workloads = {row.workload for row in rows if row.is_memory}
    quantities = [row for row in rows if row.workload in workloads and not row.is_cost]
    found = []
    for group in tabular.grouped(quantities, lambda row: (row.workload, row.cell)):
        sides = _shown(analysis, group, controls=False)
        grid = [["", *(side.label for side in sides)]]
        grid += [
            [row.metric.name, *(_quantity(row, side) for side in sides)] for row in group
        ]
        head = _wrap(f"Memory, {group[0].cell}{_origin(group[0].place)}, median over boots:")
        found.append([*head, "", *_narrow(grid), *_changes([r for r in group if r.is_memory])])
    return found


def _quantity(row: Row, side: Column) -> str:
    value = row.median(side)
    return "-" if value is None else f"{words.number(value)} {row.unit}"


def _costs(analysis: Analysis, rows: Sequence[Row]) -> list[list[str]]:
    """Per cost a table of its cells, the changes below."""
    found = []
    costs = [row for row in rows if row.is_cost]
    for group in tabular.grouped(costs, lambda row: row.metric.name):
        sides = _shown(analysis, group, controls=True)
        grid = [["", *(side.label for side in sides)]]
        grid += [[row.cell, *(words.number(row.median(side)) for side in sides)] for row in group]
        label = words.capital(words.metric_label(group[0].metric))
        head = _wrap(f"{label}{_origin(group[0].place)}, median over boots:")
        found.append([*head, "", *_narrow(grid), *_changes(group)])
    return found


def _changes(rows: Sequence[Row]) -> list[str]:
    """Change, interval, difference and verdict of every comparison, below a table."""
    made = [(row, comparison) for row in rows for comparison in row.comparisons.values()]
    if not made:
        return []
    lines: list[str] = []
    for row, one in made:
        span, difference = words.interval(one), words.difference(one, row.unit)
        text = f"{row.cell}, {words.side(one.variant.label, False)}: {words.change(one)}"
        text += f" [{span}]" if span else ""
        text += f", {difference}" if difference else ""
        lines += _bullet(f"{text}, {one.verdict}")
    head = f"Change against {words.against(c for _, c in made)} [interval]:"
    return ["", *_wrap(head), *lines]


def _shown(analysis: Analysis, rows: Sequence[Row], *, controls: bool) -> list[Column]:
    return [side for side in analysis.data.columns
            if any(row.boots(side) for row in rows) and (controls or not side.control)]


def _published(analysis: Analysis) -> list[list[str]]:
    """Published figures of the cells that were measured for them, for comparison of the changes."""
    found = []
    for one, _ in tabular.published_tables(analysis):
        rows = [row for row in analysis.rows if row.beside and row.beside[0].published == one]
        figures = {row.cell + row.metric.name: row for row in rows}.values()
        grid = [["", *one.variants]]
        for row in figures:
            figure = row.beside[0].figure
            change = f" ({figure.delta_pct:+.2f}%)" if row.is_cost else ""
            name = row.cell if row.is_cost else figure.label or row.metric.name
            grid.append([name, figure.printed[0], figure.printed[1] + change])
        on = ", ".join(filter(None, [one.base, one.hardware]))
        notes = [line for note in one.notes for line in _wrap(note)]
        found.append([*_wrap(f"{one.title} ({on}); compare the changes only:"), "",
                      *_narrow(grid), "", *_wrap(one.citation), *notes])
    return found


def _narrow(grid: list[list[str]]) -> list[str]:
    """A table within the mail's width; too many sides become one block below another."""
    widths = [max(len(line[place]) for line in grid) for place in range(len(grid[0]))]
    if sum(widths) + 2 * (len(widths) - 1) <= COLUMNS or len(widths) <= 2:
        return [line[:COLUMNS] for line in _right(grid, widths)]
    half = 1 + (len(widths) - 1) // 2
    first = [line[:half] for line in grid]
    second = [[line[0], *line[half:]] for line in grid]
    return [*_narrow(first), "", *_narrow(second)]


def _right(grid: Sequence[Sequence[str]], widths: Sequence[int]) -> list[str]:
    return [
        "  ".join(
            text.rjust(width) if place else text.ljust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in grid
    ]


def _crash(crash: origins.CrashView) -> list[str]:
    first = crash.text.splitlines()[:1]
    return [*_wrap(crash.heading), *(line for text in first for line in _wrap(text, indent="  "))]


def _made_with(analysis: Analysis) -> list[str]:
    lines = ["Made with:"]
    for run in analysis.data.runs:
        for name, value in origins.run_table(run).rows:
            if name in ("harness", "accel", "emulator", "host"):
                lines += _bullet(f"{name}: {value}")
        for row in origins.kernel_table(run).rows:
            variant, base, release, config, patches, compiler, _ = row
            lines += _bullet(f"{variant}: {release} (base {base}), config {config}, "
                             f"patches: {patches}, {compiler}")
    return lines


def _bullet(text: str) -> list[str]:
    return _wrap(f"- {text}", indent="  ")


def _wrap(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, COLUMNS, subsequent_indent=indent, break_on_hyphens=False)
