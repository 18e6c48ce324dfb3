"""The fuzzer with a model, guest/model.c: random steps, and what must be true after each."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

from harness.core.errors import UserError
from harness.image.programs import GUEST_DIR
from harness.records.plans import PlannedTest, SuitePlan
from harness.records.verdicts import Verdict
from harness.suites.choose import choose
from harness.suites.races import push
from harness.suites.steps import Steps
from harness.suites.suite import Option, Suite
from harness.suites.workbench import Workbench

if TYPE_CHECKING:
    from harness.machine.session import Session

PROGRAM = "model"
ALONE, TOGETHER = "one-thread", "threads"
THREADS = 3
LENGTH = 400  # steps of a sequence
APART = 10_000  # seeds between those of two tests, more than a test plays
TURN_S = 60.0  # of one test: a guest that a test harmed is not lost for long
_FIXED = ("--seed", "--steps", "--seconds", "--threads")  # what a single sequence has of its own
_SEQUENCE = re.compile(r'^\{"sequence":(\d+)\}$', re.MULTILINE)


class ModelSuite(Suite):
    """Random sequences of memory system calls, each step held against a model of the memory.

    A sequence of one thread repeats exactly; one that fails can be shortened
    (``harness reproduce ID --shrink``).
    """

    name = "model"
    title = "random memory system calls, every byte and page table held against a model"
    takes: frozenset[Option] = frozenset({"minutes", "seed", "threads"})
    leaks = True

    def tests(self, lab: Workbench, plan: SuitePlan) -> list[PlannedTest]:
        """Turns of one thread and of several, each with seeds of its own, that fill the time."""
        turns = max(1, round(plan.seconds / (2 * TURN_S)))
        each = max(1, round(plan.seconds / (2 * turns)))
        return choose([
            PlannedTest(
                name=name, seed=plan.seed + turn, seconds=60.0, fixed=4.0 * each + 120.0,
                command=f"{GUEST_DIR}/{PROGRAM} --seed {(plan.seed + turn) * APART} --system "
                f"--steps {LENGTH} --seconds {each} --threads {threads}",
            )
            for turn in range(turns)
            for name, threads in ((ALONE, 1), (TOGETHER, plan.threads or THREADS))
        ], plan.wanted)

    def prepare(self, session: Session, lab: Workbench, plan: SuitePlan) -> None:
        """Push the program."""
        push(session, lab.programs(), plan.tests)

    def steps(self, verdict: Verdict, log: str) -> Steps:
        """The sequence that failed: as the program said at its end, or the last that it began."""
        words = shlex.split(verdict.command)
        options = dict(pairwise(words))
        if options.get("--threads", "1") != "1":
            raise UserError(
                "a sequence that several threads played is another each time",
                hint="only the tests called one-thread can be shortened",
            )
        began = _SEQUENCE.findall(log)
        if not began:
            raise UserError(f"the log of {verdict.ident} names no sequence that was begun")
        said = verdict.output
        sequence = said.get("failed_sequence") or began[-1]
        # Of a kernel that died nothing is known but the sequence.
        last = said.get("failed_step") or options["--steps"]
        count = int(str(last))
        rest = [
            word for before, word in pairwise(words) if before not in _FIXED and word not in _FIXED
        ]
        what = ("--seed", str(sequence), "--steps", str(count), *rest)
        kernel = "frees" if said.get("frees") else "keeps"
        return Steps(
            count=count, play=shlex.join([words[0], *what]), emit=(*what, "--emit-c", kernel),
            program=PROGRAM,
        )
