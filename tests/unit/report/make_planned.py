"""Synthetic runs of real plans: what bench plans, the report reads, with numbers made up.

The workloads are those of the plan; ``strange`` ones stand for what the report knows
nothing of.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.measure import planning as plans
from harness.measure.planning import Overrides, Plan
from harness.measure.schedule import Cell, PlannedBoot, schedule
from harness.project import config
from harness.records.old_runs import BootRecord, HostState, Run, RunWriter, Sample
from tests.places import ROOT
from tests.unit.report.make_run import variant_meta

PROJECT = config.load(ROOT)
Point = tuple[str, float, str, float | None]  # metric, value, unit, t
OPS = ("fork_exit", "mremap", "mprotect", "munmap", "fault_around", "swap_in")


def make_plan(
    accel: str = "tcg,icount", variants: Sequence[str] = ("before", "after"), *,
    strange: bool = True, **changes: Any,
) -> Plan:
    """The quick profile's plan, with workloads of which the report has never heard."""
    plan = plans.make_plan(
        PROJECT, profile="quick", variants=variants, accel=accel, smp=4, memory="4G",
        overrides=Overrides(**changes),
    )
    cells = [c for c in plan.cells if not (c.accel == "icount" and c.workload == "vmpte")]
    if strange:
        cells += [c for name in plan.accels for c in _strange(name)]
    boots = schedule(plan.variants, cells, plan.blocks)
    return dataclasses.replace(plan, cells=tuple(cells), boots=boots)


def _strange(accel: str) -> Iterator[Cell]:
    if accel == "icount":
        for op in OPS:
            yield Cell("op-cost", {"op": op, "size_mib": 256}, 1, accel)
        return
    for chunk in (4, 64, 1024, 4096):
        yield Cell("chunky", {"chunk_kib": chunk, "size_mib": 512}, 1, accel)
    yield Cell("heap", {"kind": "jemalloc", "threads": 4}, 1, accel)


def numbers(boot: PlannedBoot, cell: Cell, rng: random.Random) -> Iterator[Point]:
    """Made-up results of one cell of one boot, in the sizes that real ones have."""
    after = boot.kernel != "before"
    if cell.workload == "vmpte":
        end = 234.0 if after else 102_632.0
        for step in range(30):
            yield "VmPTE", end if after else 40 + end * (step + 1) / 30, "kB", 0.05 * step
            yield "VmRSS", 2400 + 300 * math.sin(step), "kB", 0.05 * step
        yield "VmPTE", end, "kB", None
        yield "VmRSS", 2900 + rng.randrange(60), "kB", None
    elif cell.workload == "heap":
        yield from _heap(after, rng)
    elif cell.workload == "chunky":
        freed = cell.params["chunk_kib"] >= 2048 or after
        yield "VmPTE", 44.0 if freed else 1064.0, "kB", None
        yield "tables_freed", 256.0 if after else 0.0, "tables", None
        yield "ns_per_page", 900 * rng.gauss(1.03 if after else 1, 0.02), "ns", None
    elif cell.accel == "icount":
        yield from _counted(boot, cell, after, rng)
    else:
        rate = 3.4e6 + 1e5 * cell.params.get("threads", 1)
        yield "faults_per_minute", rate * rng.gauss(0.99 if after else 1, 0.01), "faults/min", None


def _counted(
    boot: PlannedBoot, cell: Cell, after: bool, rng: random.Random
) -> Iterator[Point]:
    price = 6700 + 80 * boot.seed + 40 * cell.params.get("threads", 1)
    price *= 1 + (0.006 if after else 0) + rng.gauss(0, 0.0001)
    if cell.workload == "op-cost":
        place = OPS.index(cell.params["op"])
        price = (400 + 100 * place) * (1 + (0.003 * place if after else 0)) + boot.seed
        yield "instructions_per_page", price, "instructions", None
    else:
        yield "instructions_per_fault", price, "instructions", None


def _heap(after: bool, rng: random.Random) -> Iterator[Point]:
    for step in range(60):
        grown = 200_000 + 150_000 * math.sin(step / 9)
        tables = 400 + (grown / 300 if after else max(grown, 90_000 * step / 20) / 250)
        yield "VmRSS", grown, "kB", step / 5
        yield "VmPTE", tables, "kB", step / 5
        yield "operations_per_second", 9e5 * rng.gauss(1, 0.02), "1/s", step / 5
    yield "VmPTE", 1100.0 if after else 2400.0, "kB", None
    yield "operations_per_second", 9e5 * rng.gauss(0.995 if after else 1, 0.01), "1/s", None


def write(
    directory: Path, plan: Plan | None = None, *,
    numbers: Callable[[PlannedBoot, Cell, random.Random], Iterator[Point]] = numbers,
    name: str = "planned", seed: int = 1, host: HostState | None = None,
    started: str = "2026-11-23T01:02:03Z", release: str = "6.1.192",
) -> Path:
    """A complete run of the plan; returns its directory."""
    plan = plan or make_plan()
    rng = random.Random(seed)
    metas = {b.variant: variant_meta(b.kernel) for b in plan.boots}
    for meta in metas.values():
        meta["release"] = release
    accels = [{"name": name, "reason": "asked for"} for name in plan.accels]
    run = Run(
        run=name, status="complete", started=started, finished=started, plan=plan.record(),
        harness={"version": "0.1.0", "git": "550c5078a0", "dirty": False}, variants=metas,
        accel=accels[0], accels=accels, qemu={"version": "10.0.2"},
        host={"cpu": "AMD EPYC", "cores": 2, "memory_kb": 24 << 20, "kernel": "6.1.0-35-amd64"},
    )
    writer = RunWriter(directory, run)
    state = host or HostState(
        seconds=31.5, load=2.1, steal_pct=0.4, others_pct=1.2, mhz=[2445.4, 2445.4]
    )
    for boot in plan.boots:
        for cell in boot.cells:
            writer.samples([
                Sample(
                    run=name, variant=boot.variant, boot=boot.index, workload=cell.workload,
                    params=cell.params, repeat=repeat, metric=metric, value=round(value, 3),
                    unit=unit, accel=boot.accel, t=t,
                )
                for repeat in range(cell.repeat)
                for metric, value, unit, t in numbers(boot, cell, rng)
            ])
        writer.boot(BootRecord(
            boot=boot.index, variant=boot.variant, accel=boot.accel, status="ok", started=started,
            seconds_to_ready=5.0, seed=boot.seed, host_load=[1.0, 1.0, 1.0], host=state,
            guest={"thp": "always madvise [never]", "uname": "Linux guest", "cmdline": "x"},
            console=f"boots/{boot.folder}/console.log",
        ))
    return directory
