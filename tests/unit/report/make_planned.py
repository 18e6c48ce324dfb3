"""Synthetic runs of both clocks, with a control, a repeated boot and unheard-of workloads."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.records.boots import BootRecord, MachineState
from harness.records.hosts import AccelChoice, Emulator, HarnessVersion, Host, HostState
from harness.records.kernels import LayoutRecord
from harness.records.plans import Block, Cell, Pair, Plan, PlannedBoot
from harness.records.record import AccelName, Params
from harness.records.runs import Run
from harness.records.samples import Sample
from harness.records.store import RunWriter
from harness.records.workloads import Metric, WorkloadRecord
from tests.unit.report.make_run import PUBLISHED, WORKLOADS, kernel
from tests.unit.report.make_run import cells as letter_cells

Point = tuple[str, float, str, float | None]  # metric, value, unit, t
Numbers = Callable[[PlannedBoot, Cell, random.Random], Iterator[Point]]
OPS = ("fork_exit", "mremap", "mprotect", "munmap", "fault_around", "swap_in")
PRICE = Metric(name="instructions_per_page", unit="instructions", kind="cost", better="less")
STRANGE = {
    "op-cost": WorkloadRecord(name="op-cost", metrics=[PRICE]),
    "chunky": WorkloadRecord(name="chunky", metrics=[
        Metric(name="VmPTE", unit="kB", kind="memory", better="less", exact=True, slack=8),
        Metric(name="tables_freed", unit="tables", better="more", exact=True),
        Metric(name="ns_per_page", unit="ns", kind="cost", better="less"),
    ]),
    "heap": WorkloadRecord(name="heap", metrics=[
        Metric(name="VmPTE", unit="kB", kind="memory", better="less", exact=True, slack=8),
        Metric(name="operations_per_second", unit="1/s", kind="cost", better="more"),
    ]),
}


def make_plan(
    accel: str = "tcg,icount", variants: Sequence[str] = ("before", "after"), *,
    strange: bool = True, boots: int = 2, histories: int = 0,
    control: bool = True, layouts: int = 1,
) -> Plan:
    """Both measurements of the letter on each clock, and workloads with no labels of their own."""
    found: list[Cell] = []
    accels = accel.split(",")
    for name in accels:
        usual = letter_cells(name, 1)
        found += usual[1:] if name == "icount" else usual
        found += _strange(name) if strange else []
    planned: list[PlannedBoot] = []
    blocks = []
    for name in accels:
        counts = name == "icount"
        rounds = (histories or boots) if counts else boots
        block = Block(accel=name, rounds=rounds, control=control and not counts)
        blocks.append(block)
        sides = [(v, False) for v in variants]
        sides[1:1] = [(variants[0], True)] if block.control else []
        mine = [n for n, cell in enumerate(found) if cell.accel == name]
        first = len(planned)
        for number in range(rounds):
            order = sides if number % 2 == 0 else sides[::-1]
            for layout, (variant, is_control) in itertools.product(range(layouts), order):
                planned.append(PlannedBoot(
                    index=len(planned), variant=variant, control=is_control, seed=number,
                    layout=layout, accel=name, cells=mine,
                ))
        if counts:
            planned.append(PlannedBoot(index=len(planned), variant=variants[0], accel=name,
                                       cells=mine, again=first))
    return Plan(
        profile="quick", base="debian-6.1", variants=list(variants), layouts=layouts, accel=accel,
        smp=4,
        memory="4G", cells=found, blocks=blocks, boots=planned, published=[PUBLISHED],
        comparisons=[Pair(baseline=variants[0], variant=v) for v in variants[1:]],
    )


def _strange(accel: str) -> list[Cell]:
    if accel == "icount":
        return [Cell(workload="op-cost", params={"op": op, "size_mib": 256}, accel=accel)
                for op in OPS]
    chunks: list[Params] = [{"chunk_kib": kib, "size_mib": 512} for kib in (4, 64, 1024, 4096)]
    heap: Params = {"kind": "jemalloc", "threads": 4}
    return [
        *(Cell(workload="chunky", params=params, accel=accel) for params in chunks),
        Cell(workload="heap", params=heap, accel=accel),
    ]


def numbers(boot: PlannedBoot, cell: Cell, rng: random.Random) -> Iterator[Point]:
    """Made-up results of one cell of one boot, in the sizes that real ones have."""
    after = boot.variant != "before"
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
        freed = float(cell.params["chunk_kib"]) >= 2048 or after
        yield "VmPTE", 44.0 if freed else 1064.0, "kB", None
        yield "tables_freed", 256.0 if after else 0.0, "tables", None
        yield "ns_per_page", 900 * rng.gauss(1.03 if after else 1, 0.02), "ns", None
    elif cell.accel == "icount":
        yield from _counted(boot, cell, after, rng)
    else:
        rate = 3.4e6 + 1e5 * float(cell.params.get("threads", 1))
        yield "faults_per_minute", rate * rng.gauss(0.99 if after else 1, 0.01), "faults/min", None


def _counted(
    boot: PlannedBoot, cell: Cell, after: bool, rng: random.Random
) -> Iterator[Point]:
    price = 6700 + 80 * boot.seed + 40 * float(cell.params.get("threads", 1))
    price *= 1 + (0.006 if after else 0) + rng.gauss(0, 0.0001)
    if cell.workload == "op-cost":
        place = OPS.index(str(cell.params["op"]))
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
    directory: Path, plan: Plan | None = None, *, numbers: Numbers = numbers,
    name: str = "planned", seed: int = 1, host: HostState | None = None,
    started: str = "2026-11-23T01:02:03Z", release: str = "6.1.192",
) -> Path:
    """A complete run of the plan; returns its directory."""
    plan = plan or make_plan()
    rng = random.Random(seed)
    used = dict.fromkeys(cell.workload for cell in plan.cells)
    accels: dict[str, AccelName] = {"tcg": "tcg", "icount": "icount", "kvm": "kvm"}
    run = Run(
        run=name, status="complete", started=started, finished=started, plan=plan,
        harness=HarnessVersion(version="0.1.0", git="550c5078a0"),
        kernels={v: kernel(v, release=release) for v in plan.variants},
        other_layouts=[
            kernel(v, release=release).model_copy(update={"layout": LayoutRecord(
                number=number, objects=1000, gap_bytes=55_000 + number,
            )}) for v in plan.variants for number in range(1, plan.layouts)
        ],
        workloads={one: {**WORKLOADS, **STRANGE}[one] for one in used},
        accels=[AccelChoice(name=accels[one], reason="asked for") for one in plan.accels],
        emulator=Emulator(version="10.0.2"),
        host=Host(cpu="AMD EPYC", cores=2, memory_kb=24 << 20, kernel="6.1.0-35-amd64"),
    )
    writer = RunWriter(directory, run)
    state = host or HostState(
        seconds=31.5, load=2.1, steal_pct=0.4, others_pct=1.2, mhz=[2445.4, 2445.4]
    )
    for boot in plan.boots:
        for cell in (plan.cells[index] for index in boot.cells):
            writer.samples([
                Sample(
                    run=name, variant=boot.variant, control=boot.control, boot=boot.index,
                    workload=cell.workload, params=cell.params, repeat=repeat, metric=metric,
                    value=round(value, 3), unit=unit, accel=accels[boot.accel], t=t,
                )
                for repeat in range(cell.repeat)
                for metric, value, unit, t in numbers(boot, cell, rng)
            ])
        writer.boot(BootRecord(
            boot=boot.index, variant=boot.variant, control=boot.control,
            accel=accels[boot.accel], status="ok", started=started, seconds_to_ready=5.0,
            seed=boot.seed, layout=boot.layout, host_load=[1.0, 1.0, 1.0], host=state,
            state=MachineState(thp="always madvise [never]", uname="Linux guest", cmdline="x"),
            console=f"boots/{boot.folder}/console.log",
        ))
    return directory
