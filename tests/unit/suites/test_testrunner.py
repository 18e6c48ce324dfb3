"""Verdicts of tests in a guest, with a guest that only pretends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.errors import GuestCrash, InfrastructureError, TooSlow, UserError
from harness.suites import races
from harness.suites.health import Health
from harness.suites.judgement import Outcome, judge, last_json
from tests.unit.suites.fakes import event, run_suite


def test_the_rest_goes_on_after_a_crash(tmp_path: Path) -> None:
    found = run_suite({
        "good": (0, '{"verdict":"pass"}'),
        "panics": GuestCrash("the guest's kernel crashed: BUG", kind="oops"),
        "behind": (1, '{"reason":"stale byte"}'),
        "gone": InfrastructureError("SSH to the guest was lost"),
        "skips": (77, '{"reason":"no swap"}'),
    }, tmp_path)
    assert [(v.test, v.verdict) for v in found] == [
        ("good", "pass"), ("panics", "crash"), ("behind", "fail"), ("gone", "lost"),
        ("skips", "skip"),
    ]
    assert [v.boot for v in found] == [0, 0, 1, 1, 2]
    assert found[2].reason == "stale byte" and found[4].reason == "no swap"
    assert found[1].events[0].kind == "oops"
    assert (tmp_path / found[2].log).read_text() == '{"reason":"stale byte"}'


@pytest.mark.parametrize(("answers_late", "word"), [(True, "timeout"), (False, "hang")])
def test_a_test_without_end(tmp_path: Path, answers_late: bool, word: str) -> None:
    found = run_suite(
        {"spins": TooSlow("not done"), "behind": (0, "")}, tmp_path, answers_late=answers_late,
    )
    assert [v.verdict for v in found] == [word, "pass"]
    assert [v.boot for v in found] == [0, 1]


def test_a_complaining_kernel_fails_the_test_and_gets_no_more(tmp_path: Path) -> None:
    found = run_suite({
        "noisy": event("lockdep", "WARNING: possible circular locking"),
        "behind": (0, ""),
    }, tmp_path)
    assert found[0].verdict == "fail" and "circular locking" in found[0].reason
    assert [e.kind for e in found[0].events] == ["lockdep"]
    assert [v.boot for v in found] == [0, 1]


def test_a_kernel_that_complained_at_boot_is_not_forgotten(tmp_path: Path) -> None:
    """A warning that is printed once per boot is silent in the tests that should provoke it."""
    words = "WARNING: CPU: 0 PID: 1 at mm/pte_ref.c:64"
    found = run_suite({"quiet": (0, "")}, tmp_path, at_boot=[event("warning", words)])
    assert [(v.test, v.verdict) for v in found] == [("boot", "fail"), ("quiet", "pass")]
    assert "mm/pte_ref.c:64" in found[0].reason


def test_a_kernel_that_dies_at_boot_is_a_verdict_and_is_tried_once_more(tmp_path: Path) -> None:
    dead = GuestCrash("the guest's kernel crashed: panic", kind="panic")
    found = run_suite({"good": (0, "")}, tmp_path, boots=[dead])
    assert [(v.test, v.verdict) for v in found] == [("boot", "crash"), ("good", "pass")]
    assert found[0].events[0].fatal
    found = run_suite({"good": (0, "")}, tmp_path, boots=[dead, dead, dead])
    assert [(v.test, v.verdict, v.boot) for v in found] == [
        ("boot", "crash", 0), ("boot", "crash", 1),
    ]


def test_a_guest_that_does_not_come_up_is_tried_once_more(tmp_path: Path) -> None:
    late = InfrastructureError("QEMU did not start")
    assert [v.verdict for v in run_suite({"good": (0, "")}, tmp_path, boots=[late])] == ["pass"]
    with pytest.raises(InfrastructureError, match="QEMU did not start"):
        run_suite({"good": (0, "")}, tmp_path, boots=[late, late])


@pytest.mark.parametrize(("state", "reason"), [
    ("6.1.192 512 100 1 Avail 900000 900000", "the kernel is tainted: warning"),
    ("6.1.192 0 200 1 Avail 900000 900000", "100 more page tables"),
])
def test_what_a_passing_test_leaves_behind(tmp_path: Path, state: str, reason: str) -> None:
    found = run_suite({"sly": (0, ""), "behind": (0, "")}, tmp_path, states={"sly": state})
    assert [v.verdict for v in found] == ["fail", "pass"]
    assert reason in found[0].reason and [v.boot for v in found] == [0, 1]


@pytest.mark.parametrize("state", [
    "6.1.192 0 100 0 Avail 900000 900000", "6.1.192 0 100 1 Avail 0 900000",
    "6.1.192 0 100 1 Avail 900000 12",
])
def test_an_unfit_guest_is_replaced(tmp_path: Path, state: str) -> None:
    found = run_suite({"hog": (0, ""), "behind": (0, "")}, tmp_path, states={"hog": state})
    assert [v.verdict for v in found] == ["pass", "pass"]
    assert [v.boot for v in found] == [0, 1]


def test_a_test_module_is_no_taint(tmp_path: Path) -> None:
    state = f"6.1.192 {1 << 18} 500 1 Avail 900000 900000"
    found = run_suite({"loads": (0, "")}, tmp_path, states={"loads": state}, leaks=False)
    assert [v.verdict for v in found] == ["pass"]


def test_exit_codes() -> None:
    def words(code: int, text: str) -> tuple[str, str]:
        found = judge(Outcome(code, text))
        return found.word, found.reason

    assert words(0, "") == ("pass", "")
    assert words(77, "no root\n") == ("skip", "no root")
    assert words(2, "") == ("fail", "exit code 2")
    assert words(1, 'noise\n{"reason": "lost"}\n') == ("fail", "lost")
    assert words(1, '{"verdict": "kept", "reason": ""}\n') == ("fail", "kept")


def test_last_json_line_counts() -> None:
    assert last_json('x\n{"a":1}\n[1]\nnoise\n') == {"a": 1}
    assert last_json("") == {}


def test_what_nests_in_a_tests_output_is_left_out() -> None:
    text = '{"reason": "x", "n": 1, "list": [1, "a"], "deep": {"a": 1}, "lists": [[1]], "no": null}'
    assert last_json(text) == {"reason": "x", "n": 1, "list": [1, "a"], "no": None}


def test_rounds_fill_the_time_with_new_seeds(tmp_path: Path) -> None:
    for name in ("race-a", "race-b", "vmpte"):
        (tmp_path / name).touch()
    names = races.find(tmp_path)
    tests = races.rounds(names, only=[], seed=5, seconds=60)
    assert [t.name for t in tests] == ["race-a", "race-b"] * 3
    assert [t.seed for t in tests] == [5, 5, 6, 6, 7, 7]
    assert tests[0].command == "/opt/harness/race-a --seed 5 --seconds 10"
    assert races.rounds(names, only=[], seed=5, seconds=60, threads=4)[0].command.endswith(
        "--threads 4")
    with pytest.raises(UserError, match="did you mean 'race-a'"):
        races.rounds(names, only=["race-aa"], seed=1, seconds=60)


@pytest.mark.parametrize(("release", "gained", "said"), [
    ("6.1.192", 16, 0), ("6.1.192", 17, 17), ("6.15.9", 17, 17), ("6.16.0", 17, 0),
    ("7.3.4", 80, 0), ("7.3.4", 81, 81), ("5.14.0-rc5-next-20210812", 17, 17),
])
def test_a_kernel_that_counts_its_own_tables_may_gain_more(
    release: str, gained: int, said: int
) -> None:
    before = Health(release, 0, 100, True, (900000, 900000))
    assert replace(before, page_tables=100 + gained).leaked(before) == said
