"""What a fleet costs beside its boots: tasks of no work, counted on the client and the scheduler.

    .venv/bin/python scripts/bench-fleet.py --tasks 1000 --workers 2
    .venv/bin/python scripts/bench-fleet.py --tasks 2000 --workers 1000 --seconds 80 --simulated

A task is a pair of boots that takes no time, or sleeps for the seconds given, and has 20 cells with
5 repeats to report. CPU seconds are those of client and scheduler: of this process, in which both
run, or, of a simulation, of this process and the scheduler's. A simulation's workers are Dask's
own, each with its connection, its thread and its signs of life, hundreds of them in one process.
What a worker does for itself many times a second, whatever its scheduler, is switched off in them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from distributed import Client, Worker

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
IN_ONE_PROCESS = 250
"""Simulated workers."""
QUIET = {
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "60s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "60s",
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
}
"""Of simulated workers: each would wake up fifty times a second to see whether it sleeps."""


def pretend(job: BootJob) -> JobResult:
    """A pair of boots that took the seconds of its plan, with as much to say as a real one."""
    time.sleep(float(job.plan.cmdline))
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


def plan(tasks: int, seconds: float) -> Plan:
    cells = [Cell(workload="common", params={"call": f"call-{at}"}, repeat=REPEATS, accel="kvm")
             for at in range(CELLS)]
    boots = [
        PlannedBoot(index=2 * seed + at, variant=variant, seed=seed, accel="kvm",
                    cells=list(range(CELLS)))
        for seed in range(tasks) for at, variant in enumerate(("before", "after"))
    ]
    return Plan(variants=["before", "after"], accel="kvm", smp=4, cells=cells, boots=boots,
                blocks=[Block(accel="kvm", rounds=tasks)], cmdline=str(seconds))


async def serve(address: str, count: int, folder: str) -> None:
    """Simulated workers, until their scheduler goes."""
    soft_hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft_hard[1], soft_hard[1]))
    workers = [
        Worker(address, nthreads=1, resources={engine.GUEST: 1}, memory_limit=0, dashboard=False,
               host="127.0.0.1", local_directory=folder, name=f"{os.getpid()}-{number}")
        for number in range(count)
    ]
    for one in workers:
        await one
    await asyncio.gather(*(one.finished() for one in workers))


@contextlib.contextmanager
def simulation(count: int, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """A scheduler with simulated workers that are all there: its address, its process."""
    place = folder / "scheduler.json"
    with contextlib.ExitStack() as ending:
        def start(*words: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={**os.environ, **QUIET}, cwd=folder,
            )
            ending.callback(process.wait)
            ending.callback(process.kill)
            return process

        scheduler = start("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port",
                          "0", "--no-dashboard", "--scheduler-file", str(place))
        while not place.is_file():
            time.sleep(0.1)
        with Client(scheduler_file=str(place), set_as_default=False) as client:
            address = str(client.scheduler.address)
            for first in range(0, count, IN_ONE_PROCESS):
                start(__file__, "--serve", address,
                      "--workers", str(min(IN_ONE_PROCESS, count - first)))
            client.wait_for_workers(count)
        yield address, psutil.Process(scheduler.pid)


@contextlib.contextmanager
def fleet(
    given: argparse.Namespace, of: Plan, folder: Path
) -> Iterator[tuple[engine.Connection, psutil.Process | None]]:
    """The connection that is measured, and the scheduler's process where it has one of its own."""
    workspace, quiet = Workspace(folder / "workspace"), Progress(-1)
    with contextlib.ExitStack() as stack:
        scheduler, choice = None, FleetChoice(engine.LOCAL, given.workers)
        if given.simulated:
            address, scheduler = stack.enter_context(simulation(given.workers, folder))
            choice = FleetChoice(address)
        yield stack.enter_context(engine.connected(choice, of, workspace, quiet)), scheduler


def cpu_seconds(scheduler: psutil.Process | None) -> tuple[float, float]:
    """Of this process, and of the scheduler's where it has one."""
    mine, its = psutil.Process().cpu_times(), scheduler.cpu_times() if scheduler else None
    return mine.user + mine.system, its.user + its.system if its else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.0, help="that a task sleeps")
    parser.add_argument("--simulated", action="store_true", help="workers in few processes")
    parser.add_argument("--serve", metavar="ADDRESS", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        return asyncio.run(serve(given.serve, given.workers, str(Path.cwd() / "workers")))
    of, quiet = plan(given.tasks, given.seconds), Progress(-1)
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        with fleet(given, of, Path(folder)) as (connection, scheduler):
            began = time.monotonic()
            say(f"harness {harness.__version__}: {given.workers} workers ready after "
                f"{began - started:.1f} s")
            before = cpu_seconds(scheduler)
            writer = RunWriter(Path(folder) / "run", Run(run="run", plan=of, started="now"))
            dispatcher = Dispatcher(connection, writer, quiet, perform=pretend)
            conducting.spread(dispatcher, of, _no_bench)
            took = time.monotonic() - began
            client, its = (
                late - early for early, late in zip(before, cpu_seconds(scheduler), strict=True)
            )
            memory = scheduler.memory_info().rss if scheduler else 0
        check(writer.directory, given.tasks)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    least = -(-given.tasks // given.workers) * given.seconds
    whose = f"client {client:.1f} and scheduler {its:.1f}" if scheduler else f"{client:.1f}"
    say(f"{given.tasks} tasks: {took:.1f} s (without any cost {least:.0f} s), "
        f"{1000 * (took - least) / given.tasks:.1f} ms more a task; {whose} CPU s, "
        f"{1000 * (client + its) / given.tasks:.1f} ms a task; memory {peak / 1024:.0f} MiB at "
        f"most, scheduler {memory / 2**20:.0f} MiB; load {os.getloadavg()[0]:.0f}")


def check(directory: Path, tasks: int) -> None:
    """That every boot and every sample is in the record, and once."""
    boots, samples = load_boots(directory)[0], load_samples(directory)[0]
    assert len({one.boot for one in boots}) == len(boots) == 2 * tasks
    assert len(samples) == 2 * tasks * CELLS * REPEATS


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _no_bench(*_: object) -> object:
    raise AssertionError("nobody boots")


if __name__ == "__main__":
    main()
