"""``churn``: the worst case, a page table freed and made again for every page.

Models threads that touch a page and drop just that page (guest/churn.c): ``sparse`` in one
2 MiB after the other, ``refault`` in the same 2 MiB right after the drop, ``shared`` with all
threads inside one 2 MiB, each with its own page; ``whole`` the same, but each drop is of all 2
MiB, which is what makes PT_RECLAIM look at all entries again while others fill them; ``neighbour``
as ``shared`` beside a page that stays, so that no table is ever emptied. A kernel that
keeps empty tables pays for a fault and a zap; one that frees them pays for a table as well.

Cannot show: contention under instruction counting, where virtual CPUs take turns of 10,000
instructions and more, so that ``shared`` counts the work but not the fight; what the freed
memory gains (see vmpte and piecewise).

Source: pte-ref, "one page touched and dropped per 2 MiB, many threads in one 2 MiB"; own work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from harness.core.plurals import plural
from harness.machine.session import Session
from harness.measure.workloads import rounds
from harness.measure.workloads.workload import (
    CellParams,
    Context,
    Measurement,
    Settings,
    TypedWorkload,
    push_program,
    spread,
)
from harness.records.record import Params, Scalar

Pattern = Literal["sparse", "refault", "shared", "whole", "neighbour"]
PATTERNS: tuple[Pattern, ...] = get_args(Pattern)
TOGETHER = ("shared", "whole")  # all threads in one 2 MiB
ROOM = {"shared": 512, "whole": 512, "neighbour": 511}  # pages, for all threads together
MANY = (8, 16)
PAGES_PER_TABLE = 512
CYCLE_S = 60e-6  # of a touch and a drop under TCG, for the time estimate


class ChurnParams(CellParams):
    """Parameters of one cell."""

    pattern: Pattern
    threads: int = Field(default=1, ge=1, le=256)
    pages: int = Field(default=1, ge=1, le=PAGES_PER_TABLE)
    """Touched and dropped together, of the 512 that a table holds."""
    cycles: int = Field(default=1024, ge=1, le=1 << 20)
    """Touches and drops of each thread in a round; ``sparse`` walks over as many 2 MiB."""
    rounds: int = Field(default=7, ge=1, le=4096)
    warmup: int = Field(default=2, ge=0, le=4096)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        room = ROOM.get(self.pattern)
        if room is not None and self.threads * self.pages > room:
            raise ValueError(
                f"{self.threads} threads with {self.pages} pages each do not share 2 MiB; "
                f"threads x pages must be at most {room}"
            )
        return self


class Churn(TypedWorkload[ChurnParams]):
    """The workload."""

    name = "churn"
    title = "touch a page and drop it, so that its table comes and goes"
    flags = frozenset({"threads", "rounds"})
    metrics = tuple(rounds.costs("fault", label="per touch and drop"))
    model = ChurnParams

    def cells(self, settings: Settings) -> list[Params]:
        """One cell per pattern and number of threads.

        Without numbers: one thread, and many (8, 16) where they share a table.
        """
        patterns = settings.get("pattern", list(PATTERNS))
        found = []
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            threads: list[Scalar] = [*(MANY if pattern in TOGETHER else (1,))]
            mine: Settings = {"threads": threads, **settings, "pattern": pattern}
            found += [self.parse(one).model_dump() for one in spread(mine)]
        return found

    def words(self, cell: ChurnParams) -> str:
        """``shared, 8 threads``."""
        pages = f", {cell.pages} pages at a time" if cell.pages > 1 else ""
        return f"{cell.pattern}, {plural(cell.threads, 'thread')}{pages}"

    def estimate(self, cell: ChurnParams, accel: str) -> float:
        """Host seconds, about."""
        cycles = cell.threads * cell.cycles * (cell.rounds + cell.warmup)
        return 0.5 + cycles * CYCLE_S * (1 + cell.pages / 3) * (0.05 if accel == "kvm" else 1.0)

    def run(self, session: Session, cell: ChurnParams, context: Context) -> Iterator[Measurement]:
        """Once per repeat."""
        argv = [
            push_program(session, context, "churn"), "--threads", str(cell.threads),
            "--pages", str(cell.pages), "--cycles", str(cell.cycles),
            "--rounds", str(cell.rounds), "--warmup", str(cell.warmup), cell.pattern,
        ]
        patience = self.estimate(cell, session.accel)
        for repeat in range(context.repeat):
            line = rounds.run(
                session, argv, patience, context, f"stdout-{repeat}", threads=cell.threads
            )
            if line is not None:
                yield rounds.cost(line, session.accel, repeat)
