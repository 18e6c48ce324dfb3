"""Conducts a bench: prepares everything, runs the plan, leaves a record whatever happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cli import machines
from harness.cli.common import Setup
from harness.core.errors import HarnessError, UserError
from harness.image.programs import build_programs
from harness.kernel.build.builds import Build
from harness.machine import accel as accels
from harness.machine import qemu
from harness.machine.accel import Accel
from harness.measure.hoststate import describe_harness, describe_host
from harness.measure.planning import Plan
from harness.measure.runner import Bench, Runner, describe, estimate, now
from harness.records.old_runs import RUN_FILE, Run, RunStatus, RunWriter, load_run, old_kernel


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
    lines = []
    for block in plan.blocks:
        mine = [boot for boot in plan.boots if boot.accel == block.accel]
        order = ", ".join(
            boot.variant + ("" if boot.repeats is None else " (again)") for boot in mine
        )
        name = "tcg" if block.accel == "auto" else block.accel
        minutes = sum(estimate(boot, name) for boot in mine) / 60
        under = " under TCG" if name != block.accel else ""
        lines += [
            f"accel {block.accel}, {len(mine)} boots: {order}",
            f"about {minutes:.0f} minutes{under}; in each boot:",
        ]
        cells = [cell for cell in plan.cells if cell.accel == block.accel]
        lines += [f"  {describe(cell)} x {cell.repeat}  {cell.params}" for cell in cells]
    return lines


def declared_pairs(env: Setup, variants: Sequence[str]) -> list[list[str]]:
    """What is compared, as harness.toml declares it: [baseline, variant] each.

    Warns of variants that will stand alone in the report.
    """
    pairs = env.project.comparisons(variants)
    alone = [name for name in variants if not any(name in pair for pair in pairs)]
    if alone and len(variants) > 1:
        env.progress.warn(
            f"{', '.join(alone)}: no declared comparison among the variants measured, "
            "so compared with nothing (see `comparisons` in harness.toml)"
        )
    return [list(pair) for pair in pairs]


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
        plan={
            **request.plan.record(), "base": env.project.config.defaults.base,
            "comparisons": declared_pairs(env, request.plan.variants),
        },
        host=describe_host(),
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
    chosen = _accels(env, plan, builds[plan.variants[0]])
    writer.run.variants = {name: old_kernel(build.kernel) for name, build in builds.items()}
    for boot in plan.boots:
        if boot.variant not in builds:
            metadata = {**old_kernel(builds[boot.kernel].kernel), "control_of": boot.kernel}
            writer.run.variants[boot.variant] = metadata
    writer.run.accels = [accel.record() for accel in chosen.values()]
    writer.run.accel = writer.run.accels[0]
    version = ".".join(map(str, accels.qemu_version(qemu.binary())))
    writer.run.qemu = {"binary": qemu.BINARY, "version": version}
    writer.run.image = image.record.model_dump()
    writer.save()
    runner = Runner(Bench(plan, builds, image, programs, chosen, env.progress), writer)
    runner.run()
    return runner.crashes


def _accels(env: Setup, plan: Plan, build: Build) -> dict[str, Accel]:
    """What each accel of the plan is on this machine; :class:`UserError` if two are one."""
    chosen = {name: machines.need_accel(env, name, build, plan.smp) for name in plan.accels}
    for accel in chosen.values():
        env.progress.say(f"accel {accel.name}: {accel.reason}")
    if len({accel.name for accel in chosen.values()}) < len(chosen):
        raise UserError(f"--accel {plan.accel}: two of them are the same here", hint="name one")
    return chosen


def _close(writer: RunWriter, status: RunStatus) -> None:
    writer.run.status = status
    writer.run.finished = now()
    writer.save()
