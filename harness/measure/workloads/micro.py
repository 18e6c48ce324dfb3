"""``micro``: what single operations on page tables cost, by instructions or by time.

Models a process that forks and exits, moves, protects, maps and unmaps its memory, faults in a
cached file, swaps in (guest/micro.c). Full tables all the time: what the reference count costs
where it gains nothing. Each cell is one operation, in a process of its own, pinned to a CPU;
the median round over its units, which are named in the metric:

* ``page``: ``fork_exit``, ``mremap_entries``, ``mprotect`` (a page's protection changed once),
  ``mmap_munmap``, ``mmap_page``, ``munmap``, ``swap_in``, ``reclaim_pages`` (where all
  pages of a table go, one after the other);
* ``table`` (2 MiB): ``mremap_tables``, ``dontneed`` (one page in each, one call for all),
  ``reclaim`` (the same, dropped by reclaim);
* ``fault`` (of 16 pages): ``fault_around``.

Cannot show: cache and TLB misses under instruction counting; contention; what happens to almost
empty tables (see churn). ``swap_in`` counts the loop device's kernel thread as well, on all CPUs.

Source: pte-ref, "fork + exit of a 1 GiB process, mremap of 1 GiB, file fault-around"; own work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, get_args

from pydantic import Field, model_validator

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

Op = Literal[
    "fork_exit", "mremap_tables", "mremap_entries", "mprotect", "mmap_munmap", "mmap_page",
    "munmap", "fault_around", "swap_in", "dontneed", "reclaim", "reclaim_pages",
]
# The last three come last: on kernels that free tables they leave the page allocator in another
# state, and operations that come after them would be charged for that.
OPS: tuple[Op, ...] = get_args(Op)

SIZE_MIB = {
    "fork_exit": 1024, "mremap_tables": 1024, "dontneed": 1024, "reclaim": 1024,
    "mmap_munmap": 64, "reclaim_pages": 64,
    "mmap_page": 16, "munmap": 64, "swap_in": 32,
}
USUAL_MIB = 256

# Nanoseconds under TCG: once to touch a page, and each round for it. Measured, rounded up.
TOUCH_NS = 25e3
ROUND_NS = {
    "fork_exit": 3e3, "mremap_tables": 20, "mremap_entries": 2e3, "mprotect": 1e3, "dontneed": 100,
    "reclaim": 300, "reclaim_pages": 10e3,
    "mmap_munmap": 30e3, "mmap_page": 60e3, "munmap": 30e3, "fault_around": 3e3, "swap_in": 150e3,
}


class MicroParams(CellParams):
    """Parameters of one cell."""

    op: Op
    size_mib: int = Field(ge=2, le=65536, multiple_of=2)
    """Memory that a round works on; by operation where it is not given. ``mmap_page`` maps so
    much in all, a page at a time."""
    rounds: int = Field(default=7, ge=1, le=4096)
    warmup: int = Field(default=2, ge=0, le=4096)

    @model_validator(mode="before")
    @classmethod
    def _usual_size(cls, value: object) -> object:
        if isinstance(value, dict) and "size_mib" not in value:
            return {**value, "size_mib": SIZE_MIB.get(str(value.get("op")), USUAL_MIB)}
        return value


class Micro(TypedWorkload[MicroParams]):
    """The workload."""

    name = "micro"
    title = "single operations on page tables that stay full"
    flags = frozenset({"rounds"})
    metrics = tuple(
        metric for unit in ("page", "table", "fault") for metric in rounds.costs(unit)
    )
    usual: ClassVar[Settings] = {"op": list(OPS)}
    model = MicroParams

    def words(self, cell: MicroParams) -> str:
        """``fork_exit``, with the size where it is not the usual one."""
        usual = SIZE_MIB.get(cell.op, USUAL_MIB)
        return cell.op + ("" if cell.size_mib == usual else f", {cell.size_mib} MiB")

    def estimate(self, cell: MicroParams, accel: str) -> float:
        """Host seconds, about."""
        times = cell.rounds + cell.warmup
        ns = cell.size_mib * 256 * (TOUCH_NS + times * ROUND_NS[cell.op])
        return 0.5 + ns * (0.05 if accel == "kvm" else 1.0) / 1e9

    def run(self, session: Session, cell: MicroParams, context: Context) -> Iterator[Measurement]:
        """Once per repeat. An operation that the guest cannot do gives a warning and no number."""
        argv = [
            push_program(session, context, "micro"), "--size", f"{cell.size_mib}M",
            "--rounds", str(cell.rounds), "--warmup", str(cell.warmup), cell.op,
        ]
        patience = self.estimate(cell, session.accel)
        for repeat in range(context.repeat):
            line = rounds.run(session, argv, patience, context, f"stdout-{repeat}")
            if line is None:
                return
            yield rounds.cost(line, session.accel, repeat)
