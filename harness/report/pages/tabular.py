"""What pages show, as plain tables; HTML, Markdown and mail only lay them out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from harness.records.plans import Published
from harness.report.analysis import layout_words, words
from harness.report.analysis.analyse import Analysis
from harness.report.analysis.determinism import Residual
from harness.report.analysis.findings import Line, Tone, tone
from harness.report.analysis.rows import Beside, Place, Row
from harness.report.analysis.verdict import Comparison
from harness.report.data.identity import Column, plural

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\ufffd]")
CAUTION = (
    "Each pair within its base: compare the changes, not the figures of different bases. "
    "Quantities that no pair changes are left out."
)


@dataclass(frozen=True)
class Table:
    """A captioned table; the first column heads its row, ``numeric`` columns align right.

    What follows a newline in a cell is its small print. ``tones`` colour the verdicts: by row
    and column what to think of a cell.
    """

    caption: str
    columns: list[str]
    rows: list[list[str]]
    numeric: frozenset[int] = frozenset()
    verdicts: frozenset[int] = frozenset()
    tones: dict[tuple[int, int], Tone] = field(default_factory=dict)


def clean(text: str) -> str:
    """Console text without escape sequences and characters that no page may hold."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def findings_table(lines: Sequence[Line], caption: str) -> Table:
    """Findings or noise, a row a line."""
    columns = ["finding", "cell", "medians", "change", "verdict"]
    rows = [
        [f"{line.kind}\n{line.clock}", f"{line.cell}\n{line.metric}",
         f"{line.sides or 'several'}\n{line.pair}",
         f"{line.change}\n{line.detail}", line.verdict]
        for line in lines
    ]
    tones = {(place, 4): line.tone for place, line in enumerate(lines)}
    return Table(caption, columns, rows, frozenset({3}), frozenset({4}), tones)


def result_tables(analysis: Analysis) -> dict[str, list[Table]]:
    """Workload to its tables: one for each pair of sides, accel, base and host."""
    found: dict[str, list[Table]] = {}
    names = list(dict.fromkeys(row.workload for row in analysis.rows))
    ordered = sorted(analysis.rows, key=lambda row: names.index(row.workload))
    for workload, of_workload in groupby(ordered, key=lambda row: row.workload):
        found[workload] = [
            _result_table(rows, sides)
            for rows in grouped(of_workload, lambda row: row.place)
            for sides in _pairs(analysis, rows)
        ]
    return found


def grouped(rows: Iterable[Row], key: Callable[[Row], Hashable]) -> list[list[Row]]:
    """Rows that have a key in common, in the order in which the keys first appear."""
    groups: dict[Hashable, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


def _pairs(analysis: Analysis, rows: Sequence[Row]) -> list[list[Column]]:
    """The columns of each table: a baseline with one other; what is compared with nothing last."""
    costs = any(row.is_cost for row in rows)
    sides = [side for side in analysis.data.columns if any(row.boots(side) for row in rows)
             and (costs or not side.control)]
    known = {side: c.baseline for row in rows for side, c in row.comparisons.items()}
    found = [[known[side], side] for side in sides if side in known]
    alone = [side for side in sides if not any(side in pair for pair in found)]
    return [*found, *([alone] if alone else [])]


def _result_table(rows: Sequence[Row], sides: Sequence[Column]) -> Table:
    reference, other = sides[0], sides[-1]
    compared = any(other in row.comparisons for row in rows)
    columns = ["cell", "metric", *(f"{side.label}\nmedian; range, boots" for side in sides)]
    columns += ["change\ninterval; difference", "verdict"] if compared else []
    end = len(columns) - 1
    lines: list[list[str]] = []
    tones: dict[tuple[int, int], Tone] = {}
    for row in rows:
        one = row.comparisons.get(other)
        if one is not None and one.control and not row.is_cost:
            continue  # what is exact needs no control
        line = [_two_lines(row.cell), f"{words.metric_label(row.metric)}\n{row.unit}"]
        line += [_spread(row.boots(side)) for side in sides]
        if compared:
            line += [_change(row, one), one.verdict if one else "-"]
        if one is not None:
            tones[len(lines), end] = tone(row, one)
        lines.append(line)
    what = f"{other.label} against {reference.label}" if compared else words.listed(
        side.label for side in sides
    )
    return Table(_caption(rows, what), columns, lines,
                 frozenset(range(2, end + (not compared))),
                 frozenset({end} if compared else ()), tones)


def _change(row: Row, comparison: Comparison | None) -> str:
    small = [words.interval(comparison), words.difference(comparison, row.unit)]
    return f"{words.change(comparison)}\n{'; '.join(filter(None, small))}"


def _caption(rows: Sequence[Row], what: str) -> str:
    first = rows[0]
    rest = sorted({words.rest(row.params, row.telling) for row in rows} - {""})
    base = [f"base {first.place.base}"] if first.place.base else []
    parts = [f"{first.workload}: {what}", *base, *(rest if len(rest) == 1 else [])]
    return f"{', '.join(parts)}. Measured under {measured(first.place)}"


def measured(place: Place) -> str:
    """Accel and host, with what they cannot say."""
    return words.accel_caption(place.accel, place.machine)


def _two_lines(text: str) -> str:
    """What follows the first comma as small print."""
    return text.replace(", ", "\n", 1)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "not measured"
    low, high = min(values), max(values)
    span = "" if low == high else f"{words.number(low)} to {words.number(high)}, "
    return f"{words.number(float(np.median(values)))}\n{span}{plural(len(values), 'boot')}"


def published_tables(analysis: Analysis) -> list[tuple[Published, list[Table]]]:
    """Published figures beside ours, one table for each accel, base and host."""
    found: dict[str, tuple[Published, list[Table]]] = {}
    rows = [row for row in analysis.rows if row.beside]
    for group in grouped(rows, lambda row: (row.beside[0].published.name, row.place)):
        one = group[0].beside[0].published
        found.setdefault(one.name, (one, []))[1].append(_published_table(one, group))
    return list(found.values())


def _published_table(one: Published, rows: Sequence[Row]) -> Table:
    first, second = sides_beside(rows)
    lines: list[list[str]] = []
    tones: dict[tuple[int, int], Tone] = {}
    for row in rows:
        beside = row.beside[0]
        comparison = row.comparisons.get(second) if second else None
        if comparison is not None:
            tones[len(lines), 7] = tone(row, comparison)
        lines.append([
            f"{beside.figure.label or words.metric_label(row.metric)}\n{row.cell}",
            *beside.figure.printed, words.percent(beside.figure.delta_pct),
            ours(row, first, beside), ours(row, second, beside), words.change(comparison),
            comparison.verdict if comparison else "not compared",
        ])
    place = rows[0].place
    base = f", base {place.base}" if place.base else ""
    on = ", ".join(filter(None, [f"base {one.base}" if one.base else "", one.hardware]))
    caption = (
        f"{one.title} ({on}) beside ours ({words.accel_label(place.accel, place.machine)}{base}). "
        "Compare the changes, not the figures."
    )
    names = [side.label if side else "-" for side in (first, second)]
    columns = ["", *(f"published: {side}" for side in one.variants), "published: change",
               *(f"ours: {name}" for name in names), "ours: change", "ours: verdict"]
    return Table(caption, columns, lines, frozenset(range(1, 7)), frozenset({7}), tones)


def sides_beside(rows: Sequence[Row]) -> tuple[Column | None, Column | None]:
    """Baseline and variant that stand beside published ones: the first pair that is compared."""
    for row in rows:
        for side, comparison in row.claims.items():
            return comparison.baseline, side
    there = list(dict.fromkeys(side for row in rows for side in row.values if not side.control))
    return (there[0] if there else None), (there[1] if len(there) > 1 else None)


def ours(row: Row, side: Column | None, beside: Beside) -> str:
    """Our median in the unit in which the publication prints it."""
    value = row.median(side) if side else None
    if value is None:
        return "not measured"
    unit, scale = beside.figure.unit, beside.figure.scale
    if not unit:
        return words.number(value)
    shown = value / scale
    return f"{shown:.0f} {unit}" if scale == 1 else f"{shown:.1f} {unit}"


def host_tables(analysis: Analysis) -> list[Table]:
    """What each host of a fleet found, where several measured one cell: a table for each accel."""
    rows = [
        row for row in analysis.rows
        if row.claims and len(row.hosts) > 1 and (row.headline or row.is_cost)
    ]
    columns = ["cell", "metric", "pair", "host", "boots", "medians", "change"]
    found = []
    for group in grouped(rows, lambda row: row.place):
        lines = [
            line for row in group for one in row.claims.values()
            for line in _host_lines(row, one)
        ]
        found.append(Table(
            "What each host found by itself; a verdict rests on all of them, each boot held "
            f"against those of its own host. Measured under {measured(group[0].place)}",
            columns, lines, frozenset({4, 5, 6}),
        ))
    return found


def _host_lines(row: Row, one: Comparison) -> list[list[str]]:
    lines = []
    for host in row.hosts:
        sides = [row.on(host, side) for side in (one.baseline, one.variant)]
        medians = [float(np.median(side)) if side else None for side in sides]
        first, second = medians
        change = 100 * (second / first - 1) if first and second is not None else None
        lines.append([
            _two_lines(row.cell), f"{words.metric_label(row.metric)}\n{row.unit}",
            f"{one.variant.label} against {one.baseline.label}", host or "this one",
            f"{len(sides[0])} and {len(sides[1])}", " to ".join(map(words.number, medians)),
            words.percent(change),
        ])
    return lines


def side_by_side(analysis: Analysis) -> list[Table]:
    """Pairs of several bases in the same cells, one table for each accel and host."""
    rows = [row for row in analysis.rows if (row.is_cost and row.trusted) or row.is_memory]
    found = []
    for group in grouped(rows, lambda row: (row.accel, row.place.machine)):
        pairs = list(dict.fromkeys(
            (row.place.base, side) for side in analysis.data.columns for row in group
            if side in row.claims
        ))
        if len({base for base, _ in pairs}) > 1:
            found.append(_beside_table(group, pairs))
    return found


def _beside_table(rows: Sequence[Row], pairs: Sequence[tuple[str, Column]]) -> Table:
    lines: list[list[str]] = []
    tones: dict[tuple[int, int], Tone] = {}
    ordered = sorted(rows, key=lambda row: row.is_cost)  # savings, then costs
    for group in grouped(ordered, lambda row: (row.workload, row.cell, row.metric.name)):
        if not any(row.is_cost or any(c.delta_pct for c in row.claims.values()) for row in group):
            continue
        of_base = {row.place.base: row for row in group}
        line = [_two_lines(group[0].cell), words.with_unit(group[0].metric)]
        for base, side in pairs:
            row = of_base.get(base)
            one = row.claims.get(side) if row else None
            if row is None or one is None:
                line += ["not measured", "-"]
                continue
            tones[len(lines), len(line) + 1] = tone(row, one)
            medians = " to ".join(words.number(row.median(end)) for end in (one.baseline, side))
            line += [f"{words.change(one)}\n{medians}", one.verdict]
        lines.append(line)
    baselines = {side: c.baseline for row in rows for side, c in row.claims.items()}
    columns = ["cell", "metric"]
    for base, side in pairs:
        columns += [f"{side.label} against {baselines[side].label}\n{base}", "verdict"]
    numeric = frozenset(range(2, len(columns), 2))
    return Table(f"The pairs side by side. {CAUTION} Measured under {measured(rows[0].place)}",
                 columns, lines, numeric, frozenset(place + 1 for place in numeric), tones)


def layout_tables(analysis: Analysis) -> list[Table]:
    """What each layout says of each cost, one table for each accel, base and host."""
    splits = layout_words.splits(analysis.rows)
    places = list(dict.fromkeys(row.place for row, _ in splits))
    return [_layout_table(place, [s for s in splits if s[0].place == place]) for place in places]


def _layout_table(place: Place, splits: Sequence[layout_words.Split]) -> Table:
    numbers = sorted({one.layout for _, split in splits for one in split.effects})
    columns = ["cell", "effect\nmedian of layouts", *(f"layout {number}" for number in numbers),
               "share of variance\nbetween, within layouts; p", "baseline moves by"]
    lines = []
    for row, split in splits:
        changes = {one.layout: one for one in split.effects}
        ends = " to ".join(words.percent(100 * (end - 1))[:-2] for end in split.interval)
        line = [_two_lines(f"{row.cell}, {words.metric_label(row.metric)}"),
                f"{words.percent(100 * (split.ratio - 1))}\n{ends} %"]
        line += [
            f"{words.percent(changes[number].delta_pct)}\n"
            f"{words.number(changes[number].baseline)}, {plural(changes[number].pairs, 'pair')}"
            if number in changes else "-" for number in numbers
        ]
        within = split.parts.within
        sizes = [split.parts.between, *([] if within is None else [within])]
        deviations = ", ".join(layout_words.points(math.sqrt(size)) for size in sizes)
        p = "" if split.parts.p is None else f"; {split.parts.p:.2g}"
        line += [f"{layout_words.share(split)}\n{deviations}{p}",
                 words.percent(split.level_pct)[1:]]
        lines.append(line)
    coverage = min(split.coverage for _, split in splits)
    caption = (
        "The change in each layout, with the baseline's median there. The interval of the effect "
        f"covers the median over all layouts with {100 * coverage:.0f} %. p is of the F test that "
        f"layouts do not differ. Measured under {measured(place)}"
    )
    return Table(caption, columns, lines, frozenset(range(1, len(columns))))


def determinism_table(found: Sequence[Residual]) -> Table:
    """Every count of a boot and of the same boot done again."""
    columns = ["cell", "metric", "first", "again", "difference (%)", "aim (%)"]
    lines = [
        [r.cell, words.metric_label(r.metric), words.number(r.first), words.number(r.again),
         f"{r.pct:.3f}", f"{r.limit_pct:g}"]
        for r in found
    ]
    origin = "; ".join(dict.fromkeys(words.accel_caption(r.accel, r.machine) for r in found))
    return Table(f"The same boot twice. Measured under {origin}", columns, lines,
                 frozenset({2, 3, 4, 5}))
