"""Batches of tests on a worker: what travels, and what a worker makes of it.

The worker runs the suite's own runner in a directory of its own, with numbers of boots that the
client gave it, so that what it hands back can be put into the run as it is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import NoReturn

from harness.core.errors import HarnessError, UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.fleet.jobs import Desk
from harness.fleet.parcels import Parcel
from harness.fleet.working import WorkerDesk, check_version, packed
from harness.image.rootfs import Image, load_image
from harness.kernel.build.builds import Build
from harness.machine import accel, qemu
from harness.machine.guest_machine import GuestMachine
from harness.machine.session import BootOrder, Session
from harness.measure.hoststate import describe_harness, describe_host, host_name
from harness.project.config import Project
from harness.records.boots import BootRecord
from harness.records.hosts import Emulator, FleetHost, Host
from harness.records.plans import SuitePlan
from harness.records.verdicts import Verdict
from harness.suites.batches import TestBatch
from harness.suites.conductor import BOOTS
from harness.suites.registry import find_suite
from harness.suites.testboots import TestBoot
from harness.suites.testrunner import SuiteRunner, TestQueue


@dataclass(frozen=True)
class SuiteSupplies:
    """What the guests of a variant are made from."""

    build: Parcel
    image: Parcel
    programs: Parcel
    order: BootOrder
    """The worker fills in its own paths."""
    disks: tuple[Parcel, ...] = ()
    """Each of one file."""
    neighbours: int = 1
    """Guests that a host of the fleet runs at a time."""


@dataclass(frozen=True)
class BatchStand:
    """What a worker runs a batch with."""

    lab: WorkerLab
    open_session: Callable[[Path], Session]
    """A guest that is not started yet, with its logs in that directory."""
    host: FleetHost


@dataclass(frozen=True)
class BatchJob:
    """A batch as a worker gets it. ``plan`` has its tests and its variant and no others."""

    run: str
    batch: TestBatch
    plan: SuitePlan
    topic: str
    """Of the events that it sends to the client."""
    version: str
    """Of the client's harness."""
    make: Callable[[BatchJob, Desk], BatchStand]
    """Found on the worker by its name."""
    supplies: SuiteSupplies | None = None


@dataclass(frozen=True)
class BatchResult:
    """What a worker hands back of a batch: all of it, or an error."""

    host: FleetHost
    host_name: str
    verdicts: tuple[Verdict, ...] = ()
    boots: tuple[BootRecord, ...] = ()
    files: bytes = b""
    """Logs and consoles, a compressed tar archive of the run's directory."""
    error: str = ""
    exit_code: int = 0
    """Of the error."""


@dataclass(frozen=True)
class WorkerLab:
    """What suites may ask of a laboratory while guests run; what is made was made by the client."""

    workspace: Workspace
    progress: Progress
    folder: Path = field(default_factory=Path)
    """Of the guest programs."""

    def programs(self) -> Path:
        """The compiled programs of guest/."""
        return self.folder

    @property
    def project(self) -> Project:
        """The client's, which workers do not have."""
        return _not_here()

    def build(self, variant: str) -> Build:
        """Made by the client."""
        return _not_here()

    def types(self, build: Build) -> Path | None:
        """Dumps are not taken on a fleet."""
        return _not_here()

    def image(self) -> Image:
        """Made by the client."""
        return _not_here()

    def accel(self, name: str, build: Build, smp: int) -> accel.Accel:
        """What an accel is on this host."""
        return accel.choose(name, self.workspace, qemu.binary(), build.bzimage, smp)

    def measured_host(self) -> Host | None:
        """None: workers run guests."""
        return None

    def boot(
        self, kernel: str | Build, *, smp: int | None = None, memory: str | None = None,
        append: str = "", accel: str = "auto", directory: Path | None = None,
        disks: Sequence[Path] = (), gdb: bool = False, crowd: float = 1.0,
        boot_seconds: float | None = None,
    ) -> Session:
        """Guests are the runner's."""
        return _not_here()


def _not_here() -> NoReturn:
    raise UserError("this suite asks a worker of a fleet for what only the client has",
                    hint="run it without --fleet")


def perform_batch(job: BatchJob) -> BatchResult:
    """Do a batch, in a worker's thread.

    Raises :class:`harness.fleet.working.Abandoned`. What goes wrong otherwise is in the result.
    """
    from distributed import get_worker  # noqa: PLC0415

    worker = get_worker()
    desk = WorkerDesk(worker, str(worker.get_current_task()), job.topic)
    host = FleetHost(host=describe_host(), harness=describe_harness())
    with tempfile.TemporaryDirectory(prefix="tests.", dir=worker.local_directory) as scratch:
        directory = Path(scratch)
        verdicts: list[Verdict] = []
        boots: list[BootRecord] = []
        error: HarnessError | None = None
        with desk:
            try:
                check_version(job.version)
                stand = job.make(job, desk)
                host = stand.host.model_copy(update={"host": host.host, "harness": host.harness})
                for verdict in _runner(job, stand, directory, boots).run(
                    TestQueue(job.batch.tests)
                ):
                    desk.check()
                    verdicts.append(verdict)
                    desk.send({"note": f"{job.batch.variant}: {verdict.test}"})
            except HarnessError as fault:
                error = fault
            desk.check()
        desk.send({"note": ""})
        return BatchResult(
            host, host_name(), tuple(verdicts), tuple(boots), packed(directory),
            error.line() if error else "", error.exit_code if error else 0,
        )


def _runner(
    job: BatchJob, stand: BatchStand, directory: Path, boots: list[BootRecord]
) -> SuiteRunner:
    variant = job.batch.variant
    suite = find_suite(job.plan.suite)
    numbers = count(job.batch.first_boot)

    def boot() -> TestBoot:
        number = next(numbers)
        session = stand.open_session(directory / BOOTS / f"{variant}-{number:02d}")
        return TestBoot(number, variant, session, directory, boots.append)

    return SuiteRunner(
        suite, variant, boot, directory / f"tests-{variant}", attempt=job.batch.attempt,
        prepare=lambda session: suite.prepare(session, stand.lab, job.plan),
    )


def make_stand(job: BatchJob, desk: Desk) -> BatchStand:
    """Guests of this host's QEMU for a batch."""
    supplies = job.supplies
    assert supplies is not None
    build = Build.load(desk.fetch(supplies.build), job.batch.variant)
    image = load_image(desk.fetch(supplies.image))
    machine = GuestMachine(
        desk.workspace, image.disk, image.ssh_key, image.host_key, desk.progress.warn
    )
    disks = tuple(desk.fetch(one) / one.files[0].name for one in supplies.disks)
    lab = WorkerLab(desk.workspace, desk.progress, desk.fetch(supplies.programs))
    order = supplies.order
    crowd = max(1.0, supplies.neighbours * order.smp / max(os.cpu_count() or 1, order.smp))

    def open_session(directory: Path) -> Session:
        session = machine.boot(replace(
            order, kernel=build.bzimage, directory=directory, disks=disks, keep_logs=True,
            slowness=order.slowness * crowd,
        ))
        desk.begun(session)
        return session

    version = ".".join(map(str, accel.qemu_version(qemu.binary())))
    return BatchStand(lab, open_session, FleetHost(
        accels=[lab.accel(order.accel, build, order.smp).record()],
        emulator=Emulator(binary=qemu.BINARY, version=version),
    ))
