"""The rows of the report: one per cell, metric, accel, base and host."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from harness.records.plans import Figure, Published
from harness.records.record import Params
from harness.records.workloads import Metric
from harness.report.analysis import pairs, verdict, words
from harness.report.analysis.determinism import Residual
from harness.report.analysis.verdict import Comparison
from harness.report.data.identity import Column
from harness.report.data.rundata import RunData, canonical

GROUP = ["workload", "params", "metric", "unit", "accel", "base", "machine"]


class History(NamedTuple):
    """What a boot went through before it was measured.

    A boot with a seed is named by it, and by how many boots of its run had it before; one
    without by its index, which no boot of another variant shares, so that it is never paired.
    """

    run: str
    seed: int | None
    number: int
    layout: int = 0
    """Of the kernel that was booted; only boots of one layout are paired."""
    host: str = ""
    """The host of a fleet that did the boot: boots of two hosts are no pair."""


class Place(NamedTuple):
    """What may stand in one table or plot."""

    accel: str
    base: str
    machine: str


class Beside(NamedTuple):
    """A published figure that a row stands beside."""

    published: Published
    figure: Figure


@dataclass(frozen=True)
class Row:
    """One cell and metric: per column one value a boot, and the comparisons."""

    workload: str
    params: Params
    metric: Metric
    unit: str
    place: Place
    values: Mapping[Column, Mapping[History, float]]
    comparisons: Mapping[Column, Comparison] = field(default_factory=dict)
    """Column to its comparison with its baseline."""
    cell: str = ""
    """What was run, in few words."""
    telling: tuple[str, ...] = ()
    """The parameters that tell the workload's cells apart; the others are the same in all."""
    headline: bool = False
    """Whether it may stand in the first sentences of a report."""
    beside: tuple[Beside, ...] = ()

    @property
    def accel(self) -> str:
        """How the machine's CPU ran."""
        return self.place.accel

    @property
    def claims(self) -> dict[Column, Comparison]:
        """Column to its comparison, without the controls."""
        return {name: c for name, c in self.comparisons.items() if not c.control}

    @property
    def is_cost(self) -> bool:
        """Whether its metric says what an operation costs."""
        return self.metric.kind == "cost"

    @property
    def is_memory(self) -> bool:
        """Whether its metric says how much memory is held."""
        return self.metric.kind == "memory"

    @property
    def trusted(self) -> bool:
        """Whether its clock can tell: costs by a wall clock under emulation can not."""
        return not (self.is_cost and self.accel == "tcg")

    def boots(self, column: Column) -> list[float]:
        """The column's values, one per boot; empty when it was not measured."""
        return list(self.values.get(column, {}).values())

    @property
    def hosts(self) -> list[str]:
        """The hosts of a fleet that measured it; one, without a name, where there was no fleet."""
        return sorted({boot.host for boots in self.values.values() for boot in boots})

    def on(self, host: str, column: Column) -> list[float]:
        """The column's values of one host."""
        return [
            value for boot, value in self.values.get(column, {}).items() if boot.host == host
        ]

    def median(self, column: Column) -> float | None:
        """The column's median over boots."""
        boots = self.boots(column)
        return float(np.median(boots)) if boots else None


@dataclass
class _Draft:
    """A row before its comparisons are decided."""

    key: tuple[str, str, str, str, str, str, str]
    values: dict[Column, dict[History, float]]
    comparisons: dict[Column, Comparison]


def build(data: RunData, residuals: tuple[Residual, ...]) -> tuple[Row, ...]:
    """All rows, compared and decided, in reading order."""
    least: dict[tuple[str, ...], float] = defaultdict(float)
    for one in residuals:
        cell = (one.workload, canonical(one.params), one.metric.name, one.accel, one.machine)
        least[cell] = max(least[cell], one.pct)
    drafts = [
        _draft(cast("tuple[str, str, str, str, str, str, str]", key), group, data, least)
        for key, group in _per_boot(data).groupby(GROUP, sort=False)
    ]
    _decide(drafts)
    telling = _telling(drafts)
    rows = [_row(draft, data, telling) for draft in drafts]
    return tuple(sorted(rows, key=lambda row: _reading_order(row, data)))


def _per_boot(data: RunData) -> pd.DataFrame:
    """One value per boot and cell: the median of the repeats."""
    by = [*GROUP, "column", "run", "boot"]
    grouped = data.results.groupby(by, sort=False, dropna=False)
    return grouped.agg(
        value=("value", "median"), seed=("seed", "first"), layout=("layout", "first"),
        host=("host", "first"),
    ).reset_index()


def _draft(
    key: tuple[str, str, str, str, str, str, str], group: pd.DataFrame, data: RunData,
    least: Mapping[tuple[str, ...], float],
) -> _Draft:
    workload, params, name, unit, accel, _, machine = key
    residual = least.get((workload, params, name, accel, machine), 0.0)
    metric = data.metric(workload, name, unit)
    values: dict[Column, dict[History, float]] = {}
    for index, column in enumerate(data.columns):
        mine = group[group["column"] == index]
        if not mine.empty:
            values[column] = _by_history(mine)
    comparisons: dict[Column, Comparison] = {}
    for column, first in pairs.baselines((run.plan for run in data.runs), list(values)).items():
        one = verdict.compare(
            metric, accel, values[first], values[column], residual,
            layout=lambda history: history.layout, host=lambda history: history.host,
        )
        comparisons[column] = dataclasses.replace(
            one, control=column.control, variant=column, baseline=first
        )
    return _Draft(key, values, comparisons)


def _by_history(boots: pd.DataFrame) -> dict[History, float]:
    """History to value, one entry a boot."""
    found: dict[History, float] = {}
    wanted = ("run", "boot", "seed", "layout", "host", "value")
    columns = zip(*(boots[name] for name in wanted), strict=True)
    for run, boot, seed, layout, host, value in columns:
        name = History(str(run), None, int(boot), int(layout), str(host))
        if not pd.isna(seed):
            again = 0
            while (
                name := History(str(run), int(seed), again, int(layout), str(host))
            ) in found:
                again += 1
        found[name] = float(value)
    return found


def _decide(drafts: list[_Draft]) -> None:
    """Give what was tested its verdict: one metric over all cells of one clock is a family."""
    families: dict[tuple[object, ...], list[tuple[_Draft, Column]]] = defaultdict(list)
    for draft in drafts:
        _, _, metric, _, *place = draft.key
        for column, comparison in draft.comparisons.items():
            families[comparison.control, metric, *place].append((draft, column))
    for family in families.values():
        decided = verdict.decide([draft.comparisons[column] for draft, column in family])
        for (draft, column), comparison in zip(family, decided, strict=True):
            draft.comparisons[column] = comparison


def _telling(drafts: list[_Draft]) -> dict[tuple[str, bool], set[str]]:
    """Which parameters a workload's cells differ by, on each clock by itself."""
    seen: dict[tuple[str, bool], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for draft in drafts:
        workload, params, _, _, accel, *_ = draft.key
        for key, value in json.loads(params).items():
            seen[workload, accel == "icount"][key].add(canonical({key: value}))
    return {
        where: {key for key, values in of_key.items() if len(values) > 1}
        for where, of_key in seen.items()
    }


def _row(
    draft: _Draft, data: RunData, telling: Mapping[tuple[str, bool], set[str]]
) -> Row:
    workload, text, name, unit, accel, base, machine = draft.key
    params: Params = json.loads(text)
    planned = data.cell(workload, params, accel)
    tell = tuple(key for key in params if key in telling.get((workload, accel == "icount"), ()))
    return Row(
        workload, params, data.metric(workload, name, unit), unit, Place(accel, base, machine),
        draft.values, draft.comparisons,
        words.cell(workload, params, planned.label if planned else "", tell), tell,
        _is_headline(data, workload, name), _beside(data, workload, params, name),
    )


def _is_headline(data: RunData, workload: str, name: str) -> bool:
    """Whether the workload declares it as such, or it is its kind's first and none is."""
    for run in data.runs:
        record = run.run.workloads.get(workload)
        metric = record.metric(name) if record else None
        if record is None or metric is None or metric.kind == "other":
            continue
        of_kind = [one for one in record.metrics if one.kind == metric.kind]
        declared = [one for one in of_kind if one.headline]
        return metric in (declared or of_kind[:1])
    return False


def _beside(data: RunData, workload: str, params: Params, name: str) -> tuple[Beside, ...]:
    """The published figures of the runs' plans that the cell was measured for."""
    found = {
        (one.name, number): Beside(one, figure)
        for run in data.runs for one in run.plan.published
        for number, figure in enumerate(one.figures)
        if figure.workload == workload and figure.metric == name
        and all(params.get(key) == value for key, value in figure.params.items())
    }
    return tuple(found.values())


def _reading_order(row: Row, data: RunData) -> tuple[object, ...]:
    """Clocks, then the plan's workloads, their metrics, the plan's cells, in their orders."""
    cells = [cell for run in data.runs for cell in run.plan.cells]
    workloads = list(dict.fromkeys(cell.workload for cell in cells))
    planned = data.cell(row.workload, row.params, row.accel)
    metrics = [
        metric.name for run in data.runs if row.workload in run.run.workloads
        for metric in run.run.workloads[row.workload].metrics
    ]
    sizes = tuple(
        float(value) if isinstance(value, (int, float)) else -1.0
        for _, value in sorted(row.params.items())
    )
    return (
        row.accel == "icount", *row.place, _at(workloads, row.workload), row.workload,
        _at(metrics, row.metric.name), row.metric.name, _at(cells, planned), sizes,
        canonical(row.params),
    )


def _at(known: Sequence[object], one: object) -> int:
    return known.index(one) if one in known else len(known)
