"""What a fleet costs beside its boots: tasks of no work, counted on the client and the scheduler.

    .venv/bin/python scripts/bench-fleet.py --tasks 1000 --workers 2

A task is a pair of boots that takes no time and has 20 cells with 5 repeats to report. CPU seconds
are those of this process, in which client and scheduler run.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import harness
from harness.core import moments
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.fleet import conducting, engine
from harness.fleet.dispatch import Dispatcher
from harness.fleet.engine import FleetChoice
from harness.fleet.jobs import BootJob, JobResult
from harness.records.boots import BootRecord
from harness.records.hosts import FleetHost
from harness.records.plans import Block, Cell, Plan, PlannedBoot
from harness.records.runs import Run
from harness.records.samples import Sample
from harness.records.store import RunWriter, load_boots, load_samples

CELLS, REPEATS = 20, 5


def pretend(job: BootJob) -> JobResult:
    """A pair of boots that took no time, with as much to say as a real one."""
    samples = [
        Sample(run=job.run, variant=boot.variant, boot=boot.index, workload=cell.workload,
               params=cell.params, repeat=repeat, metric="ns", value=1.0, unit="ns", accel="kvm")
        for boot in job.plan.boots for cell in job.plan.cells for repeat in range(REPEATS)
    ]
    boots = [
        BootRecord(boot=boot.index, variant=boot.variant, accel="kvm", status="ok",
                   started=moments.now(), qemu_argv=["word"] * 60)
        for boot in job.plan.boots
    ]
    return JobResult(FleetHost(), "pretended", tuple(boots), tuple(samples))


def plan(tasks: int) -> Plan:
    cells = [Cell(workload="common", params={"call": f"call-{at}"}, repeat=REPEATS, accel="kvm")
             for at in range(CELLS)]
    boots = [
        PlannedBoot(index=2 * seed + at, variant=variant, seed=seed, accel="kvm",
                    cells=list(range(CELLS)))
        for seed in range(tasks) for at, variant in enumerate(("before", "after"))
    ]
    return Plan(variants=["before", "after"], accel="kvm", smp=4, cells=cells, boots=boots,
                blocks=[Block(accel="kvm", rounds=tasks)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    of, quiet = plan(given.tasks), Progress(-1)
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace")
        started = time.monotonic()
        choice = FleetChoice(engine.LOCAL, given.workers)
        with engine.connected(choice, of, workspace, quiet) as connection:
            began = time.monotonic()
            print(f"harness {harness.__version__}: {given.workers} workers "  # noqa: T201
                  f"ready after {began - started:.1f} s")
            before = resource.getrusage(resource.RUSAGE_SELF)
            writer = RunWriter(Path(folder) / "run", Run(run="run", plan=of, started="now"))
            dispatcher = Dispatcher(connection, writer, quiet, perform=pretend)
            conducting.spread(dispatcher, of, _no_bench)
            took = time.monotonic() - began
            after = resource.getrusage(resource.RUSAGE_SELF)
        boots, samples = load_boots(writer.directory)[0], load_samples(writer.directory)[0]
        assert len({one.boot for one in boots}) == len(boots) == 2 * given.tasks
        assert len(samples) == 2 * given.tasks * CELLS * REPEATS
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{given.tasks} tasks: {took:.1f} s, {1000 * took / given.tasks:.1f} ms a "  # noqa: T201
              f"task; {cpu:.1f} CPU s, {1000 * cpu / given.tasks:.1f} ms a task; peak memory "
              f"{after.ru_maxrss / 1024:.0f} MiB")


def _no_bench(*_: object) -> object:
    raise AssertionError("nobody boots")


if __name__ == "__main__":
    main()
