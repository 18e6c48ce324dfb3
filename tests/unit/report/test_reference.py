"""A committed run gives the figures and verdicts that it gave when it was committed.

`reference-verdicts.json` has what the report said of the same samples then.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.records.store import load_run, load_verdicts
from harness.report.analysis.analyse import analyse
from harness.report.data.rundata import canonical
from tests.places import ROOT

REFERENCE = ROOT / "results" / "reference"
FROZEN: dict[str, list[dict[str, Any]]] = json.loads(
    (ROOT / "tests" / "data" / "reference-verdicts.json").read_text()
)

def key(one: dict[str, Any]) -> tuple[str, ...]:
    """What names a comparison."""
    names = ("workload", "metric", "accel", "base", "baseline", "variant")
    return (canonical(one["params"]), *(str(one[name]) for name in names))


@pytest.mark.parametrize("name", FROZEN)
def test_figures_and_verdicts_are_what_they_were(name: str) -> None:
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in analyse([REFERENCE / name]).rows:
        for side, one in row.comparisons.items():
            delta, ends = one.delta_pct, one.interval_pct
            line: dict[str, Any] = {
                "workload": row.workload, "params": dict(row.params), "metric": row.metric.name,
                "accel": row.accel, "base": row.place.base, "baseline": one.baseline.label,
                "variant": side.label, "delta_pct": None if delta is None else round(delta, 4),
                "interval_pct": None if ends is None else [round(end, 4) for end in ends],
                "verdict": one.verdict,
            }
            found[key(line)] = line
    assert found.keys() == {key(line) for line in FROZEN[name]}
    for line in FROZEN[name]:
        assert found[key(line)] == line


def suites() -> list[Path]:
    """Every committed run of a suite."""
    found = [path.parent for path in REFERENCE.glob("**/verdicts.jsonl")]
    return sorted(found)


@pytest.mark.parametrize("directory", suites(), ids=lambda path: str(path.relative_to(REFERENCE)))
def test_committed_suite_runs_load(directory: Path) -> None:
    run = load_run(directory)
    verdicts, damaged = load_verdicts(directory)
    assert damaged == 0 and verdicts
    assert {one.variant for one in verdicts} <= set(run.plan.variants)
    assert set(run.kernels) == set(run.plan.variants)


def test_only_sources_are_committed_and_they_are_small() -> None:
    """README's figures apart; ``scripts/keep_run.py`` copies a run as it is wanted here."""
    files = [path for path in REFERENCE.rglob("*") if path.is_file()]
    sources = [path for path in files if path.suffix in (".json", ".jsonl")]
    others = {str(path.relative_to(REFERENCE)) for path in set(files) - set(sources)}
    assert others == {"README.md", "quick-tcg/plots/vmpte-tcg.png"}
    assert sum(path.stat().st_size for path in sources) < 1_500_000
