"""Which tests a user means."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from harness.core.errors import UserError
from harness.project.config import nearest
from harness.records.plans import PlannedTest


def choose(tests: Sequence[PlannedTest], only: Sequence[str]) -> list[PlannedTest]:
    """The tests that ``only`` names, in their order; all of them when it is empty.

    A word behind an exclamation mark takes tests out, of all when no other word is there.

    Raises :class:`UserError` for a word that names none.
    """
    wanted = [word for word in only if not word.startswith("!")]
    taken_out = _named(tests, [word[1:] for word in only if word.startswith("!")])
    found = _named(tests, wanted) if wanted else {test.name for test in tests}
    chosen = [test for test in tests if test.name in found - taken_out]
    if tests and not chosen:
        raise UserError("no test is left to run", hint="take out fewer")
    return chosen


def _named(tests: Sequence[PlannedTest], words: Sequence[str]) -> set[str]:
    """The names of the tests that any of the words means."""
    found: set[str] = set()
    for word in words:
        match = [
            test for test in tests
            if word in (test.name, test.name.split()[0]) or fnmatch.fnmatch(test.name, word)
        ]
        if not match:
            raise UserError(
                f"no test is called '{word}'", hint=nearest(word, {t.name for t in tests})
            )
        found.update(test.name for test in match)
    return found
