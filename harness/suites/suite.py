"""Runs tests in a guest one after the other, and goes on after whatever they do to it."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.core.deadline import Deadline
from harness.core.errors import GuestCrash, HarnessError, InfrastructureError, TooSlow
from harness.machine.guest import Guest
from harness.records.events import Event
from harness.records.old_verdicts import Verdict
from harness.suites.execute import diagnose, execute
from harness.suites.health import Health, probe
from harness.suites.judgement import Judgement, Outcome, judge

LEAK_SLACK = 16  # page tables that sshd and other bystanders may gain meanwhile
SETTLE_S = 3.0
QUIET_KINDS = frozenset({"oom"})  # a memory cgroup test provokes these; it judges them itself


@dataclass(frozen=True)
class TestCase:
    """One test: a command in the guest and how long it may take.

    ``seconds`` are stretched by accel and kernel, ``fixed`` ones (a duration that the
    test was told) are not.
    """

    __test__ = False  # pytest must not collect it

    name: str
    command: str
    seconds: float
    seed: int = 0
    fixed: float = 0.0
    skip: str = ""
    """Why it is not to be run at all."""


@dataclass(frozen=True)
class Suite:
    """What makes a suite: how a guest is prepared for it and how its tests are judged."""

    name: str
    prepare: Callable[[Guest], None]
    judge: Callable[[Outcome], Judgement] = judge
    leaks: bool = False
    """Whether a test must give back every page table."""


class Queue:
    """The tests that are still to run; several guests may take from it."""

    def __init__(self, tests: Iterable[TestCase]) -> None:
        self._tests, self._lock = deque(tests), threading.Lock()

    def take(self) -> TestCase | None:
        """The next test, or None when all are taken."""
        with self._lock:
            return self._tests.popleft() if self._tests else None

    def drop_skipped(self) -> list[TestCase]:
        """Take out the tests that are not to be run."""
        with self._lock:
            skipped = [test for test in self._tests if test.skip]
            self._tests = deque(test for test in self._tests if not test.skip)
        return skipped

    def __bool__(self) -> bool:
        return bool(self._tests)


class SuiteRunner:
    """Runs a suite on one variant. ``boot`` gives a guest that is not started yet.

    Outputs of tests are kept below ``logs``. ``examine`` gets the guest that a test
    crashed or hung, before it is ended.
    """

    def __init__(
        self, suite: Suite, variant: str, boot: Callable[[], tuple[int, Guest]], logs: Path,
        attempt: int = 0, *, examine: Callable[[Guest], None] | None = None,
    ) -> None:
        self.suite, self.variant, self.attempt = suite, variant, attempt
        self._boot, self._logs, self._examine = boot, logs, examine

    def run(self, queue: Queue) -> Iterator[Verdict]:
        """A verdict per test, in order; the guest is booted anew after a test that harmed it.

        Raises :class:`InfrastructureError` when a fresh guest does not come up.
        """
        yield from (
            self._verdict(test, Judgement("skip", test.skip), [], boot=0, log=self._logs / "none",
                          start=time.monotonic())
            for test in queue.drop_skipped()
        )
        while queue:
            with contextlib.ExitStack() as stack:
                number, guest = self._up(stack)
                yield from self._complaints(guest, 0, TestCase("boot", "true", 5.0), number)
                state = probe(guest)
                fit = True
                while fit and (test := queue.take()) is not None:
                    verdict, after = self._one(guest, test, number, state)
                    fit = after is not None and not verdict.splats
                    yield verdict
                if fit:
                    yield from self._last_words(guest, number)

    def _up(self, stack: contextlib.ExitStack) -> tuple[int, Guest]:
        """A prepared guest that ends with ``stack``; a boot that fails is tried once more."""
        for last in (False, True):
            number, guest = self._boot()
            stack.callback(guest.kill)
            try:
                guest.boot()
                self.suite.prepare(guest)
            except InfrastructureError:
                guest.kill()
                if last or guest.false_starts:  # it was tried again already
                    raise
            else:
                return number, guest
        raise AssertionError("not reached")

    def _one(
        self, guest: Guest, test: TestCase, boot: int, before: Health
    ) -> tuple[Verdict, Health | None]:
        """The verdict, and the guest's state; None when it must not run another test."""
        seen, start = len(guest.events), time.monotonic()
        log = self._logs / f"{boot:02d}-{safe(test.name)}-{test.seed}.{self.attempt}.log"
        found, state = self._try(guest, test, log, before)
        if self._examine and found.word in ("crash", "hang"):
            self._examine(guest)
        splats = [e for e in guest.events[seen:] if e.kind not in QUIET_KINDS]
        if found.word in ("pass", "skip") and splats:
            found = Judgement(
                "fail", f"the kernel complained: {splats[0].title}", found.output, found.parts
            )
        return self._verdict(test, found, splats, boot=boot, log=log, start=start), state

    def _try(
        self, guest: Guest, test: TestCase, log: Path, before: Health
    ) -> tuple[Judgement, Health | None]:
        deadline = Deadline(test.fixed + guest.scaled(test.seconds))
        try:
            outcome = execute(guest, test.name, test.command, deadline, log)
            guest.check()
            found = self.suite.judge(outcome)
        except GuestCrash as error:
            return Judgement("crash", error.message), None
        except TooSlow:
            return diagnose(guest, deadline.seconds, log), None
        except InfrastructureError as error:
            return Judgement("lost", error.message), None
        try:
            state = self._settled(guest, before)
        except GuestCrash as error:
            return Judgement("crash", error.message), None
        except InfrastructureError as error:
            return Judgement("hang", f"afterwards {error.message}"), None
        return self._look(found, state, before)

    def _look(
        self, found: Judgement, state: Health, before: Health
    ) -> tuple[Judgement, Health | None]:
        """What the test left behind may spoil a pass, and may end the guest's use."""
        trouble = ""
        gained = state.page_tables - before.page_tables
        if taint := state.taint_words(before):
            trouble = f"the kernel is tainted: {taint}"
        elif self.suite.leaks and gained > LEAK_SLACK:
            trouble = f"the guest has {gained} more page tables than before"
        if trouble and found.word in ("pass", "skip"):
            found = Judgement("fail", trouble, found.output, found.parts)
        return found, None if trouble or state.unfit(before) else state

    def _settled(self, guest: Guest, before: Health) -> Health:
        """The guest's state, once page tables of the dying are gone where that matters."""
        deadline = Deadline(guest.scaled(SETTLE_S))
        state = probe(guest)
        while (
            self.suite.leaks and state.page_tables - before.page_tables > LEAK_SLACK
            and not deadline.expired
        ):
            time.sleep(0.2)
            state = probe(guest)
        return state

    def _verdict(
        self, test: TestCase, found: Judgement, splats: list[Event], *, boot: int, log: Path,
        start: float,
    ) -> Verdict:
        return Verdict(
            suite=self.suite.name, test=test.name, variant=self.variant, verdict=found.word,
            reason=found.reason, seed=test.seed, seconds=round(time.monotonic() - start, 1),
            output=found.output, parts=found.parts, splats=[e.text for e in splats],
            kinds=[e.kind for e in splats], boot=boot, attempt=self.attempt,
            command=test.command, limits=(test.seconds, test.fixed),
            log=f"{self._logs.name}/{log.name}" if log.exists() else "",
        )

    def _last_words(self, guest: Guest, boot: int) -> Iterator[Verdict]:
        """Power off in good order: dying address spaces report leaked tables."""
        seen = len(guest.events)
        with contextlib.suppress(HarnessError):
            guest.power_off()
        yield from self._complaints(guest, seen, TestCase("power-off", "kill -USR1 1", 5.0), boot)

    def _complaints(
        self, guest: Guest, seen: int, when: TestCase, boot: int
    ) -> Iterator[Verdict]:
        """A verdict of its own when the kernel complained outside of any test.

        Many warnings are printed once per boot: one that came before the tests
        would be silent in all of them.
        """
        splats = [e for e in guest.events[seen:] if e.kind not in QUIET_KINDS]
        if splats:
            found = Judgement("fail", f"the kernel complained: {splats[0].title}")
            yield self._verdict(
                when, found, splats, boot=boot, log=self._logs / "none", start=time.monotonic()
            )


def safe(name: str) -> str:
    """A test's name as part of a file name."""
    return re.sub(r"[^\w.+-]+", "_", name)[:60]
