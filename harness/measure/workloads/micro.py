"""``micro``: what single operations on page tables cost, by instructions or by time.

Models a process that forks and exits, moves, protects, maps and unmaps its memory, faults in a
cached file, swaps in (guest/micro.c). Full tables all the time: what the reference count costs
where it gains nothing. Each cell is one operation, in a process of its own, pinned to a CPU;
the median round over its units, which are named in the metric:

* ``page``: ``fork_exit``, ``mremap_entries``, ``mprotect`` (a page's protection changed once),
  ``mmap_munmap``, ``mmap_page``, ``munmap``, ``swap_in``;
* ``table`` (2 MiB): ``mremap_tables``;
* ``fault`` (of 16 pages): ``fault_around``.

Cannot show: cache and TLB misses under instruction counting; contention; what happens to almost
empty tables (see churn). ``swap_in`` counts the loop device's kernel thread as well, on all CPUs.

Source: pte-ref, "fork + exit of a 1 GiB process, mremap of 1 GiB, file fault-around"; own work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field

from harness.machine.guest import Guest
from harness.measure.workloads import rounds
from harness.measure.workloads.workload import (
    Context,
    Measurement,
    Params,
    parse_params,
    push_program,
    spread,
)

Op = Literal[
    "fork_exit", "mremap_tables", "mremap_entries", "mprotect", "mmap_munmap", "mmap_page",
    "munmap", "fault_around", "swap_in",
]
OPS: tuple[str, ...] = get_args(Op)

SIZE_MIB = {
    "fork_exit": 1024, "mremap_tables": 1024, "mmap_munmap": 64, "mmap_page": 16, "munmap": 64,
    "swap_in": 32,
}
USUAL_MIB = 256

# Nanoseconds under TCG: once to touch a page, and each round for it. Measured, rounded up.
TOUCH_NS = 25e3
ROUND_NS = {
    "fork_exit": 3e3, "mremap_tables": 20, "mremap_entries": 2e3, "mprotect": 1e3,
    "mmap_munmap": 30e3, "mmap_page": 60e3, "munmap": 30e3, "fault_around": 3e3, "swap_in": 150e3,
}


class MicroParams(Params):
    """Parameters of one cell."""

    op: Op
    size_mib: int = Field(ge=2, le=65536, multiple_of=2)
    """Memory that a round works on. ``mmap_page`` maps so much in all, a page at a time."""
    rounds: int = Field(default=7, ge=1, le=4096)
    warmup: int = Field(default=2, ge=0, le=4096)


class Micro:
    """The workload."""

    name = "micro"
    flags = frozenset({"rounds"})
    icount_params: ClassVar[dict[str, Any]] = {}

    def cells(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """One cell per operation; all of them when none is named."""
        found = []
        for cell in spread({"op": list(OPS), **params}, "op"):
            usual = {"size_mib": SIZE_MIB.get(str(cell["op"]), USUAL_MIB)}
            found.append(parse_params(MicroParams, {**usual, **cell}, self.name))
        return found

    def seconds(self, cell: dict[str, Any], repeat: int, accel: str) -> float:
        """Host seconds, about."""
        times = cell["rounds"] + cell["warmup"]
        ns = cell["size_mib"] * 256 * (TOUCH_NS + times * ROUND_NS[cell["op"]])
        return repeat * (0.5 + float(ns) * (0.05 if accel == "kvm" else 1.0) / 1e9)

    def measure(self, guest: Guest, cell: dict[str, Any], context: Context) \
            -> Iterator[Measurement]:
        """Once per repeat. An operation that the guest cannot do gives a warning and no number."""
        program = push_program(guest, context, "micro")
        argv = [
            program, "--size", f"{cell['size_mib']}M", "--rounds", str(cell["rounds"]),
            "--warmup", str(cell["warmup"]), cell["op"],
        ]
        accel = guest.spec.accel.name
        for repeat in range(context.repeat):
            patience = self.seconds(cell, 1, accel)
            line = rounds.run(guest, argv, patience, context, f"stdout-{repeat}")
            if line is None:
                return
            yield rounds.cost(line, accel, repeat)
