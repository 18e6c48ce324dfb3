"""Conducts a bench: prepares everything, runs the plan, leaves a record whatever happens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.bench.host import describe_harness, describe_host
from harness.bench.plan import Plan
from harness.bench.record import RUN_FILE, Run, RunStatus, RunWriter, load_run
from harness.bench.runner import Bench, Runner, describe, now
from harness.cli import machines
from harness.cli.common import Setup
from harness.core.errors import HarnessError
from harness.guest.programs import build_programs
from harness.machine import accel as accels
from harness.machine import qemu


@dataclass(frozen=True)
class Request:
    """What the flags ask for."""

    plan: Plan
    directory: Path
    source: Path | None = None
    mirror: str | None = None
    jobs: int = 0


def describe_plan(plan: Plan) -> list[str]:
    """The plan in words."""
    order = " ".join(boot.variant for boot in plan.boots)
    cells = [f"  {describe(cell)} x {cell.repeat}  {cell.params}" for cell in plan.cells]
    return [f"boots: {order}", "in each boot:", *cells]


def conduct(env: Setup, request: Request) -> int:
    """Run the plan into the directory; returns the number of guests that crashed.

    Raises :class:`UserError` when another bench runs in this workspace, and whatever
    building, booting or measuring raises, with the run's record written first.
    """
    qemu.check_memory(request.plan.memory)
    with env.workspace.sole("bench", "a bench runs"):
        # First of all: an unwritable place must not cost a build.
        writer = _writer(env, request)
        try:
            crashes = _conduct(env, request, writer)
        except KeyboardInterrupt:
            _close(writer, "interrupted")
            env.progress.warn(f"go on with: harness bench --resume {request.directory}")
            raise
        except HarnessError:
            _close(writer, "failed")
            raise
        _close(writer, "crashed" if crashes else "complete")
    return crashes


def _writer(env: Setup, request: Request) -> RunWriter:
    if (request.directory / RUN_FILE).exists():
        run = load_run(request.directory)
        run.status = "running"
        return RunWriter(request.directory, run)
    run = Run(
        run=request.directory.name, started=now(), harness=describe_harness(env.project.root),
        plan=request.plan.record(), host=describe_host(),
    )
    return RunWriter(request.directory, run)


def _conduct(env: Setup, request: Request, writer: RunWriter) -> int:
    plan = request.plan
    builds = {
        name: machines.need_build(
            env, name, source=request.source, mirror=request.mirror, jobs=request.jobs
        )
        for name in plan.variants
    }
    image = machines.need_image(env, request.mirror)
    programs = build_programs(env.workspace, env.project, env.progress)
    accel = machines.need_accel(env, plan.accel, builds[plan.variants[0]], plan.smp)
    env.progress.say(f"accel {accel.name}: {accel.reason}")
    writer.run.variants = {name: build.metadata for name, build in builds.items()}
    writer.run.accel = accel.record()
    version = ".".join(map(str, accels.qemu_version(qemu.binary())))
    writer.run.qemu = {"binary": qemu.BINARY, "version": version}
    writer.run.image = image.metadata
    writer.save()
    runner = Runner(Bench(plan, builds, image, programs, accel, env.progress), writer)
    runner.run()
    return runner.crashes


def _close(writer: RunWriter, status: RunStatus) -> None:
    writer.run.status = status
    writer.run.finished = now()
    writer.save()
