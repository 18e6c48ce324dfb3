"""Whether counting repeats: a boot done again, same kernel, same history, held against the first.

A count is claimed to be the same every time. That is measured in each run, not taken from the
manual: the difference between the two boots is what is left of chance, and no difference of that
size between two variants is a finding.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from harness.records.record import Params
from harness.records.workloads import Metric
from harness.report.analysis import words
from harness.report.data.rundata import RunData

LIMIT_ONE_PCT = 0.05  # what one thread's count repeats to, and
LIMIT_MORE_PCT = 0.2  # several threads': what a report may lean on without a warning
CELL = ["run", "workload", "params", "metric", "unit", "accel", "base", "machine"]


@dataclass(frozen=True)
class Residual:
    """One cell in two boots that ought to be the same."""

    run: str
    workload: str
    params: Params
    metric: Metric
    accel: str
    base: str
    machine: str
    cell: str
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
        return limit_pct(self.params)


def limit_pct(params: Params) -> float:
    """How far a count of such a cell may be off when it is done again."""
    threads = params.get("threads", 1)
    several = isinstance(threads, int) and threads > 1
    return LIMIT_MORE_PCT if several else LIMIT_ONE_PCT


def residuals(data: RunData) -> tuple[Residual, ...]:
    """Every cost that was counted in a boot and in its repetition."""
    again = data.repeated
    costs = [
        data.metric(str(workload), str(name), "").kind == "cost"
        for workload, name in zip(again["workload"], again["metric"], strict=True)
    ]
    again = again[pd.Series(costs, index=again.index, dtype=bool)]
    if again.empty:
        return ()
    results = data.results
    one = _medians(results[results["run"].isin(again["run"])], "boot")
    two = _medians(again, "again")
    both = one.merge(two, on=[*CELL, "boot"], suffixes=("_one", "_two"))
    return tuple(_residual(data, pair) for _, pair in both.iterrows())


def _residual(data: RunData, pair: pd.Series[str]) -> Residual:
    text = {name: str(pair[name]) for name in CELL}
    params: Params = json.loads(text["params"])
    planned = data.cell(text["workload"], params, text["accel"])
    return Residual(
        text["run"], text["workload"], params,
        data.metric(text["workload"], text["metric"], text["unit"]), text["accel"], text["base"],
        text["machine"],
        words.cell(text["workload"], params, planned.label if planned else "", tuple(params)),
        float(str(pair["value_one"])), float(str(pair["value_two"])),
    )


def _medians(samples: pd.DataFrame, boot: str) -> pd.DataFrame:
    """The median of the repeats by cell and by the boot of that column."""
    keyed = samples.drop(columns="boot") if boot != "boot" else samples
    keyed = keyed.rename(columns={boot: "boot"}).astype({"boot": int})
    grouped = keyed.groupby([*CELL, "boot"], sort=False, dropna=False)
    return grouped.agg(value=("value", "median")).reset_index()


def sentence(found: Sequence[Residual]) -> str:
    """The finding in one line; empty when no boot was repeated."""
    kinds = []
    for name, several in (("one thread", False), ("several threads", True)):
        mine = [r.pct for r in found if (r.limit_pct == LIMIT_MORE_PCT) == several]
        if mine:
            kinds.append(f"{max(mine):.3f} % ({name})")
    return f"A boot done again differs by at most {' and '.join(kinds)}." if kinds else ""


def warnings(found: Sequence[Residual]) -> list[str]:
    """Said on top when counting did not repeat as it should."""
    bad = [r for r in found if r.pct > r.limit_pct]
    if not bad:
        return []
    worst = max(bad, key=lambda r: r.pct)
    cells = list(dict.fromkeys(r.cell for r in bad))
    rest = " The other cells repeat." if len({r.cell for r in found}) > len(cells) else ""
    return [
        f"Counting did not repeat in {words.listed(cells)}: the same boot twice differs by "
        f"{'up to ' if len(bad) > 1 else ''}{worst.pct:.2f} % (aim {worst.limit_pct} %). Smaller "
        f"differences of {'that cell' if len(cells) == 1 else 'these cells'} are no findings.{rest}"
    ]
