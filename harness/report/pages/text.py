"""Plain text: the few lines that end ``harness bench``, and a mail for linux-mm."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from harness.report.analysis import letter, metrics
from harness.report.analysis import rows as tables
from harness.report.analysis.rows import Row
from harness.report.analysis.summary import Summary, summarize
from harness.report.data.identity import plural
from harness.report.data.rundata import RunData
from harness.report.pages import provenance, words

COLUMNS = 72
TERMINAL = 100  # widest line of the summary for a terminal


def terminal_summary(data: RunData) -> str:
    """Warnings, then a table with the findings that a run is made for; ends without a newline."""
    rows = tables.build(data)
    summary = summarize(data, rows)
    lines = [line for w in summary.warnings for line in _wrap(f"! {w}", TERMINAL, "  ")]
    for label in summary.accel:
        lines += _wrap(f"Measured under {label}", TERMINAL, "  ")
    lines += _columns(_grid(summary))
    for text in (summary.control, summary.determinism, *summary.stability):
        lines += _wrap(text, TERMINAL, "  ")
    return "\n".join(lines)


def _grid(summary: Summary) -> list[list[str]]:
    """Header and lines of the terminal's table; a comparison column when there is one."""
    if not summary.lines:
        return []
    compared = any(line.verdict != "-" for line in summary.lines)
    last = ["change", "verdict"] if compared else []
    grid = [["", "", *summary.names, *last]]
    for line in summary.lines:
        change = line.change.partition("\n")[0]
        grid.append([line.kind, line.what, *line.values, *([change, line.verdict] if last else [])])
    return grid


def _columns(grid: Sequence[Sequence[str]]) -> list[str]:
    """Align: the first two and the last columns left, numbers right."""
    if not grid:
        return []
    widths = [max(len(line[place]) for line in grid) for place in range(len(grid[0]))]
    verdict = len(grid[0]) - 1 if grid[0][-1] == "verdict" else len(grid[0])
    return [
        "  ".join(
            text.ljust(width) if place < 2 or place == verdict else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in grid
    ]


def mail(data: RunData) -> str:
    """The report as plain text of at most 72 columns, in the form of the letter."""
    rows = tables.build(data)
    summary = summarize(data, rows)
    parts = [_wrap(f"Compared: {summary.compared}")]
    parts += [_wrap(f"Measured under {label}") for label in summary.accel]
    if summary.warnings:
        warnings = [line for w in summary.warnings for line in _bullet(w)]
        parts.append(["Read this first:", *warnings])
    parts.append(_wrap(summary.control))
    controls = [
        f"{line.what}: {line.change.partition(chr(10))[0]}, {line.verdict}"
        for line in summary.lines if line.kind.startswith("A/A")
    ]
    if controls:
        head = "A/A control (one kernel under two names):"
        parts.append([head, *(line for text in controls for line in _bullet(text))])
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.accel, row.base, row.machine), []).append(row)
    for (accel, base, _), group in groups.items():
        origin = f" ({words.SHORT_ACCELS.get(accel, accel)}, base {base or 'unknown'})"
        parts += _memory_tables(data, group, origin)
        parts += _cost_tables(data, group, origin)
    parts.append(_letter())
    parts.append(_wrap(summary.determinism))
    parts.append([line for text in summary.stability for line in _wrap(f"Stability: {text}")])
    parts += [_crash(crash) for crash in provenance.crashes(data)]
    parts.append(_made_with(data))
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _memory_tables(data: RunData, rows: Sequence[Row], origin: str) -> list[list[str]]:
    """Per vmpte cell the letter's three lines, one column a variant."""
    cells: dict[str, list[Row]] = {}
    for row in rows:
        if row.metric in letter.MEMORY:
            cells.setdefault(row.cell, []).append(row)
    found = []
    for cell, group in cells.items():
        names = _shown(data, group)
        labels = {"VmSize": "VIRT", "VmRSS": "RES", "VmPTE": "VmPTE"}
        grid = [["", *names]]
        for metric, label in labels.items():
            for row in (row for row in group if row.metric == metric):
                values = [row.median(name) for name in names]
                grid.append(
                    [label, *("-" if v is None else words.like_letter(metric, v) for v in values)]
                )
        found.append([*_wrap(f"Memory, {cell}{origin}:"), "", *_narrow(grid)])
    return found


def _cost_tables(data: RunData, rows: Sequence[Row], origin: str) -> list[list[str]]:
    """Per cost metric the letter's table of threads, with the verdict below each line."""
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        if metrics.is_cost(row.metric):
            kinds.setdefault(row.metric, []).append(row)
    found = []
    for metric, group in kinds.items():
        names = _shown(data, group)
        grid = [["", *names]]
        for row in group:
            grid.append([row.cell,
                         *(words.number(row.median(name)) for name in names)])  # fmt: skip
        label = words.metric_label(metric)
        lines = [*_wrap(f"{label[0].upper()}{label[1:]}{origin}, median over boots:"), ""]
        found.append([*lines, *_narrow(grid), *_changes(group)])
    return found


def _changes(rows: Sequence[Row]) -> list[str]:
    """Change, interval and verdict of every comparison, below a table."""
    lines: list[str] = []
    made = [comparison for row in rows for comparison in row.comparisons.values()]
    if not made:
        return lines
    for row in rows:
        for name, comparison in row.comparisons.items():
            span = words.interval(comparison)
            text = f"{row.cell}, {words.control(name) if comparison.control else name}"
            text += f": {words.percent(comparison.delta_pct)}{f' [{span}]' if span else ''}"
            lines += _bullet(f"{text}, {comparison.verdict}")
    head = f"Change against {words.against(made)} [95 % interval, or range below 5 boots]:"
    return ["", *_wrap(head), *lines]


def _shown(data: RunData, rows: Sequence[Row]) -> list[str]:
    return [name for name in data.variants if any(row.boots(name) for row in rows)]


def _narrow(grid: list[list[str]]) -> list[str]:
    """A table within the mail's width; too many variants become one block below another."""
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


def _letter() -> list[str]:
    """The letter's own figures, for comparison of the changes."""
    grid = [["", "before", "after"]]
    labels = {"VmSize": "VIRT", "VmRSS": "RES", "VmPTE": "VmPTE"}
    for metric, label in labels.items():
        figure = letter.MEMORY[metric]
        grid.append([label, figure.printed_before, figure.printed_after])
    for threads, figure in letter.FAULTS.items():
        after = f"{figure.printed_after} ({figure.delta_pct:+.2f}%)"
        grid.append([f"{plural(threads, 'thread')}, pf/min", figure.printed_before, after])
    head = _wrap(
        f"The letter's figures ({letter.BASE}, {letter.HARDWARE}; compare the changes only):"
    )
    notes = [line for note in letter.NOTES for line in _wrap(note)]
    return [*head, "", *_narrow(grid), "", *_wrap(letter.CITATION), *notes]


def _crash(crash: provenance.CrashView) -> list[str]:
    first = crash.text.splitlines()[:1]
    return [*_wrap(crash.heading), *(line for text in first for line in _wrap(text, indent="  "))]


def _made_with(data: RunData) -> list[str]:
    lines = ["Made with:"]
    for run in data.runs:
        for name, value in provenance.run_table(run).rows:
            if name in ("harness", "accel", "QEMU", "host"):
                lines += _bullet(f"{name}: {value}")
        for row in provenance.variant_table(run).rows:
            variant, base, release, config, patches, compiler, _ = row
            lines += _bullet(f"{variant}: {release} (base {base}), config {config}, "
                             f"patches: {patches}, {compiler}")  # fmt: skip
    return lines


def _bullet(text: str) -> list[str]:
    return _wrap(f"- {text}", indent="  ")


def _wrap(text: str, width: int = COLUMNS, indent: str = "") -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)
