"""The laboratory: kernels, machines, measurements and tests of one project, from Python.

Everything comes in here: the command line, a notebook, a script. ::

    from harness.lab import Lab

    lab = Lab()                              # the harness.toml at or above this directory
    with lab.boot("before") as session:      # builds the kernel and the image if need be
        print(session.run("uname -r").stdout)

Nothing is imported before it is needed: a guest of a command must not wait for a compiler.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import moments
from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.project import config, reading
from harness.project.config import Project
from harness.project.machine_tables import GUEST

if TYPE_CHECKING:
    from harness.fleet.engine import FleetChoice
    from harness.image.rootfs import Image
    from harness.kernel.build.builds import Build
    from harness.kernel.build.forecast import Forecast
    from harness.machine.accel import Accel
    from harness.machine.host_machine import HostMachine
    from harness.machine.keeper import HostKeeper
    from harness.machine.session import BootOrder, Machine, Session
    from harness.measure.measuring import Conductor, Making, MeasuredRun
    from harness.measure.planning import Overrides
    from harness.records.hosts import Host
    from harness.records.plans import Pair, Plan, SuitePlan
    from harness.suites.batches import Spreading
    from harness.suites.outcome import SuiteOutcome
    from harness.suites.suiteplan import SuiteOptions

SLOW_SYMBOLS = ("CONFIG_KASAN=y", "CONFIG_PROVE_LOCKING=y", "CONFIG_DEBUG_PAGEALLOC=y")
SLOWNESS = 4.0  # how much more patience a debug kernel needs


class Lab:
    """One project in one workspace.

    ``project`` is a project or the directory of its harness.toml (default: found from the current
    directory upwards); ``workspace`` the cache directory; ``progress`` what says how far work is
    (default: silence but for warnings).
    """

    def __init__(
        self, project: Project | Path | None = None, *, workspace: Workspace | Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.project = project if isinstance(project, Project) else reading.load(project)
        self.workspace = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
        self.progress = progress or Progress(-1)
        self.where = GUEST
        """The machine that kernels are made for and booted on where nothing else is said."""
        self._hosts: dict[str, HostMachine] = {}

    def on_base(self, base: str | None) -> Lab:
        """The same laboratory with another default base, whose variants are then the usual ones.

        Raises :class:`UserError` for a base that harness.toml does not have.
        """
        if base is None:
            return self
        self.project.base(base)
        return self._with(self.project.on_base(base), self.where)

    def on_machine(self, name: str) -> Lab:
        """The same laboratory on a machine, for which its kernels are made.

        Raises :class:`UserError` for one that harness.toml does not have.
        """
        if name == self.where:
            return self
        if self.where != GUEST:
            raise UserError(f"this laboratory is on {self.where} already")
        return self._with(self.project.on_machine(name), name)

    def prepared_for(self, plan: Plan) -> Lab:
        """The same laboratory with a measurement's base, machine and image."""
        lab = self.on_base(plan.base).on_machine(plan.machine)
        return lab._with(lab.project.with_packages(plan.packages), lab.where)

    def _with(self, project: Project, where: str) -> Lab:
        lab = Lab(project, workspace=self.workspace, progress=self.progress)
        lab.where, lab._hosts = where, self._hosts
        return lab

    def variant(self, name: str | None) -> str:
        """A variant's name, or the first of the default ones; :class:`UserError` for none."""
        name = self.project.config.defaults.variants[0] if name is None else name
        self.project.variant(name)
        return name

    # -- what a boot is made of

    def build(
        self, variant: str, *, source: Path | None = None, mirror: str | None = None,
        origin: str | None = None, jobs: int | None = None, patches: int | None = None,
        force: bool = False, layout: int = 0,
    ) -> Build:
        """The kernel of a variant, built if it is not in the cache.

        ``source`` is a kernel tree instead of the base's, ``patches`` takes only so many patches
        from the start of the variant's series, ``layout`` places its functions otherwise
        (:mod:`harness.kernel.build.layoutlink`). Raises :class:`UserError` for what the user can
        mend and :class:`InfrastructureError` with the first compiler error.
        """
        from harness.kernel.build.builds import build_variant  # noqa: PLC0415
        from harness.kernel.source.fetching import Wanted  # noqa: PLC0415

        return build_variant(
            self.workspace, self.project, variant, source_dir=source,
            wanted=Wanted(mirror=mirror, origin=origin), jobs=jobs, patches=patches, force=force,
            progress=self.progress, layout=layout,
        )

    def types(self, build: Build) -> Path | None:
        """An object file with the types of a build, made if need be; None where none are needed
        or none can be had, which is said."""
        from harness.kernel.build.typesobject import make_types  # noqa: PLC0415

        return make_types(self.workspace, self.project, build, self.progress)

    def image(self, mirror: str | None = None) -> Image:
        """The root file system of guests, made if it is not in the cache."""
        from harness.image.rootfs import get_image  # noqa: PLC0415

        return get_image(self.workspace, self.project, mirror=mirror, progress=self.progress)

    def programs(self) -> Path:
        """The directory of the compiled guest programs."""
        from harness.image.programs import build_programs  # noqa: PLC0415

        return build_programs(self.workspace, self.project, self.progress)

    def base_commit(self, series: str, tree: Path) -> str:
        """The commit that a series names as its base, if the git tree has it; empty otherwise.

        A series of a mail archive is fetched for it. Raises :class:`UserError` for one that is
        missing or not whole.
        """
        from harness.kernel.series.patchlist import base_commit, get_series  # noqa: PLC0415
        from harness.kernel.source import commits  # noqa: PLC0415

        found = get_series(self.workspace, self.project, series, self.progress, fetch=True)
        named = base_commit(found.directory) if found else ""
        if not named:
            return ""
        try:
            return commits.find_commit(commits.open_repository(tree), named).ident
        except UserError:
            self.progress.warn(
                f"the series names the base-commit {named[:12]}, which {tree} does not have"
            )
            return ""

    def check_series(self, variant: str) -> None:
        """That a variant's patches apply to its base, before anything is compiled.

        Raises :class:`UserError` that names patch, file and hunk.
        """
        from harness.kernel.build.recipe import plan_build  # noqa: PLC0415
        from harness.kernel.series.patches import apply  # noqa: PLC0415
        from harness.kernel.source.sources import held, lay_out  # noqa: PLC0415

        with held(self.workspace, self.project, self.project.base_name(variant)):
            plan = plan_build(
                self.workspace, self.project, variant, fetch=True, progress=self.progress
            )
            if plan.series and plan.source:
                lay_out(self.workspace, plan.source, self.progress)
                with tempfile.TemporaryDirectory(dir=self.workspace.dir("tmp")) as scratch:
                    apply(plan.series, plan.source.path, Path(scratch), self.progress)

    def forecast(self, variants: Sequence[str], layouts: int = 1) -> list[Forecast]:
        """The kernels of variants that are not built yet, and about how long each takes.

        Each is wanted in so many layouts.
        """
        from harness.kernel.build.forecast import forecast  # noqa: PLC0415

        return forecast(self.workspace, self.project, variants, layouts)

    def usual_variants(self) -> list[str]:
        """The default variants, but for those whose series is still empty; warns of these."""
        from harness.kernel.series.patchlist import own_series  # noqa: PLC0415

        found = []
        if not self.project.config.variants:
            raise UserError(
                f"{self.project.root / config.FILE_NAME} has no variant, so no kernel to measure",
                hint="add a table [variants.NAME]; one without keys is the base as it is",
            )
        for name in self.project.config.defaults.variants:
            try:
                own_series(self.workspace, self.project, name, self.progress, fetch=False)
            except UserError as error:
                self.progress.warn(f"variant {name} is left out: {error.message}")
                continue
            found.append(name)
        return found

    def accel(self, name: str, build: Build | None, smp: int) -> Accel:
        """What ``auto``, ``kvm``, ``tcg`` or ``icount`` is on this host.

        ``build`` is the kernel with which KVM is tried. Raises :class:`UserError` for what does
        not work here.
        """
        from harness.machine import accel, qemu  # noqa: PLC0415

        if self.where != GUEST:
            check_native(name, self.where)
            return accel.Accel("native", f"{self.where} is a real computer")
        kernel = build.bzimage if build else None
        return accel.choose(name, self.workspace, qemu.binary(), kernel, smp)

    # -- machines

    def machine(self, name: str | None = None) -> Machine:
        """The machine of that name; raises :class:`UserError` when there is none."""
        from harness.machine.guest_machine import GuestMachine  # noqa: PLC0415

        name = self.where if name is None else name
        if name != GUEST:
            return self._host(name)
        image = self.image()
        return GuestMachine(
            self.workspace, image.disk, image.ssh_key, image.host_key, self.progress.warn
        )

    def keeper(self, name: str) -> HostKeeper:
        """What takes and gives back a real computer, and brings it home."""
        return self._host(name).keeper

    def _host(self, name: str) -> HostMachine:
        """One object for each computer: it knows whether the lease is held."""
        from harness.machine.host_machine import make_host  # noqa: PLC0415

        if name not in self._hosts:
            self._hosts[name] = make_host(
                name, self.project.machine(name), self.project.root, self.workspace,
                warn=self.progress.warn, say=self.progress.say,
            )
        return self._hosts[name]

    def measured_host(self) -> Host | None:
        """The real computer that we are on, as it says itself; None for guests of this host."""
        from harness.machine.asked import describe_computer  # noqa: PLC0415

        return None if self.where == GUEST else describe_computer(self.keeper(self.where))

    @contextlib.contextmanager
    def _held(self, variants: Sequence[str], making: Making | None = None) -> Iterator[None]:
        """Have the machine for ourselves for a whole run, when its kernels are built.

        Nobody should wait for a computer that waits for a compiler.
        """
        if self.where == GUEST:
            yield
            return
        for name in variants:
            if making is None:
                self.build(name)
            else:
                self.build(
                    name, source=making.source, mirror=making.mirror, jobs=making.jobs
                )
        with self.keeper(self.where).hold():
            yield

    def order(
        self, build: Build, *, smp: int | None = None, memory: str | None = None,
        append: str = "", accel: str | None = None, directory: Path | None = None,
        disks: Sequence[Path] = (), gdb: bool = False, crowd: float = 1.0, ssh_port: int = 0,
        boot_seconds: float | None = None, plugin: Sequence[str] = (),
    ) -> BootOrder:
        """What a boot of a build asks of a machine; what is not given is harness.toml's.

        Without a ``directory`` the logs are in one of the workspace's, which goes when the boot
        ends well. ``crowd`` says how much slower it is for its neighbours on the host.
        """
        from harness.machine.session import BootOrder  # noqa: PLC0415

        usual = self.project.config.guest
        real = self.where != GUEST  # which has what it has
        return BootOrder(
            build.bzimage, directory or self._scratch(), f"{build.variant} {build.release}",
            accel="auto" if accel is None else accel,
            smp=(0 if real else usual.smp) if smp is None else smp,
            memory=("" if real else usual.memory) if memory is None else memory,
            cmdline=" ".join(part for part in ("" if real else usual.cmdline, append) if part),
            disks=tuple(disks), gdb=gdb, plugin=tuple(plugin), ssh_port=ssh_port,
            boot_seconds=boot_seconds, slowness=slowness(build) * crowd,
            keep_logs=directory is not None, release=build.release, key=build.key,
            modules=build.modules, config=build.config,
        )

    def boot(
        self, kernel: str | Build, *, machine: str | None = None, smp: int | None = None,
        memory: str | None = None, append: str = "", accel: str | None = None,
        directory: Path | None = None, disks: Sequence[Path] = (), gdb: bool = False,
        crowd: float = 1.0, ssh_port: int = 0, boot_seconds: float | None = None,
        source: Path | None = None, plugin: Sequence[str] = (),
    ) -> Session:
        """A session on a variant's kernel or a build; entering it boots. See :meth:`order`.

        ``machine`` is the one that this laboratory is on (:meth:`on_machine`) unless it is given.
        Raises what building raises, and :class:`UserError` for what this host cannot do.
        """
        if machine is not None and machine != self.where:
            return self.on_machine(machine).boot(
                kernel, smp=smp, memory=memory, append=append, accel=accel, directory=directory,
                disks=disks, gdb=gdb, crowd=crowd, ssh_port=ssh_port, boot_seconds=boot_seconds,
                source=source, plugin=plugin,
            )
        build = self.build(kernel, source=source) if isinstance(kernel, str) else kernel
        order = self.order(
            build, smp=smp, memory=memory, append=append, accel=accel, directory=directory,
            disks=disks, gdb=gdb, crowd=crowd, ssh_port=ssh_port, boot_seconds=boot_seconds,
            plugin=plugin,
        )
        return self.machine().boot(order)

    def preview(
        self, variant: str, *, source: Path | None = None, smp: int | None = None,
        memory: str | None = None, append: str = "", accel: str | None = None,
    ) -> list[str]:
        """What :meth:`boot` would do, in lines: QEMU's command line, or what is made first.

        Nothing is fetched, built or started to find out.
        """
        from harness.image.rootfs import find_image  # noqa: PLC0415
        from harness.kernel.build.builds import Build, plan_build  # noqa: PLC0415
        from harness.machine import qemu  # noqa: PLC0415

        usual = self.project.config.guest
        plan = plan_build(self.workspace, self.project, variant, source_dir=source)
        if self.where != GUEST:
            table = self.project.machine(self.where)
            return [*plan.steps(), f"take the lease of {self.where} ({table.address})",
                    f"copy the kernel there, start it by {table.start}, prove that it runs",
                    f"bring {self.where} back to its own kernel"]
        image = find_image(self.workspace, self.project)
        if plan.cached is None or image is None:
            made = [] if image else ["make the guest's image"]
            return [*(plan.steps() if plan.cached is None else []), *made, f"boot {variant}"]
        count = usual.smp if smp is None else smp
        spec = qemu.GuestSpec(
            Build.load(plan.cached, variant).bzimage, image.disk,
            self.accel("auto" if accel is None else accel, None, count),
            smp=count, memory=qemu.check_memory(usual.memory if memory is None else memory),
            cmdline=" ".join(part for part in (usual.cmdline, append) if part),
        )
        return [qemu.shell_line(qemu.argv(spec))]

    def _scratch(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="boot.", dir=self.workspace.dir("guests")))

    # -- measurements

    def plan(
        self, profile: str | None = None, *, variants: Sequence[str] | None = None,
        overrides: Overrides | None = None, comparisons: Sequence[Pair] | None = None,
        accel: str | None = None, smp: int | None = None, memory: str | None = None,
        append: str = "", machine: str | None = None, try_kvm: bool = True, command: str = "bench",
    ) -> Plan:
        """What a measurement would do; what is not given is harness.toml's.

        Whether KVM works decides which clocks are read; where only a boot can tell and nothing is
        built yet, ``try_kvm`` builds the first variant for it.

        ``accel`` may name several, comma-separated; None takes what the profile says of each
        workload. ``comparisons`` replaces those that harness.toml declares. Raises
        :class:`UserError` for what makes no sense, see
        :func:`harness.measure.planning.make_plan`.
        """
        from harness.measure.planning import Where, make_plan  # noqa: PLC0415

        defaults, guest = self.project.config.defaults, self.project.config.guest
        machine = self.where if machine is None else machine
        names = self.usual_variants() if variants is None else variants
        if real := machine != GUEST:
            self.project.machine(machine)
            accel = check_native(accel, machine)
        where = Where(
            (0 if real else guest.smp) if smp is None else smp,
            ("" if real else guest.memory) if memory is None else memory,
            append, machine, command,
        )
        # Once without KVM: what makes no sense must not cost a build.
        make = partial(
            make_plan, self.project, profile=defaults.profile if profile is None else profile,
            variants=names, accel=accel, overrides=overrides, comparisons=comparisons,
        )
        plan = make(where=where)
        if accel is None and self._kvm_works(names[0], where.smp, try_kvm):
            plan = make(where=replace(where, tells_time=True))
        return plan

    def _kvm_works(self, variant: str, smp: int, may_build: bool) -> bool:
        """Whether guests run under KVM here, by what is known, or else by a kernel of ours."""
        from harness.machine import accel, qemu  # noqa: PLC0415

        kernels = sorted(self.workspace.root.glob("builds/*/bzImage"))
        if not accel.kvm_can_be_tried():
            return False
        if not kernels and not may_build:
            return False
        kernel = kernels[0] if kernels else self.build(variant).bzimage
        return accel.prove_kvm(self.workspace, qemu.binary(), kernel)[0]

    def measure(
        self, plan: Plan, directory: Path | None = None, making: Making | None = None,
        fleet: FleetChoice | None = None,
    ) -> MeasuredRun:
        """Build what is missing, boot, measure; everything is recorded in ``directory``.

        Without one it goes below the project's results. With a ``fleet`` its workers boot, many
        at a time. A machine that crashes is a result and is
        recorded. Raises :class:`UserError` for a directory that holds a run already and when
        another measurement runs in this workspace.
        """
        from harness.measure.measuring import Making, measure  # noqa: PLC0415

        lab = self.prepared_for(plan)
        making = making or Making()
        place = directory or self.run_directory(plan.profile)
        with lab._conductor(plan, fleet) as conduct, lab._held(plan.variants, making):
            return measure(lab, plan, place, making, conduct)

    @contextlib.contextmanager
    def _conductor(self, plan: Plan, fleet: FleetChoice | None) -> Iterator[Conductor | None]:
        """What does a plan's boots: a fleet, or None for this process itself."""
        if fleet is None:
            yield None
            return
        from harness.fleet.conducting import conductor  # noqa: PLC0415

        with conductor(self, fleet, plan) as conduct:
            yield conduct

    def recorded_plan(self, directory: Path) -> Plan:
        """The plan of a measurement; raises :class:`UserError` for what is none."""
        from harness.measure.measuring import measured_plan  # noqa: PLC0415
        from harness.records.store import load_run  # noqa: PLC0415

        return measured_plan(load_run(directory), directory)

    def boots_left(self, directory: Path) -> list[int]:
        """Indices of a recorded plan's boots that were not done yet."""
        from harness.measure.runner import finished_boots  # noqa: PLC0415
        from harness.records.store import load_boots  # noqa: PLC0415

        done = finished_boots(load_boots(directory)[0])
        return [b.index for b in self.recorded_plan(directory).boots if b.index not in done]

    def resume(
        self, directory: Path, making: Making | None = None, fleet: FleetChoice | None = None
    ) -> MeasuredRun:
        """Go on with a measurement that was interrupted; a finished one is left as it is.

        Raises :class:`UserError` for what is no measurement, and for kernels that have changed.
        """
        from harness.measure.measuring import Making, resume  # noqa: PLC0415

        plan, making = self.recorded_plan(directory), making or Making()
        lab = self.prepared_for(plan)
        held = lab._held(plan.variants if self.boots_left(directory) else [], making)
        with lab._conductor(plan, fleet) as conduct, held:
            return resume(lab, directory, making, conduct)

    # -- tests

    def test(
        self, suite: str | SuitePlan, options: SuiteOptions | None = None, *,
        directory: Path | None = None, fleet: FleetChoice | None = None,
    ) -> SuiteOutcome:
        """Run a suite of tests on variants, compare them, and leave a run in ``directory``.

        ``suite`` is a name (``options`` says the rest; what it does not say is harness.toml's) or
        a plan. A directory that holds a run of the same plan already is gone on with; without one
        a new one is made below the project's results. With a ``fleet`` its workers run the tests.
        Raises :class:`UserError` for what the user
        can mend and :class:`InfrastructureError` when no guest comes up; a crash is a verdict.
        """
        from harness.suites.conductor import conduct  # noqa: PLC0415
        from harness.suites.suiteplan import SuiteOptions, make_suite_plan  # noqa: PLC0415

        plan = (
            make_suite_plan(self.project, suite, options or SuiteOptions())
            if isinstance(suite, str) else suite
        )
        lab = self.on_base(plan.base or None).on_machine(plan.machine)
        place = directory or self.run_directory(plan.suite)
        with lab._suite_fleet(plan, fleet) as spreading, lab._held(plan.variants):
            return conduct(lab, plan, place, spreading)

    @contextlib.contextmanager
    def _suite_fleet(
        self, plan: SuitePlan, fleet: FleetChoice | None
    ) -> Iterator[Spreading | None]:
        """What runs a suite's tests: a fleet, or None for this process itself."""
        if fleet is None:
            yield None
            return
        from harness.fleet.batching import suite_fleet  # noqa: PLC0415

        with suite_fleet(self, fleet, plan) as spreading:
            yield spreading

    def reserve(self, directory: Path | None) -> None:
        """That a run can be written: to a directory, or below the project's results.

        Asked before anything costs time. Raises :class:`UserError`.
        """
        place = directory or self.project.results
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                pass
        except OSError as error:
            raise UserError(
                f"cannot write the run to {place}: {error.strerror}",
                hint="choose another place with --out DIR",
            ) from error

    def run_directory(self, name: str) -> Path:
        """A directory for a new run, below the project's results; not made yet."""
        return self.project.results / f"{moments.stamp()}-{name}"


def check_native(accel: str | None, machine: str) -> str:
    """The accel of a real computer; :class:`UserError` for one that only a guest has."""
    if accel not in (None, "auto", "native"):
        raise UserError(
            f"{machine} is a real computer and does not run under {accel}",
            hint="leave --accel out, or leave --machine out",
        )
    return "auto"


def slowness(build: Build) -> float:
    """How much more patience a kernel needs than one for production."""
    text = build.config.read_text() if build.config.exists() else ""
    return SLOWNESS if any(symbol in text for symbol in SLOW_SYMBOLS) else 1.0
