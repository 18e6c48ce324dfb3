"""Which tests --tests and the night's plan mean."""

from __future__ import annotations

import pytest

from harness.core.errors import UserError
from harness.records.plans import PlannedTest
from harness.suites.choose import choose

NAMES = ["mmap01", "mmap02", "oom01", "oom02", "userfaultfd anon 20 16"]
TESTS = [PlannedTest(name=name) for name in NAMES]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], NAMES),
        (["oom01", "mmap*"], ["mmap01", "mmap02", "oom01"]),
        (["userfaultfd"], ["userfaultfd anon 20 16"]),
        (["!oom*"], ["mmap01", "mmap02", "userfaultfd anon 20 16"]),
        (["*0*", "!mmap*", "!userfaultfd"], ["oom01", "oom02"]),
    ],
)
def test_words_choose_and_take_out(words: list[str], names: list[str]) -> None:
    assert [test.name for test in choose(TESTS, words)] == names


@pytest.mark.parametrize("word", ["mmap1", "!mmap1"])
def test_a_word_that_means_nothing_is_an_error(word: str) -> None:
    with pytest.raises(UserError, match="no test is called 'mmap1'; did you mean 'mmap01'"):
        choose(TESTS, [word])


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(UserError, match="no test is left"):
        choose(TESTS, ["oom*", "!oom0*"])
