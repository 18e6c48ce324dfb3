"""``piecewise``: which sizes of MADV_DONTNEED give page tables back, and at what cost.

Models an allocator that fills 64 MiB and gives them back in pieces of 4 KiB to 4 MiB, again and
again (guest/chunks.c). Read in the guest by the program itself: VmPTE of the process before the
first touch, with all touched, after the last drop; the same for the guest's
``nr_page_table_pages``; the cost of touching and dropping a page, and of the drop alone.

Cannot show: other ways to empty memory (``harness stability --suite piecewise`` tries those, and
gives verdicts, not numbers); contention. The guest's pages of tables move by a few for other
reasons.

Source: pte-ref, "piecewise DONTNEED (4 KiB to 1 MiB chunks): table freed"; own work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from harness.core.errors import InfrastructureError
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

CHUNKS_KIB = [4, 16, 64, 256, 1024, 2048, 4096]
PAGE_S = 40e-6  # of a touch and a drop under TCG, for the time estimate
CALL_S = 20e-6


class PiecewiseParams(CellParams):
    """Parameters of one cell."""

    chunk_kib: int = Field(ge=4, le=1 << 20, multiple_of=4)
    """How much one MADV_DONTNEED covers."""
    size_mib: int = Field(default=64, ge=2, le=16384, multiple_of=2)
    rounds: int = Field(default=5, ge=1, le=4096)
    warmup: int = Field(default=2, ge=0, le=4096)


class Piecewise(TypedWorkload[PiecewiseParams]):
    """The workload."""

    name = "piecewise"
    title = "memory given back in pieces: which sizes free page tables, and what that costs"
    flags = frozenset({"rounds"})
    metrics = (
        Metric(name="VmPTE_kept", unit="kB", kind="memory", better="less", exact=True,
               slack=8.0, headline=True, label="page tables left after the last drop"),
        Metric(name="VmPTE_touched", unit="kB", kind="memory", exact=True, slack=8.0,
               headline=True,
               label="page tables with all touched"),
        Metric(name="nr_page_table_pages_kept", unit="pages", kind="memory", better="less",
               slack=2.0, label="page-table pages of the guest left after the last drop"),
        *rounds.costs("page", label="per page touched and dropped"),
        *rounds.costs("page", "_dropped", "per page dropped", headline=False),
    )
    usual: ClassVar[Settings] = {"chunk_kib": [*CHUNKS_KIB]}
    model = PiecewiseParams

    def words(self, cell: PiecewiseParams) -> str:
        """``chunks of 64 KiB``."""
        return f"chunks of {cell.chunk_kib} KiB"

    def estimate(self, cell: PiecewiseParams, accel: str) -> float:
        """Host seconds, about."""
        kib = cell.size_mib * 1024.0
        seconds = (cell.rounds + cell.warmup) * (kib / 4 * PAGE_S + kib / cell.chunk_kib * CALL_S)
        return 0.5 + seconds * (0.05 if accel == "kvm" else 1.0)

    def run(
        self, session: Session, cell: PiecewiseParams, context: Context
    ) -> Iterator[Measurement]:
        """Once per repeat."""
        argv = [
            push_program(session, context, "chunks"), "--size", f"{cell.size_mib}M",
            "--chunk", f"{cell.chunk_kib}K", "--rounds", str(cell.rounds),
            "--warmup", str(cell.warmup),
        ]
        patience = self.estimate(cell, session.accel)
        for repeat in range(context.repeat):
            line = rounds.run(session, argv, patience, context, f"stdout-{repeat}")
            if line is not None:
                yield from measurements(line, session.accel, repeat)


def measurements(line: Line, accel: str, repeat: int = 0) -> Iterator[Measurement]:
    """The numbers of one run; ``_kept`` is what remains of the tables after the last drop.

    Raises :class:`InfrastructureError` when touching made no tables: with THP, or on a
    counter that is not there, everything would look freed.
    """
    made = _growth(line, "vmpte", "_kb", "touched")
    least = line["size"] / (2 << 20) * 4
    if made < least:
        raise InfrastructureError(
            f"chunks made {made:.0f} kB of tables where {least:.0f} kB are needed"
        )
    yield Measurement("VmPTE_touched", made, "kB", repeat)
    yield Measurement("VmPTE_kept", _growth(line, "vmpte", "_kb", "dropped"), "kB", repeat)
    yield Measurement(
        "nr_page_table_pages_kept", _growth(line, "page_tables", "", "dropped"), "pages", repeat
    )
    yield rounds.cost(line, accel, repeat)
    yield rounds.cost(line, accel, repeat, median="drop_ns", what="_dropped")


def _growth(line: Line, what: str, unit: str, when: str) -> float:
    before, then = line[f"{what}_before{unit}"], line[f"{what}_{when}{unit}"]
    if before < 0 or then < 0:
        raise InfrastructureError(f"chunks could not read {what} in the guest")
    return float(then - before)
