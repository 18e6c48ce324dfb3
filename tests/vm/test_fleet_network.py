"""Real guests on hosts with addresses of their own, network namespaces, over TLS."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.workspace import Workspace
from harness.records.plans import Plan, SuitePlan
from harness.records.store import load_boots, load_run, load_samples, load_verdicts
from tests import fleetnet
from tests.fleetnet import CLIENT, SCHEDULER, FleetNet, fleet_net
from tests.guests import Harness, guests, wait_for

ABSENT = fleetnet.missing()
pytestmark = [
    pytest.mark.vm,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        "HARNESS_FLEET" not in os.environ,
        reason="needs HARNESS_FLEET=1: guests on three namespaces, a quarter of an hour",
    ),
    pytest.mark.skipif(bool(ABSENT), reason=f"a fleet in network namespaces {ABSENT}"),
]
WORKERS = ("one", "two", "three")
PLAN = (
    "bench", "--variants", "before,after", "--boots", "2", "--repeat", "1", "--rounds", "20",
    "--accel", "icount", "--threads", "1", "--workload", "multi-fault", "--no-profile",
    "--no-control",
)
RACES = (
    "stability", "--suite", "races", "--variants", "before", "--smp", "2", "--memory", "1G",
    "--minutes", "1", "--no-confirm",
)
SILENCE_S = 20.0


@pytest.fixture(scope="module")
def alone(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The measurement on one machine."""
    out = tmp_path_factory.mktemp("alone") / "run"
    done = harness(*PLAN, "--out", str(out), timeout=1200)
    assert done.code == 0, done.err
    return out


@pytest.fixture
def net(tmp_path: Path) -> Iterator[FleetNet]:
    """A scheduler and three workers, each with a cache of its own; one of them is empty."""
    with fleet_net(tmp_path / "net", WORKERS, silence_s=SILENCE_S) as made:
        for name in WORKERS[1:]:
            for kind in ("builds", "images"):
                folder = tmp_path / "net" / f"{name}.cache" / kind
                shutil.copytree(Workspace().dir(kind), folder, copy_function=linked)
        made.begin_all()
        yield made
    shutil.rmtree(tmp_path / "net", ignore_errors=True)  # three images


def linked(source: str, target: str) -> None:
    """A second name of a file; a copy where that is on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def client(net: FleetNet, *words: str) -> subprocess.Popen[bytes]:
    return net.start(CLIENT, sys.executable, "-m", "harness", *words)


def a_busy_one(net: FleetNet) -> str:
    """A worker that runs a guest now."""
    found: list[str] = []

    def seen() -> bool:
        found.extend(name for name in WORKERS if guests() & net.processes(name))
        return bool(found)

    wait_for(seen, 600)
    return found[0]


def check_measured(run: Path, alone: Path) -> None:
    """Each boot of the plan once, with the samples that it has on one machine."""
    record, other = load_run(run), load_run(alone)
    assert isinstance(record.plan, Plan) and isinstance(other.plan, Plan)
    assert record.status == "complete" and record.plan.boots == other.plan.boots
    every = [one.index for one in record.plan.boots]
    assert sorted(one.boot for one in load_boots(run)[0] if one.status == "ok") == every
    here, there = (
        {(one.boot, one.metric): one.value for one in load_samples(of)[0]
         if one.metric == "instructions_per_fault"} for of in (run, alone)
    )
    counted = [one for one in load_samples(run)[0] if one.metric == "instructions_per_fault"]
    assert sorted(one.boot for one in counted) == every, "none twice, none missing"
    assert here == pytest.approx(there, rel=1e-3)
    assert set(record.hosts) <= set(WORKERS)


def test_a_host_that_is_cut_off_in_the_middle_of_a_boot(
    net: FleetNet, alone: Path, tmp_path: Path
) -> None:
    process = client(net, *PLAN, "--fleet", str(net.file), "--out", str(tmp_path / "run"))
    name = a_busy_one(net)
    net.cut(name)
    assert process.wait(1200) == 0, net.said(CLIENT)
    check_measured(tmp_path / "run", alone)
    assert name not in load_run(tmp_path / "run").hosts, "all that it did was done elsewhere"


def test_a_client_that_is_killed_is_gone_on_with(
    net: FleetNet, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = client(net, *PLAN, "--fleet", str(net.file), "--out", str(run))
    wait_for(lambda: len(load_boots(run)[0]) > 0, 900)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not guests(), 60)  # nobody waits for them
    earlier = [one.boot for one in load_boots(run)[0]]
    again = client(net, "bench", "--resume", str(run), "--fleet", str(net.file))
    assert again.wait(1200) == 0, net.said(CLIENT)
    check_measured(run, alone)
    assert [one.boot for one in load_boots(run)[0]][:len(earlier)] == earlier


def test_races_whose_scheduler_is_killed(net: FleetNet, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = client(net, *RACES, "--fleet", str(net.file), "--out", str(run))
    wait_for(lambda: (run / "verdicts.jsonl").exists() and len(load_verdicts(run)[0]) > 0, 900)
    net.end(SCHEDULER)
    assert process.wait(120) == 3
    said = net.said(CLIENT).splitlines()
    assert "connection to the scheduler" in said[-2] + said[-1], said[-5:]
    assert "--resume" in said[-1] and not any("Traceback" in line for line in said)
    for name in WORKERS:  # they end with their scheduler; whoever keeps them begins them again
        wait_for(lambda name=name: net.ended(name), 60)  # type: ignore[misc]
    net.begin_all()
    again = client(net, "stability", "--resume", str(run), "--fleet", str(net.file))
    assert again.wait(1200) == 0, net.said(CLIENT)
    record, verdicts = load_run(run), load_verdicts(run)[0]
    assert isinstance(record.plan, SuitePlan) and record.status == "complete"
    assert sorted(one.test for one in verdicts) == sorted(one.name for one in record.plan.tests)
    assert {one.verdict for one in verdicts} == {"pass"}
    assert all((run / one.log).is_file() for one in verdicts)
    assert set(record.hosts) <= set(WORKERS)
