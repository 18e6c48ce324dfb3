"""Guests that only pretend to run tests, on real workers; told by files what to do.

``kill-TEST`` and ``freeze-TEST``: the first worker that runs the test takes the file away and kills
or stops itself. ``cut-TEST``: it pulls its own network down and goes on. ``wait-TEST``: it takes as
long as the file is there. ``down-TEST``: no guest comes up for a batch that holds it. ``done`` has
a line for each test that was begun: name and process.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from harness.core import jsonl
from harness.core.errors import InfrastructureError
from harness.fleet.batchjobs import BatchJob, BatchStand, WorkerLab
from harness.fleet.jobs import Desk
from harness.machine.session import Session
from harness.records.hosts import FleetHost
from harness.records.plans import Pair, PlannedTest, SuitePlan
from harness.records.store import load_boots, load_verdicts
from tests.unit.fleet.pretence import cut_off
from tests.unit.suites.fakes import FakeProcess, FakeSession, Script

TESTS = [PlannedTest(name=f"t{n}", seed=n, command=f"t{n}", seconds=0.0, fixed=60.0)
         for n in range(6)]


class PretendedGuest(FakeSession):
    """One that is told where to look for what to do."""

    def __init__(self, folder: Path, stage: Path, trouble: Exception | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(Script({"t1": (1, "one is bad")}), folder, trouble)
        self.log.write_text("a console\n")
        self.stage = stage

    def start(self, command: str, *, pty: bool = False) -> FakeProcess:
        name = command.rsplit("\n", 1)[1]
        for what, sent in (("kill", signal.SIGKILL), ("freeze", signal.SIGSTOP)):
            order = self.stage / f"{what}-{name}"
            if order.exists():
                order.unlink()
                os.kill(os.getpid(), sent)
                time.sleep(60)
        cut_off(self.stage / f"cut-{name}")
        jsonl.append(self.stage / "done", [json.dumps([name, os.getpid()])])
        while (self.stage / f"wait-{name}").exists() and not self.killed:
            time.sleep(0.02)
        return super().start(command, pty=pty)


def make(job: BatchJob, desk: Desk) -> BatchStand:
    """What :func:`harness.fleet.batchjobs.make_stand` is for real guests."""
    stage = Path(job.plan.cmdline)
    down = any((stage / f"down-{test.name}").exists() for test in job.batch.tests)

    def open_session(directory: Path) -> Session:
        trouble = InfrastructureError("it pretends not to come up") if down else None
        session = PretendedGuest(directory, stage, trouble)
        desk.begun(session)
        return session

    return BatchStand(WorkerLab(desk.workspace, desk.progress), open_session, FleetHost())


def plan(stage: Path, *, confirm: bool = False) -> SuitePlan:
    """Six tests on two variants; t1 fails on both."""
    return SuitePlan(
        suite="stress-ng", base="mine", variants=["before", "after"], smp=1, memory="1G",
        cmdline=str(stage), confirm=confirm, tests=TESTS,
        comparisons=[Pair(baseline="before", variant="after")],
    )


def said(directory: Path) -> list[tuple[str, str, int, str]]:
    """Every verdict that is in a record, in a fixed order: none twice, none missing."""
    return sorted((v.variant, v.test, v.attempt, v.verdict) for v in load_verdicts(directory)[0])


def boots(directory: Path) -> list[tuple[str, int]]:
    """Every boot that is in a record."""
    return sorted((one.variant, one.boot) for one in load_boots(directory)[0])
