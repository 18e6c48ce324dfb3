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
from typing import Any, ClassVar

from pydantic import Field

from harness.core.errors import InfrastructureError
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

CHUNKS_KIB = [4, 16, 64, 256, 1024, 2048, 4096]
PAGE_S = 40e-6  # of a touch and a drop under TCG, for the time estimate
CALL_S = 20e-6


class PiecewiseParams(Params):
    """Parameters of one cell."""

    chunk_kib: int = Field(ge=4, le=1 << 20, multiple_of=4)
    """How much one MADV_DONTNEED covers."""
    size_mib: int = Field(default=64, ge=2, le=16384, multiple_of=2)
    rounds: int = Field(default=5, ge=1, le=4096)
    warmup: int = Field(default=2, ge=0, le=4096)


class Piecewise:
    """The workload."""

    name = "piecewise"
    flags = frozenset({"rounds"})
    icount_params: ClassVar[dict[str, Any]] = {}

    def cells(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """One cell per size of chunk."""
        return [
            parse_params(PiecewiseParams, cell, self.name)
            for cell in spread({"chunk_kib": CHUNKS_KIB, **params}, "chunk_kib")
        ]

    def seconds(self, cell: dict[str, Any], repeat: int, accel: str) -> float:
        """Host seconds, about."""
        kib = float(cell["size_mib"] * 1024)
        rounds_s = (cell["rounds"] + cell["warmup"]) * (
            kib / 4 * PAGE_S + kib / cell["chunk_kib"] * CALL_S
        )
        return repeat * (0.5 + float(rounds_s) * (0.05 if accel == "kvm" else 1.0))

    def measure(self, guest: Guest, cell: dict[str, Any], context: Context) \
            -> Iterator[Measurement]:
        """Once per repeat."""
        program = push_program(guest, context, "chunks")
        argv = [
            program, "--size", f"{cell['size_mib']}M", "--chunk", f"{cell['chunk_kib']}K",
            "--rounds", str(cell["rounds"]), "--warmup", str(cell["warmup"]),
        ]
        accel = guest.spec.accel.name
        for repeat in range(context.repeat):
            patience = self.seconds(cell, 1, accel)
            line = rounds.run(guest, argv, patience, context, f"stdout-{repeat}")
            if line is not None:
                yield from measurements(line, accel, repeat)


def measurements(line: dict[str, Any], accel: str, repeat: int = 0) -> Iterator[Measurement]:
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


def _growth(line: dict[str, Any], what: str, unit: str, when: str) -> float:
    before, then = line[f"{what}_before{unit}"], line[f"{what}_{when}{unit}"]
    if before < 0 or then < 0:
        raise InfrastructureError(f"chunks could not read {what} in the guest")
    return float(then - before)
