"""What a report is made from, once it has been read: runs, their boots, samples as a frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from harness.records.old_runs import BootRecord, Run

COLUMNS = [
    "run", "variant", "boot", "workload", "params", "repeat", "metric", "value", "unit",
    "accel", "t", "base", "machine", "seed", "repeats", "used",
]  # fmt: skip


RAW = ["variant", "boot", "workload", "params", "repeat", "metric", "value", "unit", "accel", "t"]


@dataclass
class LoadedRun:
    """One run directory: its record, its boots, and how much of it was damaged."""

    directory: Path
    name: str
    run: Run
    boots: list[BootRecord]
    raw: pd.DataFrame
    """The samples as recorded, columns :data:`RAW`."""
    damaged_samples: int = 0
    damaged_boots: int = 0

    def last_records(self) -> dict[int, BootRecord]:
        """The last record of each boot: an earlier one is an attempt that was repeated."""
        return {record.boot: record for record in self.boots}


@dataclass
class RunData:
    """Everything a report is made from.

    ``samples`` has one row per sample and the columns :data:`COLUMNS`; ``params``
    is canonical JSON, ``t`` NaN for a result, ``base`` and ``machine`` say what
    may be compared, ``used`` is False for what must not count (an unfinished cell
    of a boot that died, a repetition made void by a later attempt). ``repeats`` is the
    boot that a boot did again to see whether it comes out the same, else NA: such a
    boot tells of determinism and is no sample of its variant.
    ``variants`` is in the plan's order; ``controls`` are variants with the same
    build as the first one (A/A). ``accels`` maps an accel to why it was chosen.
    """

    runs: list[LoadedRun]
    samples: pd.DataFrame
    variants: list[str]
    warnings: list[str]
    controls: set[str] = field(default_factory=set)
    accels: dict[str, str] = field(default_factory=dict)
    stability: list[str] = field(default_factory=list)
    """What runs of ``harness stability`` found, a sentence each."""

    @property
    def results(self) -> pd.DataFrame:
        """The samples that count and are results (not points of a time series)."""
        return self.samples[self._counts & self.samples["t"].isna()]

    @property
    def series(self) -> pd.DataFrame:
        """The points of time series that count."""
        return self.samples[self._counts & self.samples["t"].notna()]

    @property
    def again(self) -> pd.DataFrame:
        """The results of boots that were done again."""
        found = self.samples[self.samples["used"] & self.samples["repeats"].notna()]
        return found[found["t"].isna()]

    @property
    def _counts(self) -> pd.Series[bool]:
        return self.samples["used"] & self.samples["repeats"].isna()
