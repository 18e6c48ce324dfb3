"""``redis``: redis-server with jemalloc, filled and emptied twice, forked by BGSAVE.

Models a store whose keys come and go (guest/redis-life.sh): fill; BGSAVE, and while
its child writes, delete all but the newest ``keep_pct`` of the keys; idle while
jemalloc gives memory back; BGSAVE of the emptied server; fill; BGSAVE and delete
again. redis-server and jemalloc are Debian's; dirty_decay_ms is shortened to
``decay_ms`` (default of jemalloc 10 s), redis itself starts jemalloc's thread.

``VmPTE_emptied`` is after the first delete, ``VmPTE`` after the second.
``us_per_fork_...`` is redis's own latest_fork_usec: fork makes a table for every
table of the parent, also for an empty one. Operations are SETs and DELs by one client
over one pipe; the client's own work counts in their rate, as in any redis benchmark.

Cannot show: real traffic, or the scattered survivors of a store whose keys do not
die by age (set ``keep_pct`` higher and read ``allocator``). Background threads make
memory differ a little from boot to boot.

Source: "Free user PTE page table pages", linux-mm, 19 August 2021, which names jemalloc; own
work.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from pydantic import Field

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.machine.session import Session
from harness.measure.workloads.allocator import OPERATIONS, check_library
from harness.measure.workloads.watching import PEAKS, marked, watch, watched, with_peaks
from harness.measure.workloads.workload import (
    CellParams,
    Context,
    Line,
    Measurement,
    TypedWorkload,
    push_program,
)
from harness.records.workloads import Metric

PROGRAM = "redis-life"
LIBRARY = "libjemalloc.so.2"
PHASES = 4  # fill, delete, fill, delete
EMPTIED = "emptied"
FORKS = ("full", "emptied", "refilled")
OPERATION_S = 60e-6  # of a command with its client under TCG
START_S = 4.0


class RedisParams(CellParams):
    """Parameters of one cell."""

    keys: int = Field(default=20_000, ge=100, le=10_000_000)
    value_bytes: int = Field(default=4096, ge=16, le=32_768)
    """Mean; values are of half of it to half as much again."""
    keep_pct: int = Field(default=5, ge=0, le=99)
    """The newest keys that outlive a delete."""
    idle_ms: int = Field(default=1000, ge=0, le=600_000)
    decay_ms: int = Field(default=300, ge=0, le=600_000)
    """jemalloc's dirty_decay_ms."""
    seed: int = Field(default=1, ge=0, le=2**31 - 1)


class Redis(TypedWorkload[RedisParams]):
    """The workload."""

    name = "redis"
    title = "redis-server with jemalloc, filled and emptied twice, forked by BGSAVE"
    metrics = (
        *watched(wanders=True), *PEAKS,
        *marked(EMPTIED, "after the first delete"),
        *(
            Metric(name=f"us_per_fork_{name}", unit="us", kind="cost", better="less",
                   headline=True, label=f"microseconds of a fork, {name}")
            for name in FORKS
        ),
        *OPERATIONS,
    )
    model = RedisParams

    def words(self, cell: RedisParams) -> str:
        """``20,000 keys``."""
        return f"{cell.keys:,} keys"

    def estimate(self, cell: RedisParams, accel: str) -> float:
        """Host seconds, about."""
        slow = 0.05 if accel == "kvm" else 1.0
        work = START_S + cell.keys * PHASES * OPERATION_S
        return slow * work + 3 * cell.idle_ms / 1000

    def run(self, session: Session, cell: RedisParams, context: Context) -> Iterator[Measurement]:
        """Run the server's two lives; numbers over time, then the sums."""
        program = push_program(session, context, PROGRAM)
        numbers = (cell.keys, cell.value_bytes, cell.keep_pct, cell.idle_ms, cell.seed)
        command = shlex.join([
            "env", f"MALLOC_CONF=dirty_decay_ms:{cell.decay_ms},muzzy_decay_ms:0",
            program, *map(str, numbers),
        ])
        context.keep("command", command + "\n")
        patience = 60.0 + 10.0 * self.estimate(cell, session.accel) + session.scaled(10.0)
        for repeat in range(context.repeat):
            log = RedisLog(session, repeat)
            yield from with_peaks(repeat, watch(
                session, command, self.name, context, repeat=repeat, deadline=Deadline(patience),
                on_line=log.line, marks=[EMPTIED],
            ))
            yield from log.sums(session.accel)


class RedisLog:
    """The script's lines as numbers."""

    def __init__(self, session: Session, repeat: int) -> None:
        self._session = session
        self._repeat = repeat
        self._ops = self._elapsed_ns = 0
        self._forks: dict[str, float] = {}

    def line(self, state: Line, t: float) -> Iterator[Measurement]:
        """One line; the first one is where the allocator is checked."""
        if "pid" in state:
            check_library(self._session.run(f"cat /proc/{state['pid']}/maps").stdout, LIBRARY)
        elif "fork" in state:
            self._forks[state["fork"]] = float(state["fork_us"])
        elif "ops" in state:
            ops, elapsed_ns = int(state["ops"]), int(state["elapsed_ns"])
            self._ops += ops
            self._elapsed_ns += elapsed_ns
            rate = ops / elapsed_ns * 1e9
            yield Measurement("operations_per_second", rate, "operations/s", self._repeat, t)

    def sums(self, accel: str) -> Iterator[Measurement]:
        """What the whole run came to.

        Raises :class:`InfrastructureError` when the script left out a part.
        """
        if not self._ops or set(self._forks) != set(FORKS):
            raise InfrastructureError("redis-life left out a fill or a fork")
        for name, us in self._forks.items():
            yield Measurement(f"us_per_fork_{name}", us, "us", self._repeat)
        if accel == "icount":
            cost = self._elapsed_ns / self._ops
            yield Measurement("instructions_per_operation", cost, "instructions", self._repeat)
        else:
            rate = self._ops / self._elapsed_ns * 1e9
            yield Measurement("operations_per_second", rate, "operations/s", self._repeat)
