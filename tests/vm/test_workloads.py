"""Each workload with rounds, tiny, on one boot of `before`: numbers come out, the report has them.

What they measure is not judged here; that every cell gives its numbers is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.measure.workloads.churn import PATTERNS
from harness.measure.workloads.micro import OPS
from harness.measure.workloads.page_fault import KINDS
from harness.measure.workloads.piecewise import CHUNKS_KIB
from harness.records.store import load_boots
from tests.guests import Harness
from tests.places import ROOT

pytestmark = pytest.mark.vm

PROFILE = """
[profiles.tiny]
description = "every workload with rounds, as small as it goes"
boots = 1
workloads = [
    { name = "micro", params = { size_mib = 2 } },
    { name = "churn", params = { threads = [1, 3], cycles = 16 } },
    { name = "piecewise", params = { size_mib = 8 } },
    { name = "page-fault", params = { threads = [1, 3], size_mib = 2 } },
]
"""


@pytest.fixture(scope="module")
def tiny(
    harness: Harness, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]]]:
    """One boot with all of them, in a checkout with a profile more, and the report's rows."""
    checkout = tmp_path_factory.mktemp("tiny")
    (checkout / "harness.toml").write_text((ROOT / "harness.toml").read_text() + PROFILE)
    for name in ("guest", "kernel", "tests"):
        (checkout / name).symlink_to(ROOT / name)
    done = harness(
        "bench", "--profile", "tiny", "--variants", "before", "--rounds", "2", "--accel", "tcg",
        "--out", "run", "--json", cwd=checkout,
    )
    assert done.code == 0, done.err
    assert "cannot be measured" not in done.err
    return checkout / "run", json.loads(done.out)["rows"]


def values(rows: list[dict[str, Any]], workload: str, metric: str, *keys: str) -> dict[Any, float]:
    """Parameters named by ``keys`` to the median of `before`."""
    return {
        tuple(row["params"][key] for key in keys): row["variants"]["before"]["median"]
        for row in rows if row["workload"] == workload and row["metric"] == metric
    }


def test_micro_times_each_operation(tiny: tuple[Path, list[dict[str, Any]]]) -> None:
    found: dict[Any, float] = {}
    for unit in ("page", "table", "fault"):
        found |= values(tiny[1], "micro", f"ns_per_{unit}", "op")
    assert set(found) == {(op,) for op in OPS}
    assert all(value > 0 for value in found.values())


def test_churn_and_page_fault_by_threads(tiny: tuple[Path, list[dict[str, Any]]]) -> None:
    churn = values(tiny[1], "churn", "ns_per_fault", "pattern", "threads")
    assert set(churn) == {(p, t) for p in PATTERNS for t in (1, 3)}
    faults = values(tiny[1], "page-fault", "faults_per_second", "kind", "threads")
    assert set(faults) == {(k, t) for k in KINDS for t in (1, 3)}
    assert min(faults.values()) > 1000


def test_piecewise_before_keeps_every_table(tiny: tuple[Path, list[dict[str, Any]]]) -> None:
    kept = values(tiny[1], "piecewise", "VmPTE_kept", "chunk_kib")
    assert kept == {(chunk,): 16 for chunk in CHUNKS_KIB}  # 8 MiB: four tables
    assert values(tiny[1], "piecewise", "VmPTE_touched", "chunk_kib") == kept


def test_the_report_has_a_table_for_each(tiny: tuple[Path, list[dict[str, Any]]]) -> None:
    out = tiny[0]
    page = (out / "report.md").read_text()
    for workload in ("micro", "churn", "piecewise", "page-fault"):
        assert f"## Workload {workload}\n" in page
    assert "no result for" not in page
    boot = load_boots(out)[0][0]
    assert boot.status == "ok" and not boot.events
