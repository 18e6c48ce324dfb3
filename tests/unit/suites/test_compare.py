"""What counts as a difference between two variants."""

from __future__ import annotations

import pytest

from harness.records.verdicts import Verdict, Word
from harness.suites.compare import Difference, compare, to_confirm

LETTERS: dict[str, Word] = {
    "p": "pass", "f": "fail", "s": "skip", "c": "crash", "n": "not run", "t": "timeout",
    "b": "broken",
}


def verdicts(before: str, after: str, parts: tuple[str, str] = ("", "")) -> list[Verdict]:
    """One letter per attempt; ``parts``: the same for one sub-test, in every attempt."""
    return [
        Verdict(
            suite="s", test="t", variant=variant, verdict=LETTERS[letter], attempt=attempt,
            reason="why", parts={"part": LETTERS[part]} if part else {},
        )
        for variant, letters, part in (("a", before, parts[0]), ("b", after, parts[1]))
        for attempt, letter in enumerate(letters)
    ]


def difference(before: str, after: str, parts: tuple[str, str] = ("", "")) -> Difference:
    (found,) = compare(verdicts(before, after, parts), "a", "b")
    return found


@pytest.mark.parametrize(("before", "after", "kind"), [
    ("pppp", "ffff", "regression"),
    ("pppp", "fttb", "regression"),
    ("pppp", "fpff", "flaky"),
    ("ppfp", "ffff", "flaky"),
    ("ffff", "pppp", "fixed"),
    ("p", "p", "same"),
    ("f", "f", "same"),
    ("s", "s", "same"),
    ("p", "s", "incomparable"),
    ("s", "f", "incomparable"),
    ("p", "n", "incomparable"),
    ("n", "n", "incomparable"),
    ("p", "", "incomparable"),
    ("pppp", "cppp", "crash"),
    ("c", "c", "crash"),
])
def test_classes(before: str, after: str, kind: str) -> None:
    assert difference(before, after).kind == kind


def test_confirmation_needs_three_repetitions_on_both_sides() -> None:
    assert not difference("p", "f").confirmed
    assert not difference("pppp", "fff").confirmed
    assert difference("pppp", "ffff").confirmed


def test_two_failures_can_hide_a_regression_of_a_part() -> None:
    found = difference("ffff", "ffff", ("p", "f"))
    assert (found.kind, found.parts) == ("regression", ("part",))
    assert difference("ffff", "ffff", ("f", "f")).kind == "same"
    assert difference("ffff", "ffff", ("f", "p")).kind == "same"


def test_what_was_not_compared_says_why() -> None:
    assert difference("p", "s").reason == "skip after: why"
    assert difference("", "p").reason == "not run before: "


def test_only_changes_are_confirmed() -> None:
    assert to_confirm(verdicts("p", "f"), "a", "b") == [("t", 0)]
    assert to_confirm(verdicts("f", "p"), "a", "b") == [("t", 0)]
    assert to_confirm(verdicts("f", "f"), "a", "b") == []
    assert to_confirm(verdicts("p", "s"), "a", "b") == []
