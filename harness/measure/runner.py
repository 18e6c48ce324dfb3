"""Executes a plan: boots, cells, samples; goes on after a crash, resumes after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core import digest
from harness.core.errors import GuestCrash, HarnessError
from harness.core.plurals import plural
from harness.core.progress import Progress, Task
from harness.image.programs import GUEST_DIR
from harness.machine import bootrecords
from harness.machine.session import Session
from harness.measure import preamble, thp, workloads
from harness.measure.hoststate import HostWatch, spare_cpus
from harness.measure.profiles.recorder import BootProfiler
from harness.measure.workloads import Catalogue
from harness.measure.workloads.workload import Context, Measurement
from harness.records.boots import BootRecord, Unfinished
from harness.records.events import Crash
from harness.records.plans import Cell, Plan, PlannedBoot
from harness.records.record import AccelName, Params
from harness.records.samples import Sample
from harness.records.store import RunWriter, load_boots, load_samples

BOOT_ESTIMATE_S = {"native": 120.0, "kvm": 3.0, "tcg": 8.0, "icount": 20.0}


@dataclass(frozen=True)
class Bench:
    """Everything a run needs, made before it starts."""

    plan: Plan
    workloads: Catalogue
    programs: Path
    """Directory of the compiled guest programs."""
    compile: Callable[[Path], Path]
    """A C source of the user's made a program."""
    accels: Mapping[str, AccelName]
    """What the plan asks for, to what it became on this machine."""
    open_session: Callable[[PlannedBoot, Path, Sequence[str]], Session]
    """A session for a boot, not started yet, with its logs in a directory; the words load a
    plugin."""
    progress: Progress
    profiler: Callable[[PlannedBoot, Path], BootProfiler | None] = lambda _boot, _folder: None
    """What records where the instructions of a boot go, if anything does."""
    planned: int = 0
    """Boots of the whole plan where ``plan`` holds some of them; 0: it holds all."""


class Runner:
    """One run. ``crashes`` counts the machines that died on the way."""

    def __init__(self, bench: Bench, writer: RunWriter) -> None:
        self.bench = bench
        self.writer = writer
        self._done_seconds = 0.0
        self._planned = bench.planned or len(bench.plan.boots)
        samples, _ = load_samples(writer.directory)
        boots, _ = load_boots(writer.directory)
        self._finished_cells = {_cell_id(s.boot, s.workload, s.params) for s in samples}
        self._finished_boots = finished_boots(boots)
        self.crashes = sum(1 for b in boots if b.status == "crashed")

    def run(self) -> None:
        """Run what is not yet done.

        A crashed machine is recorded and the other boots go on. Raises
        :class:`InfrastructureError` when a boot or a workload fails for another reason.
        """
        todo = [b for b in self.bench.plan.boots if b.index not in self._finished_boots]
        if not todo:
            return
        total = sum(self._estimate(boot) for boot in todo)
        variants = ", ".join(self.bench.plan.variants)
        title = f"measuring {plural(len(todo), 'boot')} of {variants}"
        with self.bench.progress.task(title, total) as task:
            for boot in todo:
                self._boot(boot, task)

    def _estimate(self, boot: PlannedBoot) -> float:
        return estimate(
            self.bench.plan, boot, self.bench.accels[boot.accel], self.bench.workloads
        )

    def _boot(self, boot: PlannedBoot, task: Task) -> None:
        folder = self.writer.directory / "boots" / boot.folder
        profiler = self.bench.profiler(boot, folder)
        words_for_qemu = profiler.qemu_args() if profiler else []
        session = self.bench.open_session(boot, folder, words_for_qemu)
        record = bootrecords.begin(session, boot.index, boot.variant, self.writer.directory)
        record.control, record.seed, record.layout = boot.control, boot.seed, boot.layout
        todo = [cell for cell in self._cells(boot) if not self._is_done(boot, cell)]
        current: Cell | None = None
        watch = HostWatch()
        try:
            with watch, session:
                self._settle(session, boot, record)
                if profiler:
                    profiler.begin()
                while todo:
                    current = todo[0]
                    note = f"boot {boot.index + 1}/{self._planned} {boot.variant}"
                    task.update(self._done_seconds, f"{note}: {words(current)}")
                    self._cell(session, boot, current, folder, profiler)
                    todo.pop(0)
            record.status = "ok"
        except GuestCrash as error:
            self.crashes += 1
            record.status = "crashed"
            record.crash = Crash(
                kind=error.kind, text=error.oops, workload=current.workload if current else "",
                params=current.params if current else {},
            )
            self.bench.progress.warn(f"{boot.variant}, boot {boot.index}: {error.line()}")
        except KeyboardInterrupt:
            record.status = "interrupted"
            raise
        except HarnessError as error:
            record.error = error.line()
            raise
        finally:
            if profiler:
                profiler.end()
            if record.accel != "native":  # which runs elsewhere, undisturbed by this host
                record.host = watch.state.model_copy(update={"pinned": record.host.pinned})
            self._finish(record, session, todo)
        self._done_seconds += self._estimate(boot)
        task.update(self._done_seconds)

    def _finish(self, record: BootRecord, session: Session, todo: list[Cell]) -> None:
        bootrecords.finish(record, session, self.writer.directory)
        record.not_run = [
            Unfinished(workload=cell.workload, params=cell.params, reason=record.status)
            for cell in todo
        ]
        if record.accel != "icount":
            for text in record.host.troubles():
                where = f"{record.variant}, boot {record.boot}"
                self.bench.progress.warn(f"{where}: {text}; what was timed may be useless")
        self.writer.boot(record)

    def _settle(self, session: Session, boot: PlannedBoot, record: BootRecord) -> None:
        """Make the machine ready to be measured and write down what it is."""
        record.host.pinned = session.pin(spare_cpus(self.bench.plan.smp))
        record.state = bootrecords.describe(session)
        # The history is the same whatever the cells want: huge pages would make another of it.
        record.state.thp = thp.switch(session, "never" if self._never(boot) else "as booted")
        if record.accel == "icount":
            record.state.page_list_fraction = preamble.lengthen_lists(session)
            session.push(self.bench.programs / "multi-fault", f"{GUEST_DIR}/multi-fault")
            preamble.play(session, boot.seed)

    def _never(self, boot: PlannedBoot) -> bool:
        return all(cell.thp == "never" for cell in self._cells(boot))

    def _cell(
        self, session: Session, boot: PlannedBoot, cell: Cell, folder: Path,
        profiler: BootProfiler | None,
    ) -> None:
        thp.switch(session, cell.thp)
        raw = folder / cell.ident

        def keep(name: str, text: str) -> None:
            raw.mkdir(parents=True, exist_ok=True)
            (raw / f"{name}.txt").write_text(text)

        context = Context(
            self.bench.programs, cell.repeat, keep, self.bench.compile, self.bench.progress.warn
        )
        start = time.monotonic()
        workload = self.bench.workloads[cell.workload]
        found = list(workload.measure(session, cell.params, context))
        session.check()
        self.writer.samples([self._sample(boot, cell, one) for one in found])
        if profiler:
            self.writer.profiles(profiler.cell(cell, (one.scale for one in found)))
        took = time.monotonic() - start
        self.bench.progress.detail(
            f"{boot.variant} {words(cell)}: {len(found)} samples, {took:.1f} s"
        )

    def _sample(self, boot: PlannedBoot, cell: Cell, one: Measurement) -> Sample:
        return Sample(
            run=self.writer.run.run, variant=boot.variant, control=boot.control, boot=boot.index,
            workload=cell.workload, params=cell.params, repeat=one.repeat, metric=one.metric,
            value=one.value, unit=one.unit, accel=self.bench.accels[boot.accel], t=one.t,
        )

    def _cells(self, boot: PlannedBoot) -> list[Cell]:
        return [self.bench.plan.cells[at] for at in boot.cells]

    def _is_done(self, boot: PlannedBoot, cell: Cell) -> bool:
        # Under instruction counting a boot's cells share one history: all or nothing.
        if boot.accel == "icount":
            return False
        return _cell_id(boot.index, cell.workload, cell.params) in self._finished_cells


def finished_boots(boots: list[BootRecord]) -> set[int]:
    """Boots that a resumed run does not try again; a crash is a result."""
    return {b.boot for b in boots if b.status in ("ok", "crashed")}


def estimate(
    plan: Plan, boot: PlannedBoot, accel: str, known: Catalogue = workloads.ALL
) -> float:
    """Host seconds that a boot takes, about; ``accel``: what the one asked for is here."""
    cells = [plan.cells[at] for at in boot.cells]
    return BOOT_ESTIMATE_S[accel] + sum(
        known[cell.workload].seconds(cell.params, cell.repeat, accel) for cell in cells
    )


def words(cell: Cell) -> str:
    """A cell in few words: ``multi-fault, 8 threads``."""
    return f"{cell.workload}, {cell.label}" if cell.label else cell.workload


def _cell_id(boot: int, workload: str, params: Params) -> tuple[int, str, str]:
    return boot, workload, digest.of_json(params)
