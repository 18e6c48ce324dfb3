"""A suite on a fleet of real workers, own processes on 127.0.0.1, whose guests only pretend."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.fleet import engine
from harness.fleet.batching import suite_fleet
from harness.fleet.engine import Connection, FleetChoice, usual_workers
from harness.records.plans import PlannedTest
from harness.records.store import load_boots, load_run, load_verdicts
from harness.suites.batches import TestRound, cut, most_boots
from tests.places import ROOT
from tests.unit.fleet import batchclient, batchpretence
from tests.unit.fleet.test_fleet import await_that

FROZEN_S = 5.0
WHOLE = sorted(
    (variant, test.name, 0, "fail" if test.name == "t1" else "pass")
    for variant in ("before", "after") for test in batchpretence.TESTS
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Two workers of this host."""
    usual, engine.FROZEN_S = engine.FROZEN_S, FROZEN_S
    folder = tmp_path_factory.mktemp("workspace")
    plan = batchpretence.plan(folder)
    choice = FleetChoice("local", 2)
    with engine.connected(choice, plan, Workspace(folder), Progress(-1)) as connection:
        yield connection
    engine.FROZEN_S = usual


def begun(stage: Path) -> list[tuple[str, int]]:
    """Test and process of every test that was begun."""
    return [tuple(json.loads(line)) for line in (stage / "done").read_text().splitlines()]


def test_a_fleet_says_what_one_process_says(
    fleet: Connection, tmp_path: Path, stage: Path
) -> None:
    run = tmp_path / "run"
    outcome = batchclient.conduct(fleet, run, stage)
    assert batchpretence.said(run) == WHOLE and load_run(run).status == "complete"
    assert outcome.exit_code == 0 and len({pid for _, pid in begun(stage)}) >= 2
    found = load_boots(run)[0]
    assert {one.ran_on for one in found} == set(load_run(run).hosts)
    assert len(set(batchpretence.boots(run))) == len(found) == 6, "three batches a variant"
    for verdict in load_verdicts(run)[0]:
        assert (run / verdict.log).is_file()
        assert (run / f"boots/{verdict.variant}-{verdict.boot:02d}/console.log").is_file()


@pytest.mark.parametrize("what", ["kill", "freeze"])
def test_a_batch_of_a_worker_that_is_lost_is_done_elsewhere(
    fleet: Connection, tmp_path: Path, stage: Path, what: str
) -> None:
    (stage / f"{what}-t3").touch()
    batchclient.conduct(fleet, tmp_path / "run", stage)
    assert not (stage / f"{what}-t3").exists()
    assert batchpretence.said(tmp_path / "run") == WHOLE
    boots = batchpretence.boots(tmp_path / "run")
    assert len(set(boots)) == len(boots)


def test_a_client_that_is_killed_is_gone_on_with(
    fleet: Connection, tmp_path: Path, stage: Path
) -> None:
    run = tmp_path / "run"
    (stage / "wait-t5").touch()
    words = [sys.executable, "-m", "tests.unit.fleet.batchclient",
             fleet.client.scheduler.address, str(run), str(stage)]
    client = subprocess.Popen(words, cwd=ROOT)
    await_that(lambda: (run / "verdicts.jsonl").exists() and len(batchpretence.said(run)) >= 4, 60)
    os.kill(client.pid, signal.SIGKILL)
    client.wait(10)
    await_that(lambda: not any(fleet.client.processing().values()))
    (stage / "wait-t5").unlink()
    earlier, before = batchpretence.said(run), len(begun(stage))
    batchclient.conduct(fleet, run, stage)
    assert batchpretence.said(run) == WHOLE
    assert len(begun(stage)) - before == len(WHOLE) - len(earlier), "what was done is done"
    boots = batchpretence.boots(run)
    assert len(set(boots)) == len(boots)


def test_a_batch_that_fails_everywhere_ends_the_run(
    fleet: Connection, tmp_path: Path, stage: Path
) -> None:
    (stage / "down-t4").touch()
    failed = r"the tests t4 to t5 .* failed 3 times"
    with pytest.raises(InfrastructureError, match=failed) as caught:
        batchclient.conduct(fleet, tmp_path / "run", stage)
    assert "harness stability --resume" in caught.value.hint and "--fleet" in caught.value.hint
    assert load_run(tmp_path / "run").status == "failed"
    (stage / "down-t4").unlink()
    batchclient.conduct(fleet, tmp_path / "run", stage)
    assert batchpretence.said(tmp_path / "run") == WHOLE


def test_batches_have_boots_of_their_own() -> None:
    tests = tuple(PlannedTest(name=f"t{n}") for n in range(10))
    rounds = [TestRound("before", tests), TestRound("after", tests), TestRound("after", tests, 1)]
    found = cut("run", rounds, 2, {"before": 3})
    assert [len(one.tests) for one in found] == [5] * 6
    assert [one.first_boot for one in found] == [3, 15, 0, 12, 24, 36]
    assert most_boots(5) == 12 and len({one.ident for one in found}) == 6
    assert sum((one.tests for one in found[:2]), ()) == tests
    many = cut("run", [TestRound("before", tests * 100)], 1, {})
    assert max(len(one.tests) for one in many) == 40
    assert cut("run", [TestRound("before", ())], 1, {}) == []


def test_what_a_fleet_cannot_do_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    plan, unused = batchpretence.plan(tmp_path), None
    for change, words in (({"machine": "lab1"}, "machine is lab1"), ({"dump": True}, "no memory")):
        with pytest.raises(UserError, match=words), suite_fleet(
            unused, FleetChoice("local", 2), plan.model_copy(update=change)  # type: ignore[arg-type]
        ):
            raise AssertionError("nothing is conducted")


def test_workers_of_a_suite_have_cpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    plan = batchpretence.plan(tmp_path).model_copy(update={"smp": 4, "memory": "256M"})
    assert usual_workers(plan) == 2
    assert usual_workers(plan.model_copy(update={"accel": "icount"})) == 8


