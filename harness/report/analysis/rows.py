"""The rows of the report: one per cell, metric, accel, base and host."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from harness.report.analysis import determinism, letter, pairs, verdict
from harness.report.analysis.verdict import Comparison, rounded
from harness.report.data import planned as plan
from harness.report.data.rundata import RunData
from harness.report.pages import words

GROUP = ["workload", "params", "metric", "unit", "accel", "base", "machine"]
FIRST_METRICS = [
    "VmPTE", "VmRSS", "VmSize", "faults_per_minute", "instructions_per_fault",
    "page_faults", "nr_page_table_pages", "PageTables", "seconds_elapsed",
]  # fmt: skip
AXES = ("threads", "size_gib")


@dataclass
class Row:
    """One cell and metric: per variant one value a boot, and the comparisons."""

    workload: str
    params: dict[str, Any]
    metric: str
    unit: str
    accel: str
    base: str
    machine: str
    values: dict[str, dict[Any, float]]
    """Variant to history (seed, or run and boot) to the boot's value."""
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    """Variant to its comparison with its baseline."""
    telling: tuple[str, ...] = ()
    """The parameters that tell the workload's cells apart; the others are the same in all."""

    @property
    def cell(self) -> str:
        """What was run, in few words."""
        return words.cell(self.workload, self.params, self.telling)

    @property
    def rest(self) -> str:
        """The parameters that :attr:`cell` leaves out."""
        return words.rest(self.workload, self.params, self.telling)

    @property
    def main(self) -> Comparison | None:
        """The comparison that ``delta_pct`` shows: ``after``, else the first that is no control."""
        if "after" in self.comparisons:
            return self.comparisons["after"]
        claims = [c for c in self.comparisons.values() if not c.control]
        return next(iter([*claims, *self.comparisons.values()]), None)

    @property
    def claims(self) -> dict[str, Comparison]:
        """Variant to its comparison, without the controls."""
        return {name: c for name, c in self.comparisons.items() if not c.control}

    @property
    def letter(self) -> letter.Figure | None:
        """The letter's figure for this row, if it has one."""
        return letter.figure(self.workload, self.params, self.metric)

    def boots(self, variant: str) -> list[float]:
        """The variant's values, one per boot; empty when it was not measured."""
        return list(self.values.get(variant, {}).values())

    def median(self, variant: str) -> float | None:
        """The variant's median over boots."""
        boots = self.boots(variant)
        return float(np.median(boots)) if boots else None


def build(data: RunData) -> list[Row]:
    """All rows, compared and decided, in reading order."""
    residuals: dict[tuple[str, ...], float] = defaultdict(float)
    for one in determinism.residuals(data):
        cell = (one.workload, plan.canonical(one.params), one.metric, one.accel, one.machine)
        residuals[cell] = max(residuals[cell], one.pct)
    grouped = _per_boot(data).groupby(GROUP, sort=False)
    found = [_row(key, group, data, residuals) for key, group in grouped]
    _tell_apart(found)
    families: dict[tuple[str, ...], list[Comparison]] = defaultdict(list)
    for row in found:
        for comparison in row.comparisons.values():
            kind = "control" if comparison.control else "claim"
            families[kind, row.metric, row.accel, row.base, row.machine].append(comparison)
    for family in families.values():
        verdict.decide(family)
    return sorted(found, key=_reading_order)


def _tell_apart(found: list[Row]) -> None:
    """Find out which parameters a workload's cells differ by, on each clock by itself."""
    seen: dict[tuple[str, bool], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in found:
        for key, value in row.params.items():
            seen[row.workload, row.accel == "icount"][key].add(plan.canonical({key: value}))
    for row in found:
        values = seen[row.workload, row.accel == "icount"]
        row.telling = tuple(key for key in row.params if len(values[key]) > 1)


def rows(data: RunData) -> list[dict[str, Any]]:
    """The rows as plain JSON-able dictionaries (see docs: the form of ``report --json``)."""
    return [as_dict(row, data) for row in build(data)]


def as_dict(row: Row, data: RunData) -> dict[str, Any]:
    """One row in the JSON form."""
    main = row.main
    figure = row.letter
    extra = {name: c.as_dict() for name, c in row.comparisons.items()}
    return {
        "workload": row.workload,
        "params": row.params,
        "metric": row.metric,
        "unit": row.unit,
        "accel": row.accel,
        "variants": {name: _summary(list(v.values())) for name, v in row.values.items()},
        "delta_pct": None if main is None else rounded(main.delta_pct),
        "letter": None if figure is None else figure.as_dict(),
        "verdict": None if main is None else main.verdict or None,
        "interval_pct": None if main is None else main.as_dict()["interval_pct"],
        "comparisons": extra,
        "values": {name: [plain(x) for x in v.values()] for name, v in row.values.items()},
        "base": row.base,
        "machine": row.machine,
        "accel_reason": data.accels.get(row.accel, ""),
    }


def frame(found: list[Row]) -> pd.DataFrame:
    """The rows as a flat table, one line per row and variant (``table.csv``)."""
    lines = []
    for row in found:
        for name, values in row.values.items():
            comparison = row.comparisons.get(name)
            lines.append({
                "workload": row.workload,
                "params": json.dumps(row.params, sort_keys=True),
                "metric": row.metric, "unit": row.unit, "accel": row.accel,
                "base": row.base, "machine": row.machine, "variant": name,
                **_summary(list(values.values())),
                **({} if comparison is None else _flat(comparison)),
            })  # fmt: skip
    columns = [*GROUP, "variant", "median", "min", "max", "n", "delta_pct", "interval_low_pct",
               "interval_high_pct", "interval_kind", "p", "p_holm", "method", "verdict",
               "control"]  # fmt: skip
    return pd.DataFrame(lines, columns=columns)


def _flat(comparison: Comparison) -> dict[str, Any]:
    flat = comparison.as_dict()
    low, high = flat.pop("interval_pct") or (None, None)
    return {**flat, "interval_low_pct": low, "interval_high_pct": high}


def _per_boot(data: RunData) -> pd.DataFrame:
    """One value per boot and cell: the median of the repeats."""
    by = [*GROUP, "variant", "run", "boot"]
    grouped = data.results.groupby(by, sort=False, dropna=False)
    return grouped.agg(value=("value", "median"), seed=("seed", "first")).reset_index()


def _row(
    key: Any, group: pd.DataFrame, data: RunData, residuals: Mapping[tuple[str, ...], float]
) -> Row:
    workload, params, metric, unit, accel, base, machine = key
    residual = residuals.get((workload, params, metric, accel, machine), 0.0)
    values: dict[str, dict[Any, float]] = {}
    for name in data.variants:
        mine = group[group["variant"] == name]
        if not mine.empty:
            values[name] = _by_history(mine)
    row = Row(workload, json.loads(params), metric, unit, accel, base, machine, values)
    plans = [run.run.plan for run in data.runs]
    for name, first in pairs.baselines(plans, data.variants, values, data.controls).items():
        row.comparisons[name] = verdict.compare(
            metric, accel, values[first], values[name], residual, workload=workload
        )
        row.comparisons[name].control = name in data.controls
        row.comparisons[name].variant, row.comparisons[name].baseline = name, first
    return row


def _by_history(boots: pd.DataFrame) -> dict[Any, float]:
    """History to value, one entry a boot.

    A boot with a seed is named by it, its run, and how many boots had that seed before
    (a boot repeated to check determinism); one without by its run and index, which no
    boot of another variant shares, so that it is never paired.
    """
    found: dict[Any, float] = {}
    columns = zip(boots["run"], boots["boot"], boots["seed"], boots["value"], strict=True)
    for run, boot, seed, value in columns:
        name: tuple[Any, ...] = (run, "boot", boot)
        if not pd.isna(seed):
            again = 0
            while (name := (run, "seed", int(seed), again)) in found:
                again += 1
        found[name] = float(value)
    return found


def _summary(values: list[float]) -> dict[str, float | int]:
    return {
        "median": plain(float(np.median(values))),
        "min": plain(min(values)),
        "max": plain(max(values)),
        "n": len(values),
    }


def plain(value: float) -> float | int:
    """A number as JSON shows it: four decimals, and a whole number without its ``.0``."""
    value = round(value, 4)
    return int(value) if float(value).is_integer() else value


def _reading_order(row: Row) -> tuple[Any, ...]:
    known = FIRST_METRICS.index(row.metric) if row.metric in FIRST_METRICS else len(FIRST_METRICS)
    memory_first = (row.workload != "vmpte", row.workload)
    return (row.accel == "icount", row.accel, row.base, row.machine, *memory_first, known,
            row.metric, _sizes(row.params), json.dumps(row.params, sort_keys=True))  # fmt: skip


def _sizes(params: Mapping[str, Any]) -> tuple[float, ...]:
    """The numbers a table is sorted by."""
    chosen = [*(params.get(axis) for axis in AXES), *(params[key] for key in sorted(params))]
    return tuple(float(v) if isinstance(v, (int, float)) else -1.0 for v in chosen)
