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

Kind = Literal[1, 2, 3]
KINDS: tuple[int, ...] = get_args(Kind)
THREADS = [1, 4]
FAULT_S = {1: 30e-6, 2: 40e-6, 3: 20e-6}  # under TCG, for the time estimate


class PageFaultParams(Params):
    """Parameters of one cell."""

    kind: Kind
    threads: int = Field(ge=1, le=256)
    size_mib: int = Field(default=128, ge=1, le=16384)
    """Mapped by each thread."""
    rounds: int = Field(default=5, ge=1, le=4096)
    warmup: int = Field(default=1, ge=0, le=4096)


class PageFault:
    """The workload."""

    name = "page-fault"
    flags = frozenset({"threads", "rounds"})
    icount_params: ClassVar[dict[str, Any]] = {}

    def cells(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """One cell per kind and number of threads."""
        usual = {"kind": list(KINDS), "threads": THREADS}
        return [
            parse_params(PageFaultParams, cell, self.name)
            for kind in spread({**usual, **params}, "kind")
            for cell in spread(kind, "threads")
        ]

    def seconds(self, cell: dict[str, Any], repeat: int, accel: str) -> float:
        """Host seconds, about."""
        faults = cell["threads"] * cell["size_mib"] * 256 * (cell["rounds"] + cell["warmup"])
        slow = 0.05 if accel == "kvm" else 1.0
        return repeat * (0.5 + float(faults) * slow * FAULT_S[cell["kind"]])

    def measure(self, guest: Guest, cell: dict[str, Any], context: Context) \
            -> Iterator[Measurement]:
        """Once per repeat."""
        program = push_program(guest, context, "page-fault")
        argv = [
            program, "--threads", str(cell["threads"]), "--size", f"{cell['size_mib']}M",
            "--rounds", str(cell["rounds"]), "--warmup", str(cell["warmup"]), str(cell["kind"]),
        ]
        accel = guest.spec.accel.name
        for repeat in range(context.repeat):
            patience = self.seconds(cell, 1, accel)
            line = rounds.run(
                guest, argv, patience, context, f"stdout-{repeat}", threads=cell["threads"]
            )
            if line is not None:
                yield rate(line, accel, repeat)


def rate(line: dict[str, Any], accel: str, repeat: int = 0) -> Measurement:
    """Instructions per fault where they are counted, else faults per second of all threads."""
    cost = rounds.cost(line, accel, repeat)
    if accel == "icount":
        return cost
    return Measurement("faults_per_second", 1e9 / cost.value, "faults/s", repeat)
