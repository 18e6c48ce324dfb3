"""The shortest sequence of steps that still fails, tried in guests, and as a C program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import EXIT_GUEST_CRASH, EXIT_OK, EXIT_REGRESSION, UserError
from harness.core.plurals import plural
from harness.core.proc import capture
from harness.records.plans import PlannedTest
from harness.records.verdicts import BAD, Verdict, Word
from harness.suites.reproduce import Again, Found
from harness.suites.steps import Steps, ranges, shorten
from harness.suites.testrunner import TestQueue
from harness.suites.workbench import Workbench

PROGRAM_FILE = "reproducer.c"
CONFIRMED_BY = 3  # plays of the shortest sequence at the end
UNSAID: frozenset[Word] = frozenset({"lost", "broken", "not run"})  # say nothing about the steps


@dataclass(frozen=True)
class Shrunk:
    """What the search gave. ``kept``: the steps that are left; empty when nothing failed."""

    steps: Steps
    kept: list[int]
    word: str
    reason: str
    tries: int
    failed: int
    """Of ``CONFIRMED_BY`` plays of the shortest."""
    program: Path | None
    directory: Path

    @property
    def exit_code(self) -> int:
        """4 it crashes a guest, 1 it fails, 0 it was not reproduced."""
        if not self.kept:
            return EXIT_OK
        return EXIT_GUEST_CRASH if self.word == "crash" else EXIT_REGRESSION

    def words(self) -> str:
        """For people, with the C program's own part."""
        if not self.kept:
            return (f"not reproduced: the sequence of {plural(self.steps.count, 'step')} passed "
                    f"({plural(self.tries, 'try', 'tries')}); record: {self.directory}")
        assert self.program is not None
        main = self.program.read_text().partition("int main(void)")
        return "\n".join([
            f"{len(self.kept)} of {plural(self.steps.count, 'step')} are left after "
            f"{plural(self.tries, 'try', 'tries')}: {ranges(self.kept)}",
            f"they ended with {self.word}: {self.reason}",
            f"played again {CONFIRMED_BY} times, they failed {self.failed} times",
            "", f"{main[1]}{main[2]}",
            f"as a C program of its own: {self.program}", f"record: {self.directory}",
        ])


class TrialQueue(TestQueue):
    """Tests that are made up as the search goes on: each depends on how the one before ended."""

    def __init__(self, steps: Steps, like: PlannedTest) -> None:
        super().__init__(())
        self._steps, self._like = steps, like
        self._search = shorten(range(1, steps.count + 1))
        self._next: list[int] | None = next(self._search)
        self._confirm = 0
        self.playing = ""
        """The name of the test that was taken last."""
        self.tries = 0
        self.shortest: list[int] = []
        """The shortest that has failed so far."""
        self.word, self.reason = "", ""
        """How it did."""
        self.failed = 0
        """How often it did so again when the search was over."""

    def take(self) -> PlannedTest | None:
        """The next part of the sequence to play; None at the end of the search."""
        if self._next is None:
            return None
        self.playing = f"{self._like.name}, try {self.tries + 1}"
        return self._like.model_copy(update={
            "name": self.playing, "command": self._steps.keep(self._next),
        })

    def drop_skipped(self) -> list[PlannedTest]:
        """None of them is to be skipped."""
        return []

    def __bool__(self) -> bool:
        return self._next is not None

    def tell(self, verdict: Verdict) -> None:
        """How the part that was taken last ended."""
        if self._next is None:
            return
        self.tries += 1
        bad = verdict.verdict in BAD - UNSAID and self.word in ("", verdict.verdict)
        if self._confirm:
            self.failed += bad
            self._confirm -= 1
            self._next = self._next if self._confirm else None
            return
        last = self._next[-1]
        if bad:
            said = verdict.output.get("failed_step")
            last = said if isinstance(said, int) and said in self._next else last
            self.word, self.reason = verdict.verdict, verdict.reason
            self.shortest = [step for step in self._next if step <= last]
        try:
            self._next = self._search.send(last if bad else None)
        except StopIteration as end:
            self.shortest = end.value
            self._confirm = CONFIRMED_BY if self.shortest else 0
            self._next = self.shortest or None


def shrink(
    lab: Workbench, found: Found, directory: Path, *, say: Callable[[str], None],
    variant: str | None = None, accel: str | None = None,
) -> Shrunk:
    """Play parts of a failed sequence until none can be left out, and print the rest as C.

    All tries are made in one guest, which is booted anew when one harmed it. ``say`` is told of
    each shorter sequence. What was found so far is kept when it is interrupted. Raises
    :class:`UserError` when the verdict is not bad or its test is no sequence of steps.
    """
    old = found.verdict
    if old.verdict not in BAD:
        raise UserError(
            f"{old.ident} ended with {old.verdict}", hint="only what failed can be shortened",
        )
    name = variant or old.variant
    log = (found.directory / old.log).read_text(errors="replace") if old.log else ""
    again = Again.begin(lab, found, directory, variant=name, accel=accel)
    steps = again.suite.steps(old, log)
    queue = TrialQueue(steps, again.plan.tests[0])
    crashed, program = False, None
    try:
        for verdict in again.runner(0).run(queue):
            again.writer.verdict(verdict)
            crashed |= verdict.verdict == "crash"
            if verdict.test != queue.playing:
                continue  # of a boot, or of power-off
            shortest = len(queue.shortest)
            queue.tell(verdict)
            if len(queue.shortest) != shortest:
                say(f"{queue.tries}: {plural(len(queue.shortest), 'step')}: {queue.reason}")
    finally:
        if queue.shortest:
            program = write_program(lab.programs(), steps, queue.shortest, directory)
        again.close(crashed=crashed)
    return Shrunk(
        steps, queue.shortest, queue.word, queue.reason, queue.tries, queue.failed, program,
        directory,
    )


def write_program(programs: Path, steps: Steps, kept: Sequence[int], directory: Path) -> Path:
    """Have the guest's program print the steps as C; it does not need a guest for that."""
    path = directory / PROGRAM_FILE
    path.write_text(capture([str(programs / steps.program), *steps.emit_words(kept)]))
    return path
