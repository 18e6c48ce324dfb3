"""Two answers to one problem: what each pair saves and costs, cell by cell, side by side.

Each pair is compared within its base. Across bases only the changes may be held against
each other: the kernels below them differ by more than the two designs.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.analysis import metrics
from harness.report.analysis.rows import Row
from harness.report.data import planned as plan
from harness.report.data.rundata import RunData
from harness.report.pages import words
from harness.report.pages.view import Table

Pair = tuple[str, str, str]  # base, baseline, variant
CAUTION = (
    "Each pair within its base: compare the changes, not the figures of different bases. "
    "Quantities that no pair changes are left out."
)


def tables(data: RunData, rows: Sequence[Row]) -> list[Table]:
    """One table for each accel and host on which pairs of several bases were measured."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if metrics.is_cost(row.metric) or metrics.is_page_tables(row.metric):
            groups.setdefault((row.accel, row.machine), []).append(row)
    found = []
    for (accel, machine), group in groups.items():
        pairs = _pairs(data, group)
        if len({base for base, _, _ in pairs}) > 1:
            found.append(_table(group, pairs, words.accel_caption(accel, machine)))
    return found


def _pairs(data: RunData, rows: Sequence[Row]) -> list[Pair]:
    """The pairs in the order of the report's variants."""
    found = {(row.base, c.baseline, name) for row in rows for name, c in row.claims.items()}
    return sorted(found, key=lambda pair: data.variants.index(pair[2]))


def _table(rows: Sequence[Row], pairs: Sequence[Pair], label: str) -> Table:
    cells: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in sorted(rows, key=lambda row: metrics.is_cost(row.metric)):  # savings, then costs
        cell = (row.workload, plan.canonical(row.params), row.metric)
        cells.setdefault(cell, {})[row.base] = row
    lines = []
    for of_base in cells.values():
        if not any(_tells(row) for row in of_base.values()):
            continue
        row = next(iter(of_base.values()))
        unit = "" if metrics.is_cost(row.metric) else f" ({row.unit})"
        line = [row.cell.replace(", ", "\n", 1), words.metric_label(row.metric) + unit]
        for base, baseline, variant in pairs:
            line += _side(of_base.get(base), baseline, variant)
        lines.append(line)
    columns = ["cell", "metric"]
    for base, baseline, variant in pairs:
        columns += [f"{variant} against {baseline}\n{base}", "verdict"]
    numeric = set(range(2, len(columns), 2))
    return Table(f"The designs side by side. {CAUTION} Measured under {label}", columns, lines,
                 numeric, {place + 1 for place in numeric})  # fmt: skip


def _tells(row: Row) -> bool:
    """Whether it says something of a design: a cost does, and a quantity that it changed."""
    return metrics.is_cost(row.metric) or any(c.delta_pct for c in row.claims.values())


def _side(row: Row | None, baseline: str, variant: str) -> list[str]:
    """Change with both medians, and verdict, of one pair in one cell."""
    comparison = row.claims.get(variant) if row is not None else None
    if row is None or comparison is None:
        return ["not measured", "-"]
    sides = " to ".join(words.number(row.median(name)) for name in (baseline, variant))
    return [f"{words.percent(comparison.delta_pct)}\n{sides}", comparison.verdict]
