"""What the outputs show, as plain tables and sentences; HTML, Markdown and mail only lay it out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from harness.report import letter, words
from harness.report.identity import plural
from harness.report.load import RunData
from harness.report.tables import Row

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


@dataclass
class Summary:
    """One screen: what was compared, what it saves, what it costs, what to beware of."""

    compared: str
    accel: list[str]
    memory: list[str]
    cost: list[str]
    control: list[str]
    stability: str
    warnings: list[str]


def clean(text: str) -> str:
    """Console text without escape sequences and characters that no page may hold."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def summarize(data: RunData, rows: Sequence[Row]) -> Summary:
    """The sentences at the top of every output."""
    controls = [
        (row, name, c) for row in rows for name, c in row.comparisons.items() if c.control
    ]
    bad = [
        f"The A/A control '{name}' differs from '{data.variants[0]}' in {row.metric}, "
        f"{words.cell(row.workload, row.params)}, although both are one build: "
        "trust no difference of this size."
        for row, name, c in controls
        if c.verdict in ("lower", "higher")
    ]
    return Summary(
        compared=_compared(data),
        accel=_labels(rows),
        memory=[_memory(data, row) for row in rows if row.metric == "VmPTE"],
        cost=[_cost(data, row) for row in rows if words.is_cost(row.metric)],
        control=[
            f"{words.cell(row.workload, row.params)}, {words.metric_label(row.metric)}: "
            f"{words.percent(c.delta_pct)} ({c.verdict})"
            for row, _, c in controls
            if words.is_cost(row.metric)
        ],
        stability=_stability(data),
        warnings=[*bad, *data.warnings],
    )


def title(data: RunData) -> str:
    """What the report is about, for its heading: ``before and after, debian-6.1, TCG``."""
    names = [name for name in data.variants if name not in data.controls]
    parts = [" and ".join(names[:3]) + (" and more" if len(names) > 3 else "")]
    for column in ("base", "accel"):
        kinds = sorted(str(kind) for kind in data.samples[column].unique() if kind)
        known = [words.SHORT_ACCELS.get(kind, kind) for kind in kinds]
        parts += [" and ".join(known)] if kinds else []
    return ", ".join(part for part in parts if part) or "nothing measured"


def _labels(rows: Sequence[Row]) -> list[str]:
    pairs = dict.fromkeys((row.accel, row.machine) for row in rows)
    return [words.accel_caption(*pair) for pair in pairs]


def _compared(data: RunData) -> str:
    texts = []
    for name in data.variants:
        mine = data.results[data.results["variant"] == name]
        boots = len(mine[["run", "boot"]].drop_duplicates())
        meta = next(
            (run.run.variants[v] for run in data.runs for v in run.run.variants
             if v == name.split("@")[0]), {},
        )  # fmt: skip
        patches = meta.get("patches")
        parts = [str(meta.get("release", ""))]
        count = len(patches) if isinstance(patches, list) else 0
        parts += [plural(count, "patch", "patches")] if count else []
        parts += [plural(boots, "boot")]
        parts += ["A/A control"] if name in data.controls else []
        texts.append(f"{name} ({', '.join(part for part in parts if part)})")
    bases = sorted({str(base) for base in data.samples["base"].unique() if base})
    where = f" Base {', '.join(bases)}." if bases else ""
    sides = [*texts[:1], " and ".join(texts[1:])]
    compared = " against ".join(part for part in sides if part)
    return (compared or "nothing was measured") + "." + where


def _memory(data: RunData, row: Row) -> str:
    """``50 GiB loop: VmPTE 102,440 kB before, 248 kB after: 99.76 % (102,192 kB) saved``."""
    sides = ", ".join(f"{words.number(row.median(n))} kB {n}" for n in row.values)
    text = f"{words.cell(row.workload, row.params)}: VmPTE {sides}"
    main, first = row.main, row.median(data.variants[0])
    if main is None or main.delta_pct is None or first is None:
        return text + "."
    change = first * (main.delta_pct / 100)
    verb = "saved" if change < 0 else "more"
    if change == 0:
        return f"{text}: no change."
    times = words.factor(first, first + change)
    amount = f"{words.number(round(abs(change)))} kB {verb} ({words.percent(main.delta_pct)}"
    return f"{text}: {amount}{', ' + times if times else ''})."


def _cost(data: RunData, row: Row) -> str:
    label = f"{words.cell(row.workload, row.params)}, {words.metric_label(row.metric)}"
    if row.main is None or row.main.delta_pct is None:
        sides = ", ".join(f"{words.number(row.median(n))} {n}" for n in row.values)
        return f"{label}: {sides}."
    span = words.interval(row.main)
    text = f"{label}: {words.percent(row.main.delta_pct)}"
    return f"{text}{f' [{span}]' if span else ''}, {row.main.verdict}."


def _stability(data: RunData) -> str:
    records = [record for run in data.runs for record in run.boots]
    crashed = [record for record in records if record.status == "crashed"]
    if not records:
        return "No boot was recorded."
    if not crashed:
        return f"No crash in {plural(len(records), 'boot')}."
    return f"{plural(len(crashed), 'crash', 'crashes')} in {plural(len(records), 'boot')}."


# ---- tables


def result_tables(data: RunData, rows: Sequence[Row]) -> dict[str, list[Table]]:
    """Workload to its tables, one for each accel, base and host."""
    found: dict[str, list[Table]] = {}
    ordered = sorted(rows, key=lambda row: (row.workload != "vmpte", row.workload))
    for workload, of_workload in groupby(ordered, key=lambda row: row.workload):
        groups: dict[tuple[str, str, str], list[Row]] = {}
        for row in of_workload:
            groups.setdefault((row.accel, row.base, row.machine), []).append(row)
        found[workload] = [
            _result_table(group, data.variants[0], names)
            for group in groups.values()
            for names in _pairs(data, group)
        ]
    return found


def _pairs(data: RunData, rows: list[Row]) -> list[list[str]]:
    """The columns of each table: the first variant with one other, or what there is alone."""
    names = [name for name in data.variants if any(row.boots(name) for row in rows)]
    first = data.variants[0]
    if first not in names or len(names) == 1:
        return [names]
    return [[first, name] for name in names if name != first]


def _result_table(rows: list[Row], reference: str, names: list[str]) -> Table:
    other = names[-1]
    compared = any(other in row.comparisons for row in rows)
    columns = ["cell", "metric", *(f"{name}\nmedian; range, boots" for name in names)]
    columns += ["change\ninterval", "verdict"] if compared else []
    lines = []
    for row in rows:
        line = [_two_lines(words.cell(row.workload, row.params)), f"{row.metric}\n{row.unit}"]
        line += [_spread(row.boots(name)) for name in names]
        if compared:
            one = row.comparisons.get(other)
            change = words.percent(one.delta_pct) if one else "-"
            line += [f"{change}\n{words.interval(one)}", one.verdict if one else "-"]
        lines.append(line)
    caption = _caption(rows, f"{other} against {reference}" if compared else ", ".join(names))
    end = len(columns) - 1
    return Table(caption, columns, lines, set(range(2, end + (not compared))),
                 {end} if compared else set())  # fmt: skip


def _caption(rows: list[Row], what: str) -> str:
    first = rows[0]
    rest = sorted({words.rest(row.params) for row in rows} - {""})
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
    first = data.variants[0]
    second = next(
        (n for n in data.variants[1:] if n not in data.controls and any(r.boots(n) for r in rows)),
        "after" if first != "after" else "before",
    )
    if "after" in data.variants and any(r.boots("after") for r in rows) and first != "after":
        second = "after"
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


def _letter_label(row: Row) -> str:
    names = {"VmSize": "VIRT (VmSize)", "VmRSS": "RES (VmRSS)"}
    cell = words.cell(row.workload, row.params)
    if row.workload == "vmpte":
        return f"{names.get(row.metric, row.metric)}\n{cell}"
    return f"pf/min, {cell}"


def _ours(row: Row, name: str) -> str:
    value = row.median(name)
    if value is None:
        return "not measured"
    return words.like_letter(row.metric, value)

