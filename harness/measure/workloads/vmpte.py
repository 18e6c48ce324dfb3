"""``vmpte``: page-table memory of a process that touched and dropped 50 GiB.

The loop (guest/vmpte.c): mmap 50 GiB; for each 2 MiB: touch it, MADV_DONTNEED it. Memory is read
by the harness from outside the process while it lives, from ``/proc/<pid>/status``, and for the
whole guest from ``/proc/vmstat`` and ``/proc/meminfo``. ``touch = "page"`` touches one page per
2 MiB: the same page tables in a fraction of the faults, but another peak of RSS.
Cannot show: the cost (see multi-fault), or tables of files and huge pages.

Source: "Free user PTE page table pages", linux-mm, 19 August 2021, under "Testing".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from harness.core.deadline import Deadline
from harness.machine.session import Session
from harness.measure.workloads.watching import watch, watched
from harness.measure.workloads.workload import (
    CellParams,
    Context,
    Measurement,
    TypedWorkload,
    push_program,
)

FAULT_S = 40e-6  # of a fault under TCG, for the time estimate
CHUNK_S = 100e-6


class VmPteParams(CellParams):
    """Parameters of one cell."""

    size_gib: int = Field(default=50, ge=1, le=1024)
    touch: Literal["page", "all"] = "all"
    chunk_kib: int = Field(default=2048, ge=4, le=2048)
    """How much one MADV_DONTNEED covers; below 2048 the drops are piecewise."""
    loops: int = Field(default=1, ge=1)


class VmPte(TypedWorkload[VmPteParams]):
    """The workload."""

    name = "vmpte"
    title = "page-table memory of a process that touched and dropped a lot of memory"
    metrics = watched()
    model = VmPteParams

    def words(self, cell: VmPteParams) -> str:
        """``50 GiB loop, one page per 2 MiB``."""
        touch = "one page per 2 MiB" if cell.touch == "page" else "every page"
        chunk = "" if cell.chunk_kib == 2048 else f", drops of {cell.chunk_kib} KiB"
        loops = "" if cell.loops == 1 else f", {cell.loops} times"
        return f"{cell.size_gib} GiB loop, {touch}{chunk}{loops}"

    def estimate(self, cell: VmPteParams, accel: str) -> float:
        """Host seconds, about."""
        tables = float(cell.size_gib * 512 * cell.loops)
        faults = tables * (512 if cell.touch == "all" else 1)
        return 2.0 + (0.05 if accel == "kvm" else 1.0) * (faults * FAULT_S + tables * CHUNK_S)

    def run(self, session: Session, cell: VmPteParams, context: Context) -> Iterator[Measurement]:
        """Run the loop, watch the process, take the last values while it still lives."""
        command = (
            f"{push_program(session, context, 'vmpte')} --size {cell.size_gib}G "
            f"--touch {cell.touch} --chunk {cell.chunk_kib * 1024} --loops {cell.loops}"
        )
        context.keep("command", command + "\n")
        patience = 60.0 + 5.0 * self.estimate(cell, session.accel) + session.scaled(10.0)
        for repeat in range(context.repeat):
            yield from watch(
                session, command, self.name, context, repeat=repeat, deadline=Deadline(patience)
            )
