"""Verdicts of tests in a guest, with a guest that only pretends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import GuestCrash, InfrastructureError, UserError
from harness.machine.oops import Event
from harness.machine.ssh import Result
from harness.stability import races
from harness.stability.record import StabilityRun, Verdict, VerdictWriter, load_verdicts
from harness.stability.suite import SuiteRunner, TestCase, judge, last_json


class FakeGuest:
    """Answers commands from a script; an exception in it is raised."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers, self.events, self.killed = answers, [], False
        self.session = self

    def run(self, command: str, deadline: object = None, *, check: bool = True) -> Result:
        if "nr_page_table_pages" in command:
            return Result(0, "nr_page_table_pages 100\n", "")
        answer = self.answers[command]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Event):
            self.events.append(answer)
            return Result(0, "", "")
        return Result(*answer)

    def scaled(self, seconds: float) -> float:
        return 0.0

    def check(self) -> None: ...
    def start(self) -> None: ...
    def wait_ready(self) -> None: ...
    def connect(self) -> None: ...
    def power_off(self) -> None: ...

    def kill(self) -> None:
        self.killed = True


def run(answers: dict[str, Any]) -> list[Verdict]:
    guests: list[FakeGuest] = []

    def boot(number: int) -> Any:
        guests.append(FakeGuest(answers))
        return guests[-1]

    runner = SuiteRunner("races", "after", boot, lambda guest: None)
    found = list(runner.run([TestCase(name, name, 1.0) for name in answers]))
    assert all(guest.killed for guest in guests)
    return found


def test_the_rest_goes_on_after_a_crash() -> None:
    found = run({
        "good": (0, '{"verdict":"pass"}', ""),
        "panics": GuestCrash("the guest's kernel crashed: BUG", kind="oops"),
        "behind": (1, '{"reason":"stale byte"}', ""),
        "hangs": InfrastructureError("`x` was not done"),
        "skips": (77, '{"reason":"no swap"}', ""),
    })
    assert [(v.test, v.verdict) for v in found] == [
        ("good", "pass"), ("panics", "crash"), ("behind", "fail"), ("hangs", "hang"),
        ("skips", "skip"),
    ]
    assert [v.boot for v in found] == [0, 0, 1, 1, 2]
    assert found[2].reason == "stale byte" and found[4].reason == "no swap"


def test_a_complaining_kernel_fails_the_test() -> None:
    found = run({"noisy": Event("lockdep", False, ["WARNING: possible circular locking"])})
    assert found[0].verdict == "fail" and "circular locking" in found[0].reason
    assert found[0].splats


def test_exit_codes() -> None:
    assert judge(0, {}, "") == ("pass", "")
    assert judge(77, {}, "no root") == ("skip", "no root")
    assert judge(2, {}, "") == ("fail", "exit code 2")
    assert judge(1, {"reason": "lost"}, "noise") == ("fail", "lost")


def test_last_json_line_counts() -> None:
    assert last_json('x\n{"a":1}\n[1]\nnoise\n') == {"a": 1}
    assert last_json("") == {}


def test_rounds_fill_the_time_with_new_seeds(tmp_path: Path) -> None:
    for name in ("race-a", "race-b", "vmpte"):
        (tmp_path / name).touch()
    tests = races.plan(tmp_path, only=[], seed=5, seconds=60)
    assert [t.name for t in tests] == ["race-a", "race-b"] * 3
    assert [t.seed for t in tests] == [5, 5, 6, 6, 7, 7]
    with pytest.raises(UserError, match="did you mean 'race-a'"):
        races.plan(tmp_path, only=["race-aa"], seed=1, seconds=60)


def test_verdicts_survive_a_torn_line(tmp_path: Path) -> None:
    writer = VerdictWriter(tmp_path / "run", StabilityRun(started=""))
    writer.add(Verdict(suite="s", test="t", variant="v", verdict="pass"))
    with (tmp_path / "run/verdicts.jsonl").open("a") as stream:
        stream.write('{"suite": "s"')
    assert [v.test for v in load_verdicts(tmp_path / "run")] == ["t"]
