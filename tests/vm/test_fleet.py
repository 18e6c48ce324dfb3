"""`harness bench --fleet local`, with real guests on two workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.records.store import load_boots, load_run, load_samples
from tests.guests import Harness

pytestmark = pytest.mark.vm


def test_a_fleet_of_two_workers_does_the_whole_plan(harness: Harness, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = harness(
        "bench", "--variants", "before", "--boots", "2", "--repeat", "1", "--rounds", "20",
        "--accel", "icount", "--threads", "1", "--workload", "multi-fault", "--no-profile",
        "--fleet", "local", "--workers", "2", "--out", str(out),
    )
    assert done.code == 0, done.err
    assert "fleet: 2 workers on this host" in done.err
    run, (boots, _) = load_run(out), load_boots(out)
    assert run.status == "complete" and run.plan.kind == "measurement"
    assert sorted(one.boot for one in boots) == [one.index for one in run.plan.boots]
    assert {one.status for one in boots} == {"ok"}
    assert {one.ran_on for one in boots} == set(run.hosts)
    assert all((out / one.console).is_file() for one in boots)
    counted = [one for one in load_samples(out)[0] if one.metric == "instructions_per_fault"]
    assert sorted(one.boot for one in counted) == [one.index for one in run.plan.boots]
    first, again = (one.value for planned in (run.plan.boots[-1].again, run.plan.boots[-1].index)
                    for one in counted if one.boot == planned)
    assert again == pytest.approx(first, rel=1e-3), "two boots of one history count the same"
