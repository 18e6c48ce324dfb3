"""Executes a plan: boots, cells, samples; goes on after a crash, resumes after a kill."""

from __future__ import annotations

import datetime
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import GuestCrash, HarnessError
from harness.core.progress import Progress, Task
from harness.image.programs import GUEST_DIR
from harness.image.rootfs import Image
from harness.kernel.build.builds import Build
from harness.machine.accel import Accel
from harness.machine.guest import Guest
from harness.machine.qemu import GuestSpec
from harness.measure import preamble, workloads
from harness.measure.hoststate import HostWatch, spare_cpus, troubles
from harness.measure.planning import Plan
from harness.measure.schedule import Cell, PlannedBoot
from harness.measure.workloads.workload import Context, Measurement, forbid_thp
from harness.records.events import Event
from harness.records.old_runs import (
    BootRecord,
    Crash,
    FalseStart,
    RunWriter,
    Sample,
    load_boots,
    load_samples,
)

BOOT_ESTIMATE_S = {"kvm": 3.0, "tcg": 8.0, "icount": 20.0}
SLOW_SYMBOLS = ("CONFIG_KASAN=y", "CONFIG_PROVE_LOCKING=y", "CONFIG_DEBUG_PAGEALLOC=y")


@dataclass(frozen=True)
class Bench:
    """Everything a run needs, made before it starts."""

    plan: Plan
    builds: dict[str, Build]
    image: Image
    programs: Path
    accels: dict[str, Accel]
    """What the plan asks for, to what it became on this machine."""
    progress: Progress


def slowness(build: Build) -> float:
    """How much more patience a debug kernel needs."""
    text = build.config.read_text() if build.config.exists() else ""
    return 4.0 if any(symbol in text for symbol in SLOW_SYMBOLS) else 1.0


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class Runner:
    """One run. ``crashes`` counts the guests that died on the way."""

    def __init__(self, bench: Bench, writer: RunWriter) -> None:
        self.bench = bench
        self.writer = writer
        self.crashes = 0
        self._done_seconds = 0.0
        samples, _ = load_samples(writer.directory)
        boots, _ = load_boots(writer.directory)
        self._finished_cells = {_cell_id(s.boot, s.workload, s.params) for s in samples}
        # A crash is a result: a resumed run does not try it again.
        self._finished_boots = {b.boot for b in boots if b.status in ("ok", "crashed")}
        self.crashes = sum(1 for b in boots if b.status == "crashed")

    def run(self) -> None:
        """Run what is not yet done.

        A crashed guest is recorded and the other boots go on. Raises
        :class:`InfrastructureError` when a boot or a workload fails for another reason.
        """
        todo = [b for b in self.bench.plan.boots if b.index not in self._finished_boots]
        total = sum(self._estimate(boot) for boot in todo)
        title = f"measuring {len(todo)} boots of {', '.join(self.bench.plan.variants)}"
        with self.bench.progress.task(title, total) as task:
            for boot in todo:
                self._boot(boot, task)

    def _estimate(self, boot: PlannedBoot) -> float:
        return estimate(boot, self.bench.accels[boot.accel].name)

    def _boot(self, boot: PlannedBoot, task: Task) -> None:
        build, accel = self.bench.builds[boot.kernel], self.bench.accels[boot.accel]
        folder = self.writer.directory / "boots" / boot.folder
        record = BootRecord(
            boot=boot.index, variant=boot.variant, accel=accel.name, status="failed",
            started=now(), seed=boot.seed, host_load=[round(x, 2) for x in os.getloadavg()],
            console=str((folder / "console.log").relative_to(self.writer.directory)),
        )
        guest = self._guest(build, accel, folder)
        todo = [c for c in boot.cells if not self._is_done(boot, c)]
        current: Cell | None = None
        watch = HostWatch()
        try:
            with watch, guest:
                self._settle(guest, boot, record)
                while todo:
                    current = todo[0]
                    note = f"boot {boot.index + 1}/{len(self.bench.plan.boots)} {boot.variant}"
                    task.update(self._done_seconds, f"{note}: {describe(current)}")
                    self._cell(guest, boot, current, folder)
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
            record.host = watch.state.model_copy(update={"pinned": record.host.pinned})
            self._finish(record, guest, todo)
        self._done_seconds += self._estimate(boot)
        task.update(self._done_seconds)

    def _guest(self, build: Build, accel: Accel, folder: Path) -> Guest:
        plan = self.bench.plan
        spec = GuestSpec(
            build.bzimage, self.bench.image.disk, accel, smp=plan.smp, memory=plan.memory,
            cmdline=plan.cmdline,
        )
        return Guest(
            spec, folder, key=self.bench.image.ssh_key, host_key=self.bench.image.host_key,
            slowness=slowness(build),
            warn=lambda text: self.bench.progress.warn(f"{folder.name}: {text}"),
        )

    def _finish(self, record: BootRecord, guest: Guest, todo: Iterable[Cell]) -> None:
        record.qemu_argv = guest.argv
        record.seconds_to_ready = guest.seconds_to_ready
        record.false_starts = [
            FalseStart(
                reason=start.reason, seconds=start.seconds, last_line=start.last_line,
                console=str(Path(start.console).relative_to(self.writer.directory)),
            )
            for start in guest.false_starts
        ]
        record.trouble = [_as_crash(event) for event in guest.events]
        record.not_run = [{**cell.record(), "reason": record.status} for cell in todo]
        if record.accel != "icount":
            for text in troubles(record.host):
                where = f"{record.variant}, boot {record.boot}"
                self.bench.progress.warn(f"{where}: {text}; its rates may be useless")
        self.writer.boot(record)

    def _settle(self, guest: Guest, boot: PlannedBoot, record: BootRecord) -> None:
        """Make the guest ready to be measured and write down what it is."""
        record.host.pinned = guest.pin(spare_cpus(self.bench.plan.smp))
        record.guest = {**describe_guest(guest), "thp": forbid_thp(guest)}
        if record.accel == "icount":
            record.guest["percpu_pagelist_high_fraction"] = preamble.lengthen_lists(guest)
            guest.push(self.bench.programs / "multi-fault", f"{GUEST_DIR}/multi-fault")
            preamble.play(guest, boot.seed)

    def _cell(self, guest: Guest, boot: PlannedBoot, cell: Cell, folder: Path) -> None:
        forbid_thp(guest)
        raw = folder / cell_name(cell)

        def keep(name: str, text: str) -> None:
            raw.mkdir(parents=True, exist_ok=True)
            (raw / f"{name}.txt").write_text(text)

        workload = workloads.get(cell.workload)
        context = Context(self.bench.programs, cell.repeat, keep, self.bench.progress.warn)
        start = time.monotonic()
        found = list(workload.measure(guest, cell.params, context))
        guest.check()
        self.writer.samples([self._sample(boot, cell, one) for one in found])
        took = time.monotonic() - start
        self.bench.progress.detail(
            f"{boot.variant} {describe(cell)}: {len(found)} samples, {took:.1f} s"
        )

    def _sample(self, boot: PlannedBoot, cell: Cell, one: Measurement) -> Sample:
        return Sample(
            run=self.writer.run.run, variant=boot.variant, boot=boot.index, workload=cell.workload,
            params=cell.params, repeat=one.repeat, metric=one.metric, value=one.value,
            unit=one.unit, accel=self.bench.accels[boot.accel].name, t=one.t,
        )

    def _is_done(self, boot: PlannedBoot, cell: Cell) -> bool:
        # Under instruction counting a boot's cells share one history: all or nothing.
        if boot.accel == "icount":
            return False
        return _cell_id(boot.index, cell.workload, cell.params) in self._finished_cells


def estimate(boot: PlannedBoot, accel: str) -> float:
    """Host seconds that a boot takes, about; ``accel``: what the one asked for is here."""
    cells = sum(workloads.get(c.workload).seconds(c.params, c.repeat, accel) for c in boot.cells)
    return BOOT_ESTIMATE_S[accel] + cells


def describe_guest(guest: Guest) -> dict[str, Any]:
    """What the guest says of itself."""
    text = guest.run("uname -a; cat /proc/cmdline; nproc; grep MemTotal /proc/meminfo").stdout
    uname, cmdline, cpus, memory = text.splitlines()[:4]
    return {
        "uname": uname, "cmdline": cmdline, "cpus": int(cpus), "memory_kb": int(memory.split()[1]),
    }


def describe(cell: Cell) -> str:
    """A cell in few words."""
    shown = (
        "op", "kind", "pattern", "chunk_kib", "threads", "size_gib", "live_pages", "allocator",
        "low_pct",
    )
    return " ".join([cell.workload, *(f"{k}={cell.params[k]}" for k in shown if k in cell.params)])


def cell_name(cell: Cell) -> str:
    """A directory name for a cell's raw output."""
    return describe(cell).replace(" ", "-").replace("=", "-")


def _cell_id(boot: int, workload: str, params: dict[str, Any]) -> tuple[int, str, str]:
    return boot, workload, json.dumps(params, sort_keys=True)


def _as_crash(event: Event) -> Crash:
    return Crash(kind=event.kind, text=event.text)
