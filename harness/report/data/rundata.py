"""What a report is made from, once it has been read: runs, their boots, samples as a frame."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from harness.records.boots import BootRecord
from harness.records.plans import Cell, Plan, SuitePlan
from harness.records.record import Params
from harness.records.runs import Run
from harness.records.verdicts import Verdict
from harness.records.workloads import Metric
from harness.report.data.identity import Column, Identity

RAW = [
    "variant", "control", "boot", "workload", "params", "repeat", "metric", "value", "unit",
    "accel", "t",
]
COLUMNS = [
    "run", "column", "boot", "workload", "params", "repeat", "metric", "value", "unit",
    "accel", "t", "base", "machine", "host", "seed", "layout", "again", "used",
]


def canonical(params: Mapping[str, object]) -> str:
    """Parameters as JSON with sorted keys: the identity of a cell in a frame."""
    return json.dumps(dict(params), sort_keys=True)


def describe(params: Mapping[str, object] | str) -> str:
    """Parameters for a human: ``threads=8 seconds=5``."""
    values = json.loads(params) if isinstance(params, str) else params
    return " ".join(f"{key}={value}" for key, value in values.items())


@dataclass(frozen=True)
class LoadedRun:
    """One measurement: its record, its plan, its boots, and its samples as recorded."""

    directory: Path
    name: str
    run: Run
    plan: Plan
    boots: list[BootRecord]
    raw: pd.DataFrame
    """The samples as recorded, columns :data:`RAW`."""
    interrupted: bool = False
    """Its record says that it runs, and the process that wrote it is gone."""

    def last_records(self) -> dict[int, BootRecord]:
        """The last record of each boot: an earlier one is an attempt that was repeated."""
        return {record.boot: record for record in self.boots}

    def troubled(self) -> list[BootRecord]:
        """Attempts that did not end well, without interruptions that were made good."""
        mended = {boot for boot, last in self.last_records().items() if last.status == "ok"}
        return [
            record for record in self.boots
            if record.status != "ok"
            and not (record.status == "interrupted" and record.boot in mended)
        ]

    def cell(self, workload: str, params: Params, accel: str) -> Cell | None:
        """The planned cell that measured parameters belong to (they may hold more)."""
        fit = [
            cell for cell in self.plan.cells
            if cell.workload == workload
            and all(key in params and params[key] == value for key, value in cell.params.items())
        ]
        counts = accel == "icount"
        return next((cell for cell in fit if (cell.accel == "icount") == counts), None) or next(
            iter(fit), None
        )

    def metric(self, workload: str, name: str, unit: str) -> Metric:
        """What the run declares of a metric; of one that it does not, its name and unit alone."""
        record = self.run.workloads.get(workload)
        found = record.metric(name) if record is not None else None
        return found or Metric(name=name, unit=unit)


@dataclass(frozen=True)
class SuiteRun:
    """One run of a suite of tests."""

    directory: Path
    name: str
    run: Run
    plan: SuitePlan
    verdicts: list[Verdict]


@dataclass(frozen=True)
class RunData:
    """Everything a report is made from.

    ``samples`` has one row per sample and the columns :data:`COLUMNS`: ``column`` is an index
    into :attr:`columns`, ``params`` canonical JSON, ``t`` NaN for a result, ``base`` and
    ``machine`` say what may be compared, ``host`` which host of a fleet did the boot (empty without
    one), ``used`` is False for what must not count (an unfinished
    cell of a boot that died, a repetition made void by a later attempt). ``layout`` is that of the
    kernel that was booted. ``again`` is the boot
    that a boot did again to see whether it comes out the same, else NA: such a boot tells of
    determinism and is no sample of its variant.
    """

    runs: list[LoadedRun]
    samples: pd.DataFrame
    identity: Identity
    suites: list[SuiteRun] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What was damaged, unfinished or doubled in the files."""

    @property
    def columns(self) -> list[Column]:
        """The report's columns, the reference side first, then its controls."""
        return self.identity.columns

    @property
    def results(self) -> pd.DataFrame:
        """The samples that count and are results (not points of a time series)."""
        return self.samples[self._counts & self.samples["t"].isna()]

    @property
    def series(self) -> pd.DataFrame:
        """The points of time series that count."""
        return self.samples[self._counts & self.samples["t"].notna()]

    @property
    def repeated(self) -> pd.DataFrame:
        """The results of boots that were done again."""
        found = self.samples[self.samples["used"] & self.samples["again"].notna()]
        return found[found["t"].isna()]

    @property
    def _counts(self) -> pd.Series[bool]:
        return self.samples["used"] & self.samples["again"].isna()

    def metric(self, workload: str, name: str, unit: str) -> Metric:
        """What the first run that declares a metric says of it."""
        found = (run.run.workloads.get(workload) for run in self.runs)
        declared = (record.metric(name) for record in found if record is not None)
        return next(filter(None, declared), None) or Metric(name=name, unit=unit)

    def cell(self, workload: str, params: Params, accel: str) -> Cell | None:
        """The planned cell of the first run that knows it."""
        found = (run.cell(workload, params, accel) for run in self.runs)
        return next(filter(None, found), None)
