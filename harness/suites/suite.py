"""What a suite of tests is: the words, the tests, how a guest is prepared, what an end means.

The conductor (`conductor.py`) does the rest for every suite alike: it builds, boots, runs one
test after the other, looks after the kernel behind each, repeats what differs between variants,
and writes the run's record. To add a suite is to write one class and to put it into
`registry.py`; docs/extending.md has an example that the tests run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from harness.core.errors import InfrastructureError, UserError
from harness.records.plans import PlannedTest, SuitePlan
from harness.records.verdicts import Verdict
from harness.suites.judgement import Judgement, Outcome, judge
from harness.suites.steps import Steps
from harness.suites.workbench import Workbench

if TYPE_CHECKING:
    from harness.machine.session import Session

Option = Literal["minutes", "seed", "threads", "ltp", "lists", "skip_file", "test_seconds"]
"""What a suite may be told beside which tests to run: fields of :class:`SuitePlan`."""


class Suite(Protocol):
    """A suite of tests. Subclass it: what is not overridden does nothing, or the usual.

    One object serves every run and every thread: what belongs to a run stands in the
    :class:`SuitePlan` that each method is given, what belongs to the host in ``lab``.
    """

    name: str
    """As ``--suite`` names it, and as verdicts and directories of runs have it."""
    title: str
    """One line for the command line's help: what it runs."""
    takes: frozenset[Option] = frozenset()
    """What it can be told; to be told anything else is an error, not silence."""
    leaks: bool = False
    """Whether a test must give back every page table before the next begins."""

    def tests(self, lab: Workbench, plan: SuitePlan) -> list[PlannedTest] | None:
        """The tests, where the host knows them; None: a guest is to be asked.

        ``plan.wanted`` holds the patterns of ``--tests``: give them to :func:`choose`, which
        raises :class:`UserError` for one that means nothing.
        """
        return None

    def ask(self, session: Session, plan: SuitePlan) -> list[PlannedTest]:
        """The tests, as a prepared guest of the first variant knows them."""
        raise InfrastructureError(f"the suite {self.name} has neither tests() nor ask()")

    def disks(self, lab: Workbench, plan: SuitePlan) -> Sequence[Path]:
        """Read-only disks of the guests, the first of them as /dev/vdb; made if missing."""
        return ()

    def prepare(self, session: Session, lab: Workbench, plan: SuitePlan) -> None:
        """Bring a guest that has just booted to where the tests can run."""
        return

    def judge(self, outcome: Outcome) -> Judgement:
        """What a test's end means by the suite's own conventions.

        Whether the kernel lived, complained or was tainted is looked after elsewhere. The
        usual: exit code 0 passes, 77 skips, any other fails; the reason is ``reason`` or
        else ``verdict`` of the last line that is a JSON object, or else the last line.
        """
        return judge(outcome)

    def steps(self, verdict: Verdict, log: str) -> Steps:
        """The steps that a bad verdict's test played, for ``harness reproduce --shrink``.

        ``log`` is its output. Raises :class:`UserError` where there are none to leave out.
        """
        raise UserError(
            f"a test of the suite {self.name} is no sequence of steps that could be left out",
            hint="--shrink is for the suite model",
        )
