"""What the outputs show, as plain tables and sentences; HTML, Markdown and mail only lay it out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from harness.report.analysis import letter, metrics
from harness.report.analysis.determinism import Residual
from harness.report.analysis.rows import Row
from harness.report.analysis.summary import Summary
from harness.report.data.identity import plural
from harness.report.data.rundata import RunData
from harness.report.pages import words

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\ufffd]")


@dataclass
class Table:
    """A captioned table; the first column heads its row, ``numeric`` columns align right.

    What follows a newline in a cell is its small print.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    numeric: set[int] = field(default_factory=set)
    verdicts: set[int] = field(default_factory=set)


def clean(text: str) -> str:
    """Console text without escape sequences and characters that no page may hold."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def title(data: RunData) -> str:
    """What the report is about, for its heading: ``before and after, debian-6.1, TCG``."""
    names = [name for name in data.variants if name not in data.controls]
    parts = [" and ".join(names[:4]) + (" and more" if len(names) > 4 else "")]
    for column in ("base", "accel"):
        kinds = sorted(str(kind) for kind in data.samples[column].unique() if kind)
        known = [words.SHORT_ACCELS.get(kind, kind) for kind in kinds]
        parts += [" and ".join(known)] if kinds else []
    return ", ".join(part for part in parts if part) or "nothing measured"


# ---- tables


def summary_table(summary: Summary) -> Table:
    """The findings, the A/A control first."""
    lines = [
        [line.kind, line.what.replace(": ", "\n", 1), *line.values, line.change, line.verdict]
        for line in summary.lines
    ]
    columns = ["finding", "cell", *summary.names, "change", "verdict"]
    end = len(columns) - 1
    caption = f"Findings: medians over boots, {summary.where}"
    return Table(caption, columns, lines, set(range(2, end)), {end})


def result_tables(data: RunData, rows: Sequence[Row]) -> dict[str, list[Table]]:
    """Workload to its tables, one for each accel, base and host."""
    found: dict[str, list[Table]] = {}
    ordered = sorted(rows, key=lambda row: (row.workload != "vmpte", row.workload))
    for workload, of_workload in groupby(ordered, key=lambda row: row.workload):
        groups: dict[tuple[str, str, str], list[Row]] = {}
        for row in of_workload:
            groups.setdefault((row.accel, row.base, row.machine), []).append(row)
        found[workload] = [
            _result_table(group, names)
            for group in groups.values()
            for names in _pairs(data, group)
        ]
    return found


def _pairs(data: RunData, rows: list[Row]) -> list[list[str]]:
    """The columns of each table: a baseline with one other; what is compared with nothing last."""
    costs = any(metrics.is_cost(row.metric) for row in rows)
    names = [name for name in data.variants if any(row.boots(name) for row in rows)
             and (costs or name not in data.controls)]  # fmt: skip
    known = {name: c.baseline for row in rows for name, c in row.comparisons.items()}
    found = [[known[name], name] for name in names if name in known]
    alone = [name for name in names if not any(name in pair for pair in found)]
    return [*found, *([alone] if alone else [])]


def _result_table(rows: list[Row], names: list[str]) -> Table:
    reference, other = names[0], names[-1]
    compared = any(other in row.comparisons for row in rows)
    columns = ["cell", "metric", *(f"{name}\nmedian; range, boots" for name in names)]
    columns += ["change\ninterval", "verdict"] if compared else []
    lines = []
    for row in rows:
        one = row.comparisons.get(other)
        if one is not None and one.control and not metrics.is_cost(row.metric):
            continue  # what is exact needs no control
        line = [_two_lines(row.cell), f"{row.metric}\n{row.unit}"]
        line += [_spread(row.boots(name)) for name in names]
        if compared:
            change = words.percent(one.delta_pct) if one else "-"
            line += [f"{change}\n{words.interval(one)}", one.verdict if one else "-"]
        lines.append(line)
    caption = _caption(rows, f"{other} against {reference}" if compared else ", ".join(names))
    end = len(columns) - 1
    return Table(caption, columns, lines, set(range(2, end + (not compared))),
                 {end} if compared else set())  # fmt: skip


def _caption(rows: list[Row], what: str) -> str:
    first = rows[0]
    rest = sorted({row.rest for row in rows} - {""})
    parts = [f"{first.workload}: {what}", *([f"base {first.base}"] if first.base else []), *rest]
    label = words.accel_caption(first.accel, first.machine)
    return f"{', '.join(parts)}. Measured under {label}"


def _two_lines(text: str) -> str:
    """What follows the first comma as small print."""
    return text.replace(", ", "\n", 1)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "not measured"
    low, high = min(values), max(values)
    middle = sorted(values)[len(values) // 2]
    if len(values) % 2 == 0:
        middle = (sorted(values)[len(values) // 2 - 1] + middle) / 2
    span = "" if low == high else f"{words.number(low)} to {words.number(high)}, "
    return f"{words.number(middle)}\n{span}{plural(len(values), 'boot')}"


def letter_tables(data: RunData, rows: Sequence[Row]) -> list[Table]:
    """The letter's figures beside ours, one table for each accel, base and host."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.letter is not None:
            groups.setdefault((row.accel, row.base, row.machine), []).append(row)
    return [_letter_table(data, group) for group in groups.values()]


def _letter_table(data: RunData, rows: list[Row]) -> Table:
    first, second = _beside_the_letter(data, rows)
    lines = []
    for row in rows:
        figure, comparison = row.letter, row.comparisons.get(second)
        assert figure is not None  # the caller chose such rows
        lines.append([
            _letter_label(row), figure.printed_before, figure.printed_after,
            words.percent(figure.delta_pct), _ours(row, first), _ours(row, second),
            words.percent(comparison.delta_pct) if comparison else "-",
            comparison.verdict if comparison else "not compared",
        ])  # fmt: skip
    base = f", base {rows[0].base}" if rows[0].base else ""
    caption = f"The letter ({letter.BASE}, {letter.HARDWARE}) beside ours ({words.accel_label(rows[0].accel, rows[0].machine)}{base}). Compare the changes, not the figures."  # noqa: E501
    columns = ["", "letter: before", "letter: after", "letter: change", f"ours: {first}",
               f"ours: {second}", "ours: change", "ours: verdict"]  # fmt: skip
    return Table(caption, columns, lines, set(range(1, 7)), {7})


def _beside_the_letter(data: RunData, rows: list[Row]) -> tuple[str, str]:
    """Baseline and variant: ``after`` if it is compared, else the first that is, else what is."""
    pairs = {name: c.baseline for row in rows for name, c in row.claims.items()}
    if pairs:
        name = "after" if "after" in pairs else next(iter(pairs))
        return pairs[name], name
    names = [n for n in data.variants if n not in data.controls and any(r.boots(n) for r in rows)]
    first = names[0] if names else data.variants[0]
    return first, (*names[1:], "after" if first != "after" else "before")[0]


def _letter_label(row: Row) -> str:
    names = {"VmSize": "VIRT (VmSize)", "VmRSS": "RES (VmRSS)",
             "VmPTE_per_VmRSS": "VmPTE : RES", "VmSize_per_VmRSS": "VIRT : RES"}  # fmt: skip
    cell = row.cell
    if row.workload in ("vmpte", "server-snapshot"):
        return f"{names.get(row.metric, row.metric)}\n{cell}"
    return f"pf/min, {cell}"


def _ours(row: Row, name: str) -> str:
    value = row.median(name)
    if value is None:
        return "not measured"
    return words.like_letter(row.metric, value)


def determinism_table(found: Sequence[Residual]) -> Table:
    """Every count of a boot and of the same boot done again."""
    columns = ["cell", "metric", "first", "again", "difference (%)", "aim (%)"]
    lines = [
        [words.cell(r.workload, r.params, tuple(r.params)), r.metric, words.number(r.first),
         words.number(r.again), f"{r.pct:.3f}", f"{r.limit_pct:g}"]
        for r in found
    ]  # fmt: skip
    origin = "; ".join(dict.fromkeys(words.accel_caption(r.accel, r.machine) for r in found))
    return Table(f"The same boot twice. Measured under {origin}", columns, lines, {2, 3, 4, 5})
