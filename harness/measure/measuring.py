"""A measurement from its plan to its record: prepares everything, runs, leaves a run whatever
happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from harness.core import moments
from harness.core.errors import HarnessError, UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.image.programs import compile_static
from harness.image.rootfs import Image
from harness.kernel.build.builds import Build
from harness.machine import accel as accels
from harness.machine import qemu
from harness.machine.accel import Accel
from harness.machine.session import Session
from harness.measure import calibration, workloads
from harness.measure.hoststate import describe_harness, describe_host
from harness.measure.profiles import recorder
from harness.measure.runner import Bench, Runner, finished_boots
from harness.measure.workloads.declared import Declared
from harness.measure.workloads.workload import Workload
from harness.project.config import Project
from harness.project.machine_tables import GUEST
from harness.records.costs import CacheSizes
from harness.records.hosts import Emulator, Host
from harness.records.plans import Plan, PlannedBoot
from harness.records.record import AccelName
from harness.records.runs import Run, RunStatus
from harness.records.store import RunWriter, has_boots, is_run, load_boots, load_run


class Supplier(Protocol):
    """What a measurement needs of a laboratory."""

    project: Project
    workspace: Workspace
    progress: Progress

    def build(
        self, variant: str, *, source: Path | None = None, mirror: str | None = None,
        jobs: int | None = None, layout: int = 0,
    ) -> Build:
        """The kernel of a variant, in one of its layouts."""
        ...

    def image(self, mirror: str | None = None) -> Image:
        """The root file system."""
        ...

    def programs(self) -> Path:
        """The guest programs."""
        ...

    def accel(self, name: str, build: Build | None, smp: int) -> Accel:
        """What an accel is here."""
        ...

    def measured_host(self) -> Host | None:
        """The real computer that runs the kernels; None for guests."""
        ...

    def boot(
        self, kernel: Build, *, machine: str = "guest", smp: int | None = None,
        memory: str | None = None, append: str = "", accel: str = "auto",
        directory: Path | None = None, plugin: Sequence[str] = (),
    ) -> Session:
        """A session that is not started yet."""
        ...


@dataclass(frozen=True)
class Making:
    """How kernels and image are made that are not in the cache."""

    source: Path | None = None
    """A kernel tree instead of the base's."""
    mirror: str | None = None
    jobs: int | None = None
    profile: bool = True
    """Record where instructions go, in boots that count them."""
    caches: CacheSizes | None = None
    """Caches to model in the first of those boots of each variant; None: no caches."""


@dataclass(frozen=True)
class Prepared:
    """What boots are made from; everything is built."""

    plan: Plan
    workloads: Mapping[str, Workload]
    """Those of the plan."""
    builds: Mapping[tuple[str, int], Build]
    """By variant and layout."""
    image: Image | None
    """Of guests; a real computer has its own."""
    programs: Path
    """Directory of the compiled guest programs."""
    making: Making


Conductor = Callable[[Prepared, RunWriter], int]
"""Does the boots that a run still lacks and records them; returns how many machines died."""


@dataclass(frozen=True)
class MeasuredRun:
    """What became of a measurement."""

    directory: Path
    run: Run
    crashes: int = 0
    """Machines that died on the way; a result, and recorded as one."""
    resumed_for_nothing: bool = False
    """It was finished already."""


def measure(
    lab: Supplier, plan: Plan, directory: Path, making: Making, conduct: Conductor | None = None
) -> MeasuredRun:
    """Run a plan into a directory that holds no run yet, or one that failed before its first boot.

    ``conduct`` does the boots; without one this process does them, one after another.

    Raises :class:`UserError` for a directory that does, and when another bench runs in this
    workspace; and whatever building, booting or measuring raises, with the record written first.
    """
    if is_run(directory) and (has_boots(directory) or load_run(directory).status == "running"):
        raise UserError(
            f"{directory} holds a run already", hint=f"use --resume {directory}, or another --out"
        )
    if making.caches and not (making.profile and "icount" in plan.accels):
        raise UserError(
            "--caches models caches where instructions are counted and profiled, and this run does "
            "not", hint="add --accel icount, drop --no-profile, or drop --caches",
        )
    with _alone(lab):
        run = Run(
            run=directory.name, started=moments.now(), host=describe_host(), plan=plan,
            harness=describe_harness(),
            workloads={
                name: one.record() for name, one in _workloads(lab, plan).items()
            },
            caches=making.caches,
            calibration=calibration.remembered(lab.workspace) if making.caches else None,
        )
        # First of all: an unwritable place must not cost a build.
        return _conduct(lab, plan, RunWriter(directory, run), making, conduct)


def resume(
    lab: Supplier, directory: Path, making: Making, conduct: Conductor | None = None
) -> MeasuredRun:
    """Go on with a run where it stopped; a run that is finished is left as it is.

    Raises :class:`UserError` when its kernels are not those that are built today.
    """
    run = load_run(directory)
    plan = measured_plan(run, directory)
    boots, _ = load_boots(directory)
    crashes = sum(1 for boot in boots if boot.status == "crashed")
    if finished_boots(boots) >= {boot.index for boot in plan.boots}:
        return MeasuredRun(directory, run, crashes, resumed_for_nothing=True)
    with _alone(lab):
        run.status, run.finished = "running", ""
        making = replace(making, caches=run.caches)
        return _conduct(lab, plan, RunWriter(directory, run), making, conduct)


def measured_plan(run: Run, directory: Path) -> Plan:
    """The plan of a run; raises :class:`UserError` for a run of a suite of tests."""
    if not isinstance(run.plan, Plan):
        raise UserError(
            f"{directory} is a run of the suite {run.plan.suite}, not a measurement",
            hint=f"harness stability --resume {directory}",
        )
    return run.plan


def _alone(lab: Supplier) -> AbstractContextManager[None]:
    return lab.workspace.sole("bench", "a bench runs")


def _workloads(lab: Supplier, plan: Plan) -> dict[str, Workload]:
    """Those of a plan; raises :class:`UserError` where a file of one is missing."""
    known = workloads.of(lab.project)
    found = {cell.workload: workloads.get(cell.workload, known) for cell in plan.cells}
    for one in found.values():
        if isinstance(one, Declared):
            one.check()
    return found


def _conduct(
    lab: Supplier, plan: Plan, writer: RunWriter, making: Making, conduct: Conductor | None
) -> MeasuredRun:
    try:
        prepared = _prepare(lab, plan, writer, making)
        crashes = (conduct or partial(here, lab))(prepared, writer)
    except KeyboardInterrupt:
        _close(writer, "interrupted")
        lab.progress.warn(f"go on with: {plan.resuming(str(writer.directory))}")
        raise
    except HarnessError:
        _close(writer, "failed")
        raise
    _close(writer, "crashed" if crashes else "complete")
    return MeasuredRun(writer.directory, writer.run, crashes)


def _prepare(lab: Supplier, plan: Plan, writer: RunWriter, making: Making) -> Prepared:
    known = _workloads(lab, plan)
    for one in known.values():  # first of all: a typing error must not cost a build
        if isinstance(one, Declared) and one.source:
            compile_static(lab.workspace, one.source)
    builds = {
        (name, layout): lab.build(
            name, source=making.source, mirror=making.mirror, jobs=making.jobs, layout=layout
        )
        for name in plan.variants for layout in range(plan.layouts)
    }
    for build in builds.values():
        note_build(writer.run, build)
    image = lab.image(making.mirror) if plan.machine == GUEST else None
    if image is not None:
        writer.run.image = image.record
    writer.save()
    return Prepared(plan, known, builds, image, lab.programs(), making)


def here(lab: Supplier, prepared: Prepared, writer: RunWriter, planned: int = 0) -> int:
    """Every boot of a plan in this process, one after another; returns how many machines died.

    ``planned``: how many the run has in all, where the plan holds some of them.
    """
    plan, builds, making = prepared.plan, prepared.builds, prepared.making
    if plan.machine == GUEST:
        version = ".".join(map(str, accels.qemu_version(qemu.binary())))
        writer.run.emulator = Emulator(binary=qemu.BINARY, version=version)
    chosen = _accels(lab, plan, builds[plan.variants[0], 0])
    writer.run.accels = [accel.record() for accel in chosen.values()]
    writer.run.host = lab.measured_host() or writer.run.host
    writer.save()

    def open_session(boot: PlannedBoot, folder: Path, plugin: Sequence[str]) -> Session:
        return lab.boot(
            builds[boot.variant, boot.layout], machine=plan.machine, smp=plan.smp,
            memory=plan.memory, append=plan.cmdline, accel=boot.accel, directory=folder,
            plugin=plugin,
        )

    names: dict[str, AccelName] = {asked: accel.name for asked, accel in chosen.items()}
    maker = recorder.make(
        lab.workspace, lab.project.file(recorder.FOLDER), writer.run.run, writer.directory,
        lab.progress.warn,
    ) if making.profile and "icount" in names.values() and plan.machine == GUEST else None
    if maker:
        maker.caches = making.caches

    def profiler(boot: PlannedBoot, folder: Path) -> recorder.BootProfiler | None:
        if maker is None or names[boot.accel] != "icount":
            return None
        return maker.boot(boot, builds[boot.variant, boot.layout], folder)

    runner = Runner(Bench(
        plan, prepared.workloads, prepared.programs, partial(compile_static, lab.workspace), names,
        open_session, lab.progress, profiler, planned,
    ), writer)
    runner.run()
    return runner.crashes


def note_build(run: Run, build: Build) -> None:
    """Put a build into the record; a run is not gone on with on another kernel."""
    variant, layout = build.variant, build.kernel.layout.number
    known = run.kernel(variant, layout)
    if known is not None and known.key != build.key:
        raise UserError(
            f"the run was begun with another kernel of {variant} ({known.key}, today it is "
            f"{build.key})", hint="start a new run, or undo what was changed",
        )
    if layout == 0:
        run.kernels[variant] = build.kernel
    elif known is None:
        run.other_layouts.append(build.kernel)


def _accels(lab: Supplier, plan: Plan, build: Build) -> dict[str, Accel]:
    """What each accel of the plan is on this machine; :class:`UserError` if two are one."""
    chosen = {name: lab.accel(name, build, plan.smp) for name in plan.accels}
    for accel in chosen.values():
        lab.progress.say(f"accel {accel.name}: {accel.reason}")
    if len({accel.name for accel in chosen.values()}) < len(chosen):
        raise UserError(f"--accel {plan.accel}: two of them are the same here", hint="name one")
    return chosen


def _close(writer: RunWriter, status: RunStatus) -> None:
    writer.run.status = status
    writer.run.finished = moments.now()
    writer.save()
