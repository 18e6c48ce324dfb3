"""``common``: what common system calls cost: does a change make anything dearer that it touches?

Models: one process on one CPU that enters the kernel, signals itself, writes to pipes and sockets,
switches to another task and back, forks, starts a program, opens, stats, lists, reads what is
cached, maps, faults, waits for events (guest/common-ops.c). One cell per operation, each in a
process of its own; the median round over the operations in it.

Cannot show: cache and TLB misses under instruction counting; contention, since there is one CPU;
disks and networks. A switch counts both tasks.

Source: own work, after the operations that lmbench made customary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, get_args

from pydantic import Field

from harness.machine.session import Session
from harness.measure.workloads import rounds
from harness.measure.workloads.workload import (
    CellParams,
    Context,
    Measurement,
    Settings,
    TypedWorkload,
    push_program,
)

CommonOp = Literal[
    "syscall", "signal", "pipe", "socket", "pipe_switch", "futex_switch", "epoll", "fork_exit",
    "exec", "open_close", "stat", "readdir", "read_cached", "mmap_munmap", "fault",
]
COMMON_OPS: tuple[CommonOp, ...] = get_args(CommonOp)
ROUND_S = 0.01  # of a round under TCG; measured, rounded up


class CommonParams(CellParams):
    """Parameters of one cell."""

    op: CommonOp
    rounds: int = Field(default=15, ge=1, le=4096)
    warmup: int = Field(default=4, ge=0, le=4096)


class Common(TypedWorkload[CommonParams]):
    """The workload."""

    name = "common"
    title = "common system calls, one after the other"
    thp = "as booted"
    flags = frozenset({"rounds"})
    metrics = tuple(rounds.costs("op"))
    usual: ClassVar[Settings] = {"op": list(COMMON_OPS)}
    model = CommonParams

    def words(self, cell: CommonParams) -> str:
        """``pipe_switch``."""
        return cell.op

    def estimate(self, cell: CommonParams, accel: str) -> float:
        """Host seconds, about."""
        return 0.3 + (cell.rounds + cell.warmup) * ROUND_S * (0.05 if accel == "kvm" else 1.0)

    def run(self, session: Session, cell: CommonParams, context: Context) -> Iterator[Measurement]:
        """Once per repeat. An operation that the guest cannot do gives a warning and no number."""
        argv = [
            push_program(session, context, "common-ops"), "--rounds", str(cell.rounds),
            "--warmup", str(cell.warmup), cell.op,
        ]
        patience = self.estimate(cell, session.accel)
        for repeat in range(context.repeat):
            line = rounds.run(session, argv, patience, context, f"stdout-{repeat}")
            if line is None:
                return
            yield rounds.cost(line, session.accel, repeat)
