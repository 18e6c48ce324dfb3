"""Boots that only pretend, on real workers of Dask: what they do is told by files in a directory.

``kill-N`` and ``freeze-N``: the first worker that measures boot N takes the file away and kills or
stops itself. ``cut-N``: it pulls its own network down and goes on. ``fail-N``: the boot fails
wherever that file is. ``wait-N``: it takes as long as the file is there. ``done`` holds a line for
each cell that was measured: boot and process.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from harness.core import digest, jsonl
from harness.core.errors import InfrastructureError
from harness.core.progress import Progress
from harness.fleet.jobs import BootJob, Desk, Stand
from harness.machine.session import Session
from harness.measure.measuring import Conductor
from harness.measure.runner import Bench, Runner
from harness.measure.workloads.workload import Context, Measurement, Settings
from harness.records.hosts import FleetHost
from harness.records.plans import Block, Cell, Plan, PlannedBoot, Thp
from harness.records.record import Params
from harness.records.runs import Run
from harness.records.store import RunWriter, load_boots, load_samples
from harness.records.workloads import WorkloadRecord
from tests.unit.suites.fakes import FakeSession, Script

CELLS = ("first", "second")
__all__ = ["Conductor", "bench", "make", "plan", "writer"]


class PretendedSession(FakeSession):
    """One that knows which boot it is, and where it is told what to do."""

    def __init__(self, boot: PlannedBoot, folder: Path, stage: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(Script(), folder)
        self.log.write_text(f"boot {boot.index}\n")
        self.boot_of, self.stage = boot, stage


class Pretended:
    """A workload whose number follows from the boot's variant and seed."""

    name = "pretended"
    thp: Thp = "as booted"
    flags: ClassVar[frozenset[str]] = frozenset()
    icount_params: ClassVar[Settings] = {}

    def cells(self, settings: Settings) -> list[Params]:
        return [{"cell": name} for name in CELLS]

    def label(self, params: Params) -> str:
        return str(params["cell"])

    def seconds(self, params: Params, repeat: int, accel: str) -> float:
        return 0.1

    def packages(self, params: Params) -> Sequence[str]:
        return []

    def record(self) -> WorkloadRecord:
        return WorkloadRecord(name=self.name, title=self.name, metrics=[])

    def measure(self, session: Session, params: Params, context: Context) -> Iterator[Measurement]:
        assert isinstance(session, PretendedSession)
        boot, stage = session.boot_of, session.stage
        for what, sent in (("kill", signal.SIGKILL), ("freeze", signal.SIGSTOP)):
            order = stage / f"{what}-{boot.index}"
            if order.exists() and params["cell"] == CELLS[-1]:
                order.unlink()
                os.kill(os.getpid(), sent)
                time.sleep(60)
        if params["cell"] == CELLS[-1]:
            cut_off(stage / f"cut-{boot.index}")
        if (stage / f"fail-{boot.index}").exists():
            raise InfrastructureError("it pretends to fail")
        while (stage / f"wait-{boot.index}").exists() and not session.killed:
            time.sleep(0.02)
        jsonl.append(stage / "done", [f"[{boot.index}, {os.getpid()}]"])
        context.keep("said", f"{params['cell']}\n")
        number = int(digest.key([boot.variant, boot.control, boot.seed, dict(params)]), 16)
        for repeat in range(context.repeat):
            yield Measurement("number", float(number % 1000 + repeat), "things", repeat)


def cut_off(order: Path) -> None:
    """Take this worker's host, a network namespace, off the network, if a file asks for it."""
    if order.exists():
        order.unlink()
        subprocess.run(["ip", "link", "set", "eth0", "down"], check=True)
        jsonl.append(order.with_name("off"), [json.dumps(socket.gethostname())])


def plan(stage: Path, rounds: int = 3) -> Plan:
    """Boots of two variants; ``stage`` is the directory that tells what they do."""
    cells = [
        Cell(workload=Pretended.name, params={"cell": name}, repeat=2, accel="tcg", label=name,
             thp="as booted")
        for name in CELLS
    ]
    boots = [
        PlannedBoot(index=2 * seed + at, variant=variant, seed=seed, accel="tcg", cells=[0, 1])
        for seed in range(rounds) for at, variant in enumerate(("before", "after"))
    ]
    return Plan(
        variants=["before", "after"], accel="tcg", smp=1, cells=cells, boots=boots,
        blocks=[Block(accel="tcg", rounds=rounds)], cmdline=str(stage),
    )


def writer(directory: Path, of: Plan) -> RunWriter:
    return RunWriter(directory, Run(run="run", started="today", plan=of))


def bench(of: Plan, progress: Progress, begun: Desk | None = None) -> Bench:
    def open_session(boot: PlannedBoot, folder: Path, _: Sequence[str]) -> Session:
        session = PretendedSession(boot, folder, Path(of.cmdline))
        if begun:
            begun.begun(session)
        return session

    return Bench(
        of, {Pretended.name: Pretended()}, Path(), lambda source: source, {"tcg": "tcg"},
        open_session, progress,
    )


def make(job: BootJob, desk: Desk, directory: Path) -> Stand:
    """What :func:`harness.fleet.guestboots.make` is for real guests."""
    if job.supplies:
        desk.fetch(job.supplies.programs)
    return Stand(bench(job.plan, desk.progress, desk), FleetHost())


def alone(directory: Path, of: Plan) -> None:
    """The same plan without a fleet."""
    Runner(bench(of, Progress(-1)), writer(directory, of)).run()


Measured = tuple[str, int, str, int, float]


def measured(directory: Path) -> list[Measured]:
    """Every sample that is in a record, in a fixed order."""
    return sorted(
        (one.variant, one.boot, str(one.params["cell"]), one.repeat, one.value)
        for one in load_samples(directory)[0]
    )


def done(directory: Path) -> list[int]:
    """The boots that have a record of a good end, one entry for each record."""
    return sorted(one.boot for one in load_boots(directory)[0] if one.status == "ok")
