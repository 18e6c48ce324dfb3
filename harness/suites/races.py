"""The race suite of guest/races, and guest/piecewise.c: programs of our own, pushed into guests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.proc import capture
from harness.image.programs import GUEST_DIR
from harness.records.plans import PlannedTest, SuitePlan
from harness.suites.choose import choose
from harness.suites.suite import Option, Suite
from harness.suites.workbench import Workbench

if TYPE_CHECKING:
    from harness.machine.session import Session


class RaceSuite(Suite):
    """Threads that fault, zap, fork, move and reclaim the same memory, and check every page.

    Each race prints a JSON line and its exit code; a splat, a taint or page tables that do not
    come back make a fail of a pass.
    """

    name = "races"
    title = "the harness's own races on page tables, rounds of them with new seeds each"
    takes: frozenset[Option] = frozenset({"minutes", "seed", "threads"})
    leaks = True

    def tests(self, lab: Workbench, plan: SuitePlan) -> list[PlannedTest]:
        """Rounds over the races that fill the time."""
        return rounds(
            find(lab.programs()), only=plan.wanted, seed=plan.seed, seconds=plan.seconds,
            threads=plan.threads,
        )

    def prepare(self, session: Session, lab: Workbench, plan: SuitePlan) -> None:
        """Push the races that the plan has tests of."""
        push(session, lab.programs(), plan.tests)


class PiecewiseSuite(Suite):
    """Memory given back in pieces of many sizes and ways; are its page tables given back?"""

    name = "piecewise"
    title = "memory given back in pieces of many sizes: do its page tables come back"
    leaks = True

    def tests(self, lab: Workbench, plan: SuitePlan) -> list[PlannedTest]:
        """The cases that the program lists."""
        cases = capture([str(lab.programs() / "piecewise"), "list"]).split()
        return choose([
            PlannedTest(
                name=case, command=f"{GUEST_DIR}/piecewise {case}", seconds=20.0, fixed=120.0
            )
            for case in cases
        ], plan.wanted)

    def prepare(self, session: Session, lab: Workbench, plan: SuitePlan) -> None:
        """Push the program."""
        push(session, lab.programs(), plan.tests)


def find(programs: Path) -> list[str]:
    """The races among the compiled programs."""
    return sorted(path.name for path in programs.glob("race-*") if path.is_file())


def rounds(
    names: Sequence[str], *, only: Sequence[str], seed: int, seconds: float, threads: int = 0
) -> list[PlannedTest]:
    """Rounds over the races until ``seconds`` are filled, each round with seeds of its own.

    A round gives each race a tenth of a minute at least: most races need seconds to meet.
    ``threads``: of each race; 0: its own number. Raises :class:`UserError` for an unknown race.
    """
    chosen = [test.name for test in choose([PlannedTest(name=name) for name in names], only)]
    turns = max(1, round(seconds / (len(chosen) * 10.0)))
    each = max(2, round(seconds / (len(chosen) * turns)))
    extra = f" --threads {threads}" if threads else ""
    return [
        PlannedTest(
            name=name, seed=seed + turn, seconds=20.0, fixed=8.0 * each + 160.0,
            command=f"{GUEST_DIR}/{name} --seed {seed + turn} --seconds {each}{extra}",
        )
        for turn in range(turns) for name in chosen
    ]


def push(session: Session, programs: Path, tests: Iterable[PlannedTest]) -> None:
    """Copy the programs that tests begin with into the guest."""
    for name in sorted({Path(test.command.split()[0]).name for test in tests}):
        session.push(programs / name, f"{GUEST_DIR}/{name}")
