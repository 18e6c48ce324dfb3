"""Which tests a user means."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from harness.core.config import nearest
from harness.core.errors import UserError
from harness.stability.suite import TestCase


def choose(tests: Sequence[TestCase], only: Sequence[str]) -> list[TestCase]:
    """The tests that ``only`` names, in their order; all of them when it is empty.

    Raises :class:`UserError` for a word that names none.
    """
    found: set[str] = set()
    for word in only:
        match = [
            test for test in tests
            if word in (test.name, test.name.split()[0]) or fnmatch.fnmatch(test.name, word)
        ]
        if not match:
            raise UserError(
                f"no test is called '{word}'", hint=nearest(word, {t.name for t in tests})
            )
        found.update(test.name for test in match)
    return [test for test in tests if not only or test.name in found]
