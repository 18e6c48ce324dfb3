"""``runtime``: Go, Java or PostgreSQL under a load that comes and goes twice.

go, java: a heap that fills with objects of 64 bytes to 8 KiB, of which ``keep_pct`` are kept at
random when it is emptied, then a collection that is asked for (``debug.FreeOSMemory()``,
``System.gc()``) and idle time. postgres: a query that sorts so much text in memory, in a connection
that stays; measured is the server's process for it, and ``keep_pct`` and ``seed`` mean nothing.
Programs: guest/life.go, guest/Life.java, guest/runtime-life.sh.

``VmPTE_emptied`` is after the first load, ``VmPTE`` after the second.

Runtimes and compilers are Debian's: ``golang-go``, ``default-jdk-headless``, ``postgresql``. A plan
that measures one has it in its guests' image, which is then another. On a real computer one that is
not there is left out, with a warning.

Cannot show: a heap that is given back without being asked (Go's scavenger, G1's periodic cycles),
which takes minutes, or real traffic.

Source: own work.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import ClassVar, Literal, get_args

from pydantic import Field

from harness.core.deadline import Deadline
from harness.machine.session import Session
from harness.measure.workloads.watching import PEAKS, marked, watch, watched, with_peaks
from harness.measure.workloads.workload import (
    CellParams,
    Context,
    Measurement,
    Settings,
    TypedWorkload,
    push_program,
)

PROGRAM = "runtime-life"
EMPTIED = "emptied"
SOURCES = {"go": "life.go", "java": "Life.java"}
NEEDS = {
    "go": ("go", "golang-go"), "java": ("javac", "default-jdk-headless"),
    "postgres": ("/usr/lib/postgresql/*/bin/postgres", "postgresql"),
}
"""What must be in the guest, and the package that brings it."""
Runtime = Literal["go", "java", "postgres"]
START_S = {"go": 15.0, "java": 25.0, "postgres": 30.0}
MIB_S = {"go": 0.05, "java": 0.05, "postgres": 0.8}  # of one life, under TCG


class RuntimeParams(CellParams):
    """Parameters of one cell."""

    runtime: Runtime
    size_mib: int = Field(default=64, ge=1, le=16384)
    """What the heap, or the sort, grows to."""
    keep_pct: int = Field(default=0, ge=0, le=99)
    """How many of the objects outlive an emptying."""
    idle_ms: int = Field(default=1000, ge=100, le=600_000)
    """After each emptying."""
    seed: int = Field(default=1, ge=0, le=2**31 - 1)


class RuntimeLoad(TypedWorkload[RuntimeParams]):
    """The workload."""

    name = "runtime"
    title = "Go, Java and PostgreSQL under a load that comes and goes twice"
    metrics = (*watched(wanders=True), *PEAKS, *marked(EMPTIED, "after the first load"))
    usual: ClassVar[Settings] = {"runtime": [*get_args(Runtime)]}
    model = RuntimeParams

    def words(self, cell: RuntimeParams) -> str:
        """``go, 5 % left``."""
        if cell.runtime == "postgres":
            return cell.runtime
        return f"{cell.runtime}, " + (f"{cell.keep_pct} % left" if cell.keep_pct else "all freed")

    def estimate(self, cell: RuntimeParams, accel: str) -> float:
        """Host seconds, about."""
        slow = 0.05 if accel == "kvm" else 1.0
        work = START_S[cell.runtime] + 2 * cell.size_mib * MIB_S[cell.runtime]
        return slow * work + 2 * cell.idle_ms / 1000

    def needs(self, cell: RuntimeParams) -> tuple[str, ...]:
        """The runtime's package."""
        return (NEEDS[cell.runtime][1],)

    def run(self, session: Session, cell: RuntimeParams, context: Context) -> Iterator[Measurement]:
        """Run both loads; numbers over time, then what the process ended with."""
        program, package = NEEDS[cell.runtime]
        if session.run(f"command -v {program}", check=False).code:
            context.warn(f"{cell.runtime} cannot be measured here: install {package}")
            return
        if source := SOURCES.get(cell.runtime):
            push_program(session, context, source)
        numbers = (cell.size_mib, cell.keep_pct, cell.idle_ms, cell.seed)
        command = shlex.join([
            push_program(session, context, PROGRAM), cell.runtime, *map(str, numbers),
        ])
        context.keep("command", command + "\n")
        patience = 120.0 + 10.0 * self.estimate(cell, session.accel) + session.scaled(20.0)
        for repeat in range(context.repeat):
            yield from with_peaks(repeat, watch(
                session, command, self.name, context, repeat=repeat, deadline=Deadline(patience),
                marks=[EMPTIED],
            ))

