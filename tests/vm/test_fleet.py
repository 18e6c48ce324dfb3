"""`harness bench --fleet local`, and a suite, with real guests on two workers, also lost ones."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.records.store import load_boots, load_run, load_samples, load_verdicts
from tests.guests import Harness, argv, guests, wait_for
from tests.places import ROOT

pytestmark = pytest.mark.vm
lost = pytest.mark.skipif(
    "HARNESS_FLEET" not in os.environ,
    reason="needs HARNESS_FLEET=1: loses workers in the middle of boots, ten minutes",
)


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


PLAN = (
    "--variants", "before,after", "--boots", "2", "--repeat", "1", "--rounds", "20",
    "--accel", "icount", "--threads", "1", "--workload", "multi-fault", "--no-profile",
    "--no-control",
)


@lost
@pytest.mark.parametrize(("sent", "name"), [
    (signal.SIGKILL, "killed"), (signal.SIGSTOP, "frozen"),
], ids=["killed", "frozen"])
def test_a_worker_that_is_lost_in_the_middle_of_a_boot(
    tmp_path: Path, sent: signal.Signals, name: str
) -> None:
    out = tmp_path / name
    with (tmp_path / "said").open("wb") as said:
        client = subprocess.Popen(
            argv("bench", *PLAN, "--fleet", "local", "--workers", "2", "--out", str(out)),
            cwd=ROOT, stdout=said, stderr=said,
        )
        try:
            os.kill(a_busy_one(client), sent)  # the kernel has not come to init yet
            assert client.wait(900) == 0, (tmp_path / "said").read_text()
        finally:
            client.kill()
            client.wait()
    run, (boots, _) = load_run(out), load_boots(out)
    assert run.status == "complete" and run.plan.kind == "measurement"
    every = [one.index for one in run.plan.boots]
    assert sorted(one.boot for one in boots if one.status == "ok") == every
    counted = [one for one in load_samples(out)[0] if one.metric == "instructions_per_fault"]
    assert sorted(one.boot for one in counted) == every, "none twice, none missing"


def busy(client: subprocess.Popen[bytes]) -> set[int]:
    """The workers that run a guest; a client only asks QEMU for its version."""
    found = set()
    for pid in guests():
        with contextlib.suppress(OSError):  # it has ended
            stat = Path(f"/proc/{pid}/stat").read_text()
            found.add(int(stat.rpartition(")")[2].split()[1]))
    return found - {client.pid}


def a_busy_one(client: subprocess.Popen[bytes]) -> int:
    """A worker that runs a guest now; it is asked once, as its guest may end at any time."""
    found: set[int] = set()

    def seen() -> bool:
        found.update(busy(client))
        return bool(found)

    wait_for(seen, 300)
    return min(found)


@lost
def test_a_suite_whose_worker_is_killed(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("stability", "--suite", "piecewise", "--tests", "munmap*,mremap*", "--variants",
             "before", "--smp", "1", "--memory", "512M", "--accel", "icount", "--no-confirm",
             "--fleet", "local", "--workers", "2")
    client = subprocess.Popen(
        argv(*words, "--out", str(out)), cwd=ROOT, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        os.kill(a_busy_one(client), signal.SIGKILL)
        client.wait(900)
    finally:
        client.kill()
        client.wait()
    run, (verdicts, _) = load_run(out), load_verdicts(out)
    assert run.plan.kind == "suite" and run.status == "complete"
    assert sorted(one.test for one in verdicts) == sorted(one.name for one in run.plan.tests)
    assert all((out / one.log).is_file() for one in verdicts)
