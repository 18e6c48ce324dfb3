"""Runs tests in a guest one after the other, and goes on after whatever they do to it."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.deadline import Deadline
from harness.core.errors import GuestCrash, HarnessError, InfrastructureError, TooSlow
from harness.dumps.keeping import DumpKeeper
from harness.machine import bootrecords
from harness.records.events import Event
from harness.records.plans import PlannedTest
from harness.records.verdicts import Verdict
from harness.suites.execute import diagnose, execute
from harness.suites.health import Health, probe
from harness.suites.judgement import Judgement
from harness.suites.suite import Suite
from harness.suites.testboots import TestBoot

if TYPE_CHECKING:
    from harness.machine.session import Session

SETTLE_S = 3.0
QUIET_KINDS = frozenset({"oom"})  # a memory cgroup test provokes these; it judges them itself
AT_BOOT = PlannedTest(name="boot", command="true", seconds=5.0)
AT_POWER_OFF = PlannedTest(name="power-off", command="kill -USR1 1", seconds=5.0)
TRIES = 2  # boots in a row that may fail or crash before the variant is given up


class TestQueue:
    """The tests that are still to run; several guests may take from it."""

    __test__ = False  # pytest must not collect it

    def __init__(self, tests: Iterable[PlannedTest]) -> None:
        self._tests, self._lock = deque(tests), threading.Lock()

    def take(self) -> PlannedTest | None:
        """The next test, or None when all are taken."""
        with self._lock:
            return self._tests.popleft() if self._tests else None

    def drop_skipped(self) -> list[PlannedTest]:
        """Take out the tests that are not to be run."""
        with self._lock:
            skipped = [test for test in self._tests if test.skip]
            self._tests = deque(test for test in self._tests if not test.skip)
        return skipped

    def __bool__(self) -> bool:
        return bool(self._tests)


class SuiteRunner:
    """Runs a suite on one variant. ``boot`` gives a boot that is not started yet.

    ``prepare`` brings a guest that has booted to where tests can run. Outputs of tests are kept
    below ``logs``. ``examine`` gets the guest that a test crashed or hung, before it is ended;
    ``keeper`` dumps its memory first.
    """

    def __init__(
        self, suite: Suite, variant: str, boot: Callable[[], TestBoot], logs: Path,
        *, prepare: Callable[[Session], None], attempt: int = 0,
        examine: Callable[[Session], None] | None = None, keeper: DumpKeeper | None = None,
    ) -> None:
        self.suite, self.variant, self.attempt = suite, variant, attempt
        self._boot, self._logs, self._examine = boot, logs, examine
        self._prepare, self._keeper = prepare, keeper

    def run(self, queue: TestQueue) -> Iterator[Verdict]:
        """A verdict per test, in order; the guest is booted anew after a test that harmed it.

        A kernel that dies at boot is a verdict ``crash`` of a test ``boot``; when it does so twice
        in a row, what is left in the queue stays there. Raises :class:`InfrastructureError` when
        a fresh guest does not come up for another reason.
        """
        for test in queue.drop_skipped():
            yield self._verdict(test, Judgement("skip", test.skip))
        crashes = 0
        while queue and crashes < TRIES:
            boot = self._boot()
            try:
                with boot.kept():
                    state = self._up(boot)
                    crashes = 0
                    yield from self._in_guest(boot, state, queue)
            except _DeadAtBoot as dead:
                crashes += 1
                yield self._verdict(
                    AT_BOOT, Judgement("crash", dead.message), boot.session.events,
                    boot=boot.number, dump=dead.dump,
                )
            except _NotUp as error:
                crashes += 1
                if crashes == TRIES or boot.session.false_starts:  # it was tried again already
                    raise error.cause from None

    def _up(self, boot: TestBoot) -> Health:
        """Boot and prepare; raises what tells a boot's end from a test's."""
        try:
            boot.session.boot()
            boot.state = bootrecords.describe(boot.session)
            self._prepare(boot.session)
            return probe(boot.session)
        except GuestCrash as error:
            dump = self._dumped(boot.session, boot.number, AT_BOOT, "crash")
            raise _DeadAtBoot(error, dump) from error
        except InfrastructureError as error:
            raise _NotUp(error) from error

    def _in_guest(self, boot: TestBoot, state: Health, queue: TestQueue) -> Iterator[Verdict]:
        """The verdicts of the tests that one guest takes until it is no longer fit."""
        session = boot.session
        yield from self._complaints(session, 0, AT_BOOT, boot.number)
        fit = True
        while fit and (test := queue.take()) is not None:
            boot.doing = test.name
            verdict, after = self._one(session, test, boot.number, state)
            fit = after is not None and not verdict.events
            yield verdict
        if fit:
            boot.doing = AT_POWER_OFF.name
            yield from self._last_words(session, boot.number)

    def _one(
        self, session: Session, test: PlannedTest, boot: int, before: Health
    ) -> tuple[Verdict, Health | None]:
        """The verdict, and the guest's state; None when it must not run another test."""
        seen, start = len(session.events), time.monotonic()
        log = self._logs / f"{boot:02d}-{safe(test.name)}-{test.seed}.{self.attempt}.log"
        found, state = self._try(session, test, log, before)
        dump = self._dumped(session, boot, test, found.word)
        if self._examine and found.word in ("crash", "hang"):
            self._examine(session)
        events = [e for e in session.events[seen:] if e.kind not in QUIET_KINDS]
        if found.word in ("pass", "skip") and events:
            found = Judgement(
                "fail", f"the kernel complained: {events[0].title}", found.output, found.parts
            )
        seconds = time.monotonic() - start
        verdict = self._verdict(
            test, found, events, boot=boot, log=log, seconds=seconds, dump=dump
        )
        return verdict, state

    def _dumped(self, session: Session, boot: int, test: PlannedTest, word: str) -> str:
        """The place of a dump of the guest, if it is to be dumped and can be."""
        if self._keeper is None or word not in ("crash", "hang"):
            return ""
        fatal = [event for event in session.events if event.fatal]
        title = fatal[-1].title if fatal else "the guest does not answer"
        name = f"{boot:02d}-{self.variant}-{safe(test.name)}"
        return self._keeper.take(session, name, "\n".join(one.text for one in fatal), title)

    def _try(
        self, session: Session, test: PlannedTest, log: Path, before: Health
    ) -> tuple[Judgement, Health | None]:
        deadline = Deadline(test.fixed + session.scaled(test.seconds))
        try:
            outcome = execute(session, test.name, test.command, deadline, log)
            session.check()
            found = self.suite.judge(outcome)
        except GuestCrash as error:
            return Judgement("crash", error.message), None
        except TooSlow:
            return diagnose(session, deadline.seconds, log), None
        except InfrastructureError as error:
            return Judgement("lost", error.message), None
        try:
            state = self._settled(session, before)
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
        if taint := state.taint_words(before):
            trouble = f"the kernel is tainted: {taint}"
        elif self.suite.leaks and (gained := state.leaked(before)):
            trouble = f"the guest has {gained} more page tables than before"
        if trouble and found.word in ("pass", "skip"):
            found = Judgement("fail", trouble, found.output, found.parts)
        return found, None if trouble or state.unfit(before) else state

    def _settled(self, session: Session, before: Health) -> Health:
        """The guest's state, once page tables of the dying are gone where that matters."""
        deadline = Deadline(session.scaled(SETTLE_S))
        state = probe(session)
        while self.suite.leaks and state.leaked(before) and not deadline.expired:
            time.sleep(0.2)
            state = probe(session)
        return state

    def _verdict(
        self, test: PlannedTest, found: Judgement, events: Iterable[Event] = (), *, boot: int = 0,
        log: Path | None = None, seconds: float = 0.0, dump: str = "",
    ) -> Verdict:
        return Verdict(
            suite=self.suite.name, test=test.name, variant=self.variant, verdict=found.word,
            reason=found.reason, seed=test.seed, seconds=round(seconds, 1), output=found.output,
            parts=found.parts, events=list(events), boot=boot, attempt=self.attempt,
            command=test.command, limits=(test.seconds, test.fixed),
            log=f"{self._logs.name}/{log.name}" if log and log.exists() else "", dump=dump,
        )

    def _last_words(self, session: Session, boot: int) -> Iterator[Verdict]:
        """Power off in good order: dying address spaces report leaked tables."""
        seen = len(session.events)
        with contextlib.suppress(HarnessError):
            session.power_off()
        yield from self._complaints(session, seen, AT_POWER_OFF, boot)

    def _complaints(
        self, session: Session, seen: int, when: PlannedTest, boot: int
    ) -> Iterator[Verdict]:
        """A verdict of its own when the kernel complained outside of any test.

        Many warnings are printed once per boot: one that came before the tests
        would be silent in all of them.
        """
        events = [e for e in session.events[seen:] if e.kind not in QUIET_KINDS]
        if events:
            found = Judgement("fail", f"the kernel complained: {events[0].title}")
            yield self._verdict(when, found, events, boot=boot)


class _DeadAtBoot(GuestCrash):
    """The kernel died before any test ran; ``dump`` is where its memory was put."""

    def __init__(self, cause: GuestCrash, dump: str) -> None:
        super().__init__(cause.message, kind=cause.kind, oops=cause.oops, log=cause.log)
        self.dump = dump


class _NotUp(Exception):
    """A guest did not come up, for another reason than its kernel's death."""

    def __init__(self, cause: InfrastructureError) -> None:
        super().__init__(cause.message)
        self.cause = cause


def safe(name: str) -> str:
    """A test's name as part of a file name."""
    return re.sub(r"[^\w.+-]+", "_", name)[:60]
