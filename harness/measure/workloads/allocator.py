"""``allocator``: glibc, jemalloc and tcmalloc under a server whose load moves about.

Models a server with workers that in turn grow to ``peak_mib`` of objects, churn,
decay to ``low_pct`` of it, idle, and hand over to the next; then all grow again
(guest/allocator.c, seeded). jemalloc and tcmalloc are Debian's own
(libjemalloc2, libtcmalloc-minimal4), put under the program by LD_PRELOAD, which is
seen to have worked in the process's map. Page tables and RSS are read from outside
throughout; operations are mallocs and frees of single objects, by the program's clock
while it works, waiting left out.

The run is shorter than a server's life, so that giving memory back is hastened:
jemalloc does it after ``decay_ms`` (default 10 s) from its background thread
(MALLOC_CONF), tcmalloc at ten times its usual rate (TCMALLOC_RELEASE_RATE). The
command with its environment is kept with the raw output. glibc, which gives back
only the top of each heap, is asked with malloc_trim. With ``flush`` a worker that goes
idle gives its thread's caches back by what its allocator offers (thread.tcache.flush,
MallocExtension's ReleaseFreeMemory), as servers do that care; without it some thousand cached
objects of each worker lie scattered and keep a page in nearly every table.

``low_pct = 0`` is load that goes away; with 5 the survivors, being scattered, keep
a page in nearly every table that was ever used, and no table can be freed.

Cannot show: the sizes and lifetimes of a real server, which decide how much a
decay leaves scattered; the distribution is made up, so no server's figures are
expected of it. No contention: one worker works at a time. Timing of the background
thread differs from boot to boot, so that memory is not exact here.

Source: "Free user PTE page table pages", linux-mm, 19 August 2021, whose first paragraph names
the allocators and what they do.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.machine.session import Session
from harness.measure.workloads.vmpte import FAULT_S
from harness.measure.workloads.watching import PEAKS, watch, watched, with_peaks
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

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
ALLOCATORS = ("glibc", "jemalloc", "tcmalloc")
LOW_PCT = (0, 5)  # everything goes; or what stays pins a page in nearly every table
OBJECT_BYTES = 3000  # mean of guest/allocator.c's distribution
OPERATION_S = 6e-6  # of a malloc or free with its bookkeeping under TCG

OPERATIONS = (
    Metric(name="operations_per_second", unit="operations/s", kind="cost", better="more",
           headline=True, label="operations a second"),
    Metric(name="instructions_per_operation", unit="instructions", kind="cost", better="less",
           headline=True, label="instructions per operation"),
)


class AllocatorParams(CellParams):
    """Parameters of one cell."""

    allocator: Literal["glibc", "jemalloc", "tcmalloc"] = "jemalloc"
    workers: int = Field(default=4, ge=1, le=64)
    peak_mib: int = Field(default=64, ge=1, le=16384)
    """What one worker's objects grow to."""
    low_pct: int = Field(default=5, ge=0, le=100)
    """How much of it is left after the decay."""
    churn_pct: int = Field(default=50, ge=0, le=1000)
    """Sessions replaced at the peak, in percent."""
    rounds: int = Field(default=2, ge=1, le=100)
    """Turns of each worker."""
    idle_ms: int = Field(default=1000, ge=0, le=600_000)
    """After each decay."""
    flush: bool = True
    """An idle worker gives its thread's caches back; without, they pin pages."""
    decay_ms: int = Field(default=300, ge=0, le=600_000)
    """jemalloc's dirty_decay_ms."""
    seed: int = Field(default=1, ge=0, le=2**32 - 1)


@dataclass(frozen=True)
class Preload:
    """What stands in the environment, and which library must then be in the process."""

    environment: dict[str, str]
    library: str


def preload(cell: AllocatorParams) -> Preload:
    """How the cell's allocator gets under the program."""
    if cell.allocator == "jemalloc":
        path = f"{LIBRARIES}/libjemalloc.so.2"
        conf = f"background_thread:true,dirty_decay_ms:{cell.decay_ms},muzzy_decay_ms:0"
        return Preload({"LD_PRELOAD": path, "MALLOC_CONF": conf}, path)
    if cell.allocator == "tcmalloc":
        path = f"{LIBRARIES}/libtcmalloc_minimal.so.4"
        return Preload({"LD_PRELOAD": path, "TCMALLOC_RELEASE_RATE": "10"}, path)
    return Preload({}, "libc.so.6")


class Allocator(TypedWorkload[AllocatorParams]):
    """The workload."""

    name = "allocator"
    title = "glibc, jemalloc and tcmalloc under a server whose load moves about"
    metrics = (
        *watched(wanders=True), *PEAKS,
        Metric(name="live", unit="kB", label="memory in use by objects"),
        *OPERATIONS,
    )
    usual: ClassVar[Settings] = {"allocator": [*ALLOCATORS], "low_pct": [*LOW_PCT]}
    model = AllocatorParams

    def words(self, cell: AllocatorParams) -> str:
        """``jemalloc, 5 % left``."""
        left = f"{cell.low_pct} % left" if cell.low_pct else "all freed"
        flush = "" if cell.flush else ", caches kept"
        return f"{cell.allocator}, {left}{flush}"

    def estimate(self, cell: AllocatorParams, accel: str) -> float:
        """Host seconds, about."""
        turns = cell.workers * cell.rounds
        objects = cell.peak_mib * 2**20 / OBJECT_BYTES
        work = objects * 2 * (1 + cell.churn_pct / 100) * OPERATION_S
        work += cell.peak_mib * 256 * FAULT_S
        slow = 0.05 if accel == "kvm" else 1.0
        return 2.0 + turns * (slow * work + cell.idle_ms / 1000)

    def run(
        self, session: Session, cell: AllocatorParams, context: Context
    ) -> Iterator[Measurement]:
        """Run the program over the allocator; numbers over time, then the sums."""
        program = push_program(session, context, self.name)
        chosen = preload(cell)
        words = [
            program, "--workers", cell.workers, "--peak", f"{cell.peak_mib}M",
            "--low", cell.low_pct, "--churn", cell.churn_pct, "--rounds", cell.rounds,
            "--idle", cell.idle_ms, "--seed", cell.seed,
        ]
        words += ["--flush"] if cell.flush else []
        setting = [f"{key}={value}" for key, value in chosen.environment.items()]
        command = shlex.join(["env", *setting, *map(str, words)])
        context.keep("command", command + "\n")
        patience = 60.0 + 5.0 * self.estimate(cell, session.accel) + session.scaled(10.0)
        for repeat in range(context.repeat):
            log = AllocatorLog(session, chosen.library, repeat)
            yield from with_peaks(repeat, watch(
                session, command, self.name, context, repeat=repeat, deadline=Deadline(patience),
                on_line=log.line,
            ))
            yield from log.sums(session.accel)


class AllocatorLog:
    """The program's lines as numbers over time: operations per second, memory in use."""

    def __init__(self, session: Session, library: str, repeat: int) -> None:
        self._session = session
        self._library = library
        self._repeat = repeat
        self._before = (0, 0)
        self._end: Line = {}

    def line(self, state: Line, t: float) -> Iterator[Measurement]:
        """One line of the program; the first one is where the allocator is checked."""
        if "pid" in state:
            check_library(self._session.run(f"cat /proc/{state['pid']}/maps").stdout, self._library)
            return
        if "done" in state:
            self._end = state
        if "ops" not in state:
            return
        ops, busy_ns = int(state["ops"]), int(state["busy_ns"])
        done, busy = ops - self._before[0], busy_ns - self._before[1]
        yield Measurement("live", float(state["live_kb"]), "kB", self._repeat, t)
        # Two sessions of an idle worker are too few for a rate.
        if busy > 0 and state["phase"] != "idle":
            rate = done / busy * 1e9
            yield Measurement("operations_per_second", rate, "operations/s", self._repeat, t)
        self._before = (ops, busy_ns)

    def sums(self, accel: str) -> Iterator[Measurement]:
        """The whole run: its rate, or under instruction counting what an operation costs."""
        ops, busy_ns = int(self._end["done"]), int(self._end["busy_ns"])
        yield Measurement("live", float(self._end["live_kb"]), "kB", self._repeat)
        if accel == "icount":
            cost = busy_ns / ops
            yield Measurement("instructions_per_operation", cost, "instructions", self._repeat)
        else:
            rate = ops / busy_ns * 1e9
            yield Measurement("operations_per_second", rate, "operations/s", self._repeat)


def check_library(maps: str, library: str) -> None:
    """See that the allocator is in the process and no other one.

    ld.so only warns when it cannot preload, and the program would run on glibc's malloc:
    that is an :class:`InfrastructureError`.
    """
    paths = {line.split()[5] for line in maps.splitlines() if len(line.split()) > 5}
    # The map has the file that a link such as libtcmalloc_minimal.so.4 leads to.
    stem = library.rsplit("/", 1)[-1]
    found = [p for p in paths if p.rsplit("/", 1)[-1].startswith(stem)]
    others = [
        p for p in paths
        if ("libjemalloc" in p or "libtcmalloc" in p) and p not in found
    ]
    if not found or others:
        raise InfrastructureError(
            f"{stem} is not in the process (is it in image.packages of harness.toml?)",
            excerpt="\n".join(sorted(paths)),
        )
