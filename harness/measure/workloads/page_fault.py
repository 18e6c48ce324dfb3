"""``page-fault``: page_fault1 to 3 in the style of will-it-scale, by threads.

Models threads of one process that map 128 MiB, write to every page and unmap it, over and over
(guest/page-fault.c): ``kind`` 1 private anonymous memory, 2 a private mapping of a file of its
own, 3 a shared one; the files are on tmpfs. For people to compare with the numbers that they
know. Kind 3 needs ``threads * size_mib`` of memory, kind 2 twice that.

Cannot show: what it gains or costs to free a table early: munmap frees all of them on any
kernel. Under instruction counting, contention. The original has no barrier after each mapping,
and counts what it got done in a time; here a fixed amount of work is timed.

Source: the public description of will-it-scale's page_fault1, 2, 3 (Anton Blanchard); own code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, get_args

from pydantic import Field

from harness.core.plurals import plural
from harness.machine.session import Session
from harness.measure.workloads import rounds
from harness.measure.workloads.workload import (
    CellParams,
    Context,
    Line,
    Measurement,
    Settings,
    TypedWorkload,
    push_program,
)
from harness.records.workloads import Metric

Kind = Literal[1, 2, 3]
KINDS: tuple[int, ...] = get_args(Kind)
MEMORY = {1: "anonymous memory", 2: "a private file mapping", 3: "a shared file mapping"}
FAULT_S = {1: 30e-6, 2: 40e-6, 3: 20e-6}  # under TCG, for the time estimate


class PageFaultParams(CellParams):
    """Parameters of one cell."""

    kind: Kind
    threads: int = Field(ge=1, le=256)
    size_mib: int = Field(default=128, ge=1, le=16384)
    """Mapped by each thread."""
    rounds: int = Field(default=5, ge=1, le=4096)
    warmup: int = Field(default=1, ge=0, le=4096)


class PageFault(TypedWorkload[PageFaultParams]):
    """The workload."""

    name = "page-fault"
    title = "map, write to every page, unmap: page_fault1 to 3 as will-it-scale has them"
    flags = frozenset({"threads", "rounds"})
    metrics = (
        *rounds.costs("fault", label="per page fault"),
        Metric(name="faults_per_second", unit="faults/s", kind="cost", better="more",
               headline=True, label="page faults a second"),
    )
    usual: ClassVar[Settings] = {"kind": [*KINDS], "threads": [1, 4]}
    model = PageFaultParams

    def words(self, cell: PageFaultParams) -> str:
        """``kind 1 (anonymous memory), 4 threads``."""
        return f"kind {cell.kind} ({MEMORY[cell.kind]}), {plural(cell.threads, 'thread')}"

    def estimate(self, cell: PageFaultParams, accel: str) -> float:
        """Host seconds, about."""
        faults = cell.threads * cell.size_mib * 256 * (cell.rounds + cell.warmup)
        return 0.5 + faults * (0.05 if accel == "kvm" else 1.0) * FAULT_S[cell.kind]

    def run(
        self, session: Session, cell: PageFaultParams, context: Context
    ) -> Iterator[Measurement]:
        """Once per repeat."""
        argv = [
            push_program(session, context, "page-fault"), "--threads", str(cell.threads),
            "--size", f"{cell.size_mib}M", "--rounds", str(cell.rounds),
            "--warmup", str(cell.warmup), str(cell.kind),
        ]
        patience = self.estimate(cell, session.accel)
        for repeat in range(context.repeat):
            line = rounds.run(
                session, argv, patience, context, f"stdout-{repeat}", threads=cell.threads
            )
            if line is not None:
                yield rate(line, session.accel, repeat)


def rate(line: Line, accel: str, repeat: int = 0) -> Measurement:
    """Instructions per fault where they are counted, else faults per second of all threads."""
    cost = rounds.cost(line, accel, repeat)
    if accel == "icount":
        return cost
    return Measurement("faults_per_second", 1e9 / cost.value, "faults/s", repeat)
