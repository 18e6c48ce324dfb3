"""Whether counting repeats: a boot done again, same kernel, same history, held against the first.

A count is claimed to be the same every time. That is measured in each run, not taken
from the manual: the difference between the two boots is what is left of chance, and no
difference of that size between two variants is a finding.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.report.analysis import metrics
from harness.report.data.rundata import RunData
from harness.report.pages import words

LIMIT_ONE_PCT = 0.05  # what one thread's count repeats to, and
LIMIT_MORE_PCT = 0.2  # several threads': what a report may lean on without a warning
CELL = ["run", "workload", "params", "metric", "accel", "base", "machine"]


@dataclass(frozen=True)
class Residual:
    """One cell in two boots that ought to be the same."""

    run: str
    workload: str
    params: dict[str, Any]
    metric: str
    accel: str
    base: str
    machine: str
    first: float
    again: float

    @property
    def pct(self) -> float:
        """The difference in percent of the first."""
        if self.first == self.again:
            return 0.0
        return 100 * abs(self.again / self.first - 1) if self.first else float("inf")

    @property
    def limit_pct(self) -> float:
        """What it should not exceed."""
        threads = self.params.get("threads", 1)
        several = isinstance(threads, int) and threads > 1
        return LIMIT_MORE_PCT if several else LIMIT_ONE_PCT


def residuals(data: RunData) -> list[Residual]:
    """Every cost that was counted in a boot and in its repetition."""
    again = data.again[data.again["metric"].map(metrics.is_cost).astype(bool)]
    if again.empty:
        return []
    results = data.results
    first = results[results["run"].isin(again["run"])]
    one = _medians(first, "boot")
    two = _medians(again, "repeats")
    pairs = one.merge(two, on=[*CELL, "boot"], suffixes=("_one", "_two"))
    return [
        Residual(
            str(pair.run), str(pair.workload), json.loads(str(pair.params)), str(pair.metric),
            str(pair.accel), str(pair.base), str(pair.machine),
            float(str(pair.value_one)), float(str(pair.value_two)),
        )
        for pair in pairs.itertuples(index=False)
    ]


def _medians(samples: pd.DataFrame, boot: str) -> pd.DataFrame:
    """The median of the repeats by cell and by the boot of that column."""
    keyed = samples.drop(columns="boot") if boot != "boot" else samples
    keyed = keyed.rename(columns={boot: "boot"}).astype({"boot": int})
    grouped = keyed.groupby([*CELL, "boot"], sort=False, dropna=False)
    return grouped.agg(value=("value", "median")).reset_index()


def sentence(found: list[Residual]) -> str:
    """The finding in one line; empty when no boot was repeated."""
    if not found:
        return ""
    kinds = []
    for name, several in (("one thread", False), ("several threads", True)):
        mine = [r.pct for r in found if (r.limit_pct == LIMIT_MORE_PCT) == several]
        if mine:
            kinds.append(f"{max(mine):.3f} % ({name})")
    return f"A boot done again differs by at most {' and '.join(kinds)}."


def warnings(found: list[Residual]) -> list[str]:
    """Said on top when counting did not repeat as it should."""
    bad = [r for r in found if r.pct > r.limit_pct]
    if not bad:
        return []
    worst = max(bad, key=lambda r: r.pct)
    where = words.cell(worst.workload, worst.params, tuple(worst.params))
    return [
        f"Counting did not repeat: the same boot twice differs by {worst.pct:.2f} % in {where} "
        f"(aim {worst.limit_pct} %). Smaller differences are no findings."
    ]
