"""A guest that only pretends: it answers commands from a script."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.core.errors import InfrastructureError
from harness.machine.session import Result
from harness.records.events import Event
from harness.records.old_verdicts import Verdict
from harness.suites.health import PROBE
from harness.suites.judgement import judge
from harness.suites.suite import Queue, Suite, SuiteRunner, TestCase

HEALTHY = "0 100 1 Avail 900000 900000"


class FakeProcess:
    """Ends at once with the scripted code and text."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text

    def close_input(self) -> None: ...

    def chunks(self, deadline: object) -> Iterator[tuple[bytes, bytes]]:
        yield self.text.encode(), b""

    def wait(self, deadline: object) -> int:
        return self.code


class FakeGuest:
    """``answers``: test -> (code, output), an exception to raise, or an event to show.

    ``states``: test -> what the probe says after it, in health.PROBE's words.
    """

    def __init__(self, answers: dict[str, Any], states: dict[str, str], answers_late: bool) -> None:
        self.answers, self.states, self.answers_late = answers, states, answers_late
        self.events: list[Event] = []
        self.false_starts: list[object] = []
        self.killed = False
        self.state = HEALTHY
        self.session = self

    def start(self, command: str) -> Any:
        name = command.rsplit("\n", 1)[1]
        self.state = self.states.get(name, HEALTHY)
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Event):
            self.events.append(answer)
            return FakeProcess(0, "")
        return FakeProcess(*answer)

    def run(self, command: str, *, seconds: float = 0, check: bool = True) -> Result:
        if command == PROBE:
            return Result(0, self.state, "")
        if not self.answers_late:
            raise InfrastructureError("no answer")
        return Result(0, "PID STAT", "")

    def scaled(self, seconds: float) -> float:
        return 0.0

    def check(self) -> None: ...
    def boot(self) -> None: ...
    def power_off(self) -> None: ...

    def kill(self) -> None:
        self.killed = True


def run_suite(
    answers: dict[str, Any], logs: Path, *, states: dict[str, str] | None = None,
    answers_late: bool = True, leaks: bool = True, at_boot: Event | None = None,
) -> list[Verdict]:
    """The verdicts of a suite whose tests are the keys of ``answers``."""
    guests: list[FakeGuest] = []

    def boot() -> tuple[int, Any]:
        guests.append(FakeGuest(answers, states or {}, answers_late))
        guests[-1].events += [at_boot] if at_boot else []
        return len(guests) - 1, guests[-1]

    suite = Suite("races", lambda guest: None, judge, leaks=leaks)
    runner = SuiteRunner(suite, "after", boot, logs)
    tests = [TestCase(name, name, 0.0, fixed=60.0) for name in answers]
    found = list(runner.run(Queue(tests)))
    assert all(guest.killed for guest in guests)
    return found


