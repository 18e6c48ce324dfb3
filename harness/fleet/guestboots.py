"""Guests of a fleet: what the client packs for them, and the bench that a worker makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from harness.core.errors import UserError
from harness.core.workspace import Workspace
from harness.fleet import parcels
from harness.fleet.jobs import BootJob, DeclaredParts, Desk, Stand, Supplies
from harness.fleet.parcels import Parcel
from harness.image.programs import compile_static
from harness.image.rootfs import load_image
from harness.kernel.build.builds import Build
from harness.kernel.build.metadata import METADATA_FILE
from harness.machine import accel, qemu
from harness.machine.guest_machine import GuestMachine
from harness.machine.session import BootOrder, Session
from harness.measure import workloads
from harness.measure.measuring import Prepared, Supplier
from harness.measure.profiles import recorder
from harness.measure.runner import Bench
from harness.measure.workloads.declared import Declared
from harness.measure.workloads.workload import Workload
from harness.project.builtin import builtin_root
from harness.records.hosts import Emulator, FleetHost
from harness.records.plans import Plan, PlannedBoot
from harness.records.record import AccelName

BOOTED = ("bzImage", METADATA_FILE)
PROFILED = ("System.map", "vmlinux")
IMAGE = ("root.ext4", "id_ed25519", "host_key.pub", "image.json")


class Orders(Supplier, Protocol):
    """A laboratory that says what a boot asks of a machine."""

    def order(
        self, build: Build, *, smp: int | None = None, memory: str | None = None,
        append: str = "", accel: str | None = None, directory: Path | None = None,
    ) -> BootOrder:
        """What a boot of a build asks of a machine."""
        ...


class Packed:
    """Everything that guests of a plan are made from, and where it lies on the client."""

    def __init__(self, lab: Orders, prepared: Prepared) -> None:
        self._workspace = lab.workspace
        self.parcels: dict[str, tuple[Parcel, Path]] = {}
        """Each by its ident, with the directory of its files."""
        image = prepared.image
        assert image is not None, "a fleet boots guests"
        plan, counts = prepared.plan, any(block.counts for block in prepared.plan.blocks)
        profile = prepared.making.profile and counts
        names = [*BOOTED, *(PROFILED if profile else ())]
        self.supplies = Supplies(
            {one: self._pack(build.directory, names) for one, build in prepared.builds.items()},
            self._pack(image.directory, IMAGE),
            self._pack(prepared.programs),
            {
                one: lab.order(
                    build, smp=plan.smp, memory=plan.memory, append=plan.cmdline,
                    directory=Path("unset"),
                )
                for one, build in prepared.builds.items()
            },
            {
                name: self._declared(one) for name, one in prepared.workloads.items()
                if isinstance(one, Declared)
            },
            profile,
            prepared.making.caches,
        )

    def _pack(self, directory: Path, names: Sequence[str] | None = None) -> Parcel:
        parcel = parcels.pack(self._workspace, directory, names)
        self.parcels[parcel.ident] = parcel, directory
        return parcel

    def _declared(self, one: Declared) -> DeclaredParts:
        folders = {path.parent for path in one.files}
        if len(folders) > 1:
            raise UserError(
                f"workload {one.name} pushes files of {len(folders)} directories, and a fleet "
                "takes those of one", hint="put them into one directory",
            )
        files = self._pack(folders.pop(), [path.name for path in one.files]) if folders else None
        program = None
        if one.source:
            made = compile_static(self._workspace, one.source)
            program = self._pack(made.parent, [made.name])
        return DeclaredParts(one.table, files, program)


def make(job: BootJob, desk: Desk, directory: Path) -> Stand:
    """The bench of a job on this host: its guests boot in this host's QEMU.

    Raises :class:`UserError` for what this host cannot do.
    """
    supplies = job.supplies
    assert supplies is not None
    builds = {
        one: Build.load(desk.fetch(supplies.builds[one]), one[0])
        for one in dict.fromkeys((boot.variant, boot.layout) for boot in job.plan.boots)
    }
    image = load_image(desk.fetch(supplies.image))
    machine = GuestMachine(
        desk.workspace, image.disk, image.ssh_key, image.host_key, desk.progress.warn
    )
    programs = desk.fetch(supplies.programs)
    known, compiled = _catalogue(supplies, desk)
    first = next(iter(builds.values()))
    chosen = {
        name: accel.choose(name, desk.workspace, qemu.binary(), first.bzimage, job.plan.smp)
        for name in dict.fromkeys(boot.accel for boot in job.plan.boots)
    }
    names: dict[str, AccelName] = {asked: one.name for asked, one in chosen.items()}
    _check_distinct(job.plan, desk.workspace, first, names)

    def open_session(boot: PlannedBoot, folder: Path, plugin: Sequence[str]) -> Session:
        order = replace(
            supplies.orders[boot.variant, boot.layout],
            kernel=builds[boot.variant, boot.layout].bzimage, directory=folder, accel=boot.accel,
            plugin=tuple(plugin), keep_logs=True,
        )
        session = machine.boot(order)
        desk.begun(session)
        return session

    maker = recorder.make(
        desk.workspace, builtin_root() / recorder.FOLDER, job.run, directory, desk.progress.warn
    ) if supplies.profile and "icount" in names.values() else None
    if maker:
        maker.caches = supplies.caches

    def profiler(boot: PlannedBoot, folder: Path) -> recorder.BootProfiler | None:
        if maker is None or names[boot.accel] != "icount":
            return None
        return maker.boot(boot, builds[boot.variant, boot.layout], folder)

    version = ".".join(map(str, accel.qemu_version(qemu.binary())))
    host = FleetHost(
        accels=[one.record() for one in chosen.values()],
        emulator=Emulator(binary=qemu.BINARY, version=version),
    )
    return Stand(Bench(
        job.plan, known, programs, compiled.__getitem__, names, open_session,
        desk.progress, profiler,
    ), host)


def _check_distinct(
    plan: Plan, workspace: Workspace, build: Build, names: Mapping[str, AccelName]
) -> None:
    """That no two accels of the plan are the same here."""
    others = [
        accel.choose(name, workspace, qemu.binary(), build.bzimage, plan.smp).name
        for name in plan.accels if name not in names
    ]
    if len({*names.values(), *others}) < len(names) + len(others):
        raise UserError(f"--accel {plan.accel}: two of them are the same here", hint="name one")


def _catalogue(supplies: Supplies, desk: Desk) -> tuple[dict[str, Workload], dict[Path, Path]]:
    """The workloads, and what the declared ones of them are compiled to, by source."""
    known: dict[str, Workload] = dict(workloads.ALL)
    compiled: dict[Path, Path] = {}
    for name, parts in supplies.declared.items():
        files, source = [], None
        if parts.files:
            folder = desk.fetch(parts.files)
            files = [folder / one.name for one in parts.files.files]
        if parts.program:
            made = parts.program.files[0].name
            source = Path(f"{name}/{made}.c")
            compiled[source] = desk.fetch(parts.program) / made
        known[name] = Declared(name, parts.table, files, source)
    return known, compiled
