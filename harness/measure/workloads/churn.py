"""``churn``: the worst case, a page table freed and made again for every page.

Models threads that touch a page and drop just that page (guest/churn.c): ``sparse`` in one
2 MiB after the other, ``refault`` in the same 2 MiB right after the drop, ``shared`` with all
threads inside one 2 MiB, each with its own page. A kernel that keeps empty tables pays for a
fault and a zap; one that frees them pays for a table as well.

Cannot show: contention under instruction counting, where virtual CPUs take turns of 10,000
instructions and more, so that ``shared`` counts the work but not the fight; what the freed
memory gains (see vmpte and piecewise).

Source: pte-ref, "one page touched and dropped per 2 MiB, many threads in one 2 MiB"; own work.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field

from harness.core.errors import UserError
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

Pattern = Literal["sparse", "refault", "shared"]
PATTERNS: tuple[str, ...] = get_args(Pattern)
THREADS = {"shared": [8, 16]}
PAGES_PER_TABLE = 512
CYCLE_S = 60e-6  # of a touch and a drop under TCG, for the time estimate


class ChurnParams(Params):
    """Parameters of one cell."""

    pattern: Pattern
    threads: int = Field(default=1, ge=1, le=256)
    pages: int = Field(default=1, ge=1, le=PAGES_PER_TABLE)
    """Touched and dropped together, of the 512 that a table holds."""
    cycles: int = Field(default=1024, ge=1, le=1 << 20)
    """Touches and drops of each thread in a round; ``sparse`` walks over as many 2 MiB."""
    rounds: int = Field(default=7, ge=1, le=4096)
    warmup: int = Field(default=2, ge=0, le=4096)


class Churn:
    """The workload."""

    name = "churn"
    flags = frozenset({"threads", "rounds"})
    icount_params: ClassVar[dict[str, Any]] = {}

    def cells(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """One cell per pattern and number of threads.

        Without numbers: one thread, and many (8, 16) where they share a table.
        """
        found = []
        for cell in spread({"pattern": list(PATTERNS), **params}, "pattern"):
            usual = {"threads": THREADS.get(str(cell["pattern"]), [1])}
            found += [
                parse_params(ChurnParams, one, self.name)
                for one in spread({**usual, **cell}, "threads")
            ]
        for cell in found:
            if cell["pattern"] == "shared" and cell["threads"] * cell["pages"] > PAGES_PER_TABLE:
                raise UserError(
                    f"churn: {cell['threads']} threads with {cell['pages']} pages each do not "
                    f"share 2 MiB", hint=f"threads x pages must be at most {PAGES_PER_TABLE}",
                )
        return found

    def seconds(self, cell: dict[str, Any], repeat: int, accel: str) -> float:
        """Host seconds, about."""
        cycles = cell["threads"] * cell["cycles"] * (cell["rounds"] + cell["warmup"])
        cycle_s = CYCLE_S * (1 + cell["pages"] / 3) * (0.05 if accel == "kvm" else 1.0)
        return repeat * (0.5 + float(cycles * cycle_s))

    def measure(self, guest: Guest, cell: dict[str, Any], context: Context) \
            -> Iterator[Measurement]:
        """Once per repeat."""
        program = push_program(guest, context, "churn")
        numbers = [
            word for key in ("threads", "pages", "cycles", "rounds", "warmup")
            for word in (f"--{key}", str(cell[key]))
        ]
        accel = guest.spec.accel.name
        for repeat in range(context.repeat):
            argv = [program, *numbers, cell["pattern"]]
            patience = self.seconds(cell, 1, accel)
            line = rounds.run(
                guest, argv, patience, context, f"stdout-{repeat}", threads=cell["threads"]
            )
            if line is not None:
                yield rounds.cost(line, accel, repeat)
