"""Which commit to try next, and what has been found, in a search by halves.

The good commit is tried first, the bad one only when everything else is good: whoever gives it
has seen that it is bad, and one build is saved. A commit that cannot be built or booted is skipped
and its nearest neighbour tried, so that what is found may be a range.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.records.bisections import Bisection


@dataclass(frozen=True)
class Bounds:
    """``last_good`` < the culprit <= ``first_bad``, indices into the commits."""

    last_good: int
    first_bad: int


def bounds(search: Bisection) -> Bounds:
    """What is known so far; the commit given as bad is believed until it was tried."""
    tried = search.known()
    last = len(search.commits) - 1
    bad = min((at for at, one in tried.items() if one.state == "bad"), default=last)
    good = max((at for at, one in tried.items() if one.state == "good" and at < bad), default=0)
    return Bounds(good, bad)


def next_commit(search: Bisection) -> int | None:
    """The index to try next, or None when nothing more can be learnt."""
    tried, where = search.known(), bounds(search)
    if 0 not in tried:
        return 0
    open_ones = [at for at in range(where.last_good + 1, where.first_bad) if at not in tried]
    if open_ones:
        middle = (where.last_good + where.first_bad) / 2
        return min(open_ones, key=lambda at: (abs(at - middle), at))
    return None if where.first_bad in tried else where.first_bad


def is_moved(search: Bisection, value: float) -> bool:
    """Whether a value differs from the good commit's by more than the resolution."""
    first = search.known()[0].value
    if first is None:
        return False
    return abs(value - first) > abs(first) * search.resolution_pct / 100


def culprits(search: Bisection) -> list[int]:
    """The commits among which the first bad one is; one where nothing was skipped.

    Empty while the search goes on, and when the bad commit turned out to be good.
    """
    if next_commit(search) is not None:
        return []
    where = bounds(search)
    if search.known()[where.first_bad].state != "bad":
        return []
    return list(range(where.last_good + 1, where.first_bad + 1))


def builds_left(search: Bisection) -> int:
    """At most so many more commits are tried, when none is skipped."""
    where, tried = bounds(search), search.known()
    span = where.first_bad - where.last_good
    return (0 not in tried) + max(0, span - 1).bit_length()
