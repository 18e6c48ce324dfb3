"""The search by halves: few builds, skips, an end that is no surprise."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measure import bisection
from harness.records.bisections import Bisection, Tried


def search_among(count: int) -> Bisection:
    """A search for one of ``count`` commits after a good one."""
    return Bisection(
        tree="linux", commits=[f"{at:040x}" for at in range(count + 1)], metric="cost",
        resolution_pct=0.1,
    )


def run(count: int, culprit: int, broken: frozenset[int] = frozenset()) -> Bisection:
    """Search to the end; commits from ``culprit`` on are bad, ``broken`` ones do not build."""
    search = search_among(count)
    while (at := bisection.next_commit(search)) is not None:
        state: Literal["skipped", "bad", "good"]
        state = "skipped" if at in broken else "bad" if at >= culprit else "good"
        search.tried.append(Tried(index=at, commit=search.commits[at], state=state))
        assert len(search.tried) <= count + 2
    return search


@pytest.mark.parametrize("culprit", range(1, 17))
def test_one_of_sixteen_is_found_in_five_builds(culprit: int) -> None:
    search = run(16, culprit)
    assert bisection.culprits(search) == [culprit]
    # The bad commit itself is built only to be found guilty.
    assert len(search.tried) <= 5 + (culprit == 16)


@given(st.integers(1, 60), st.data())
def test_the_culprit_is_always_among_those_named(count: int, data: st.DataObject) -> None:
    culprit = data.draw(st.integers(1, count))
    broken = data.draw(st.frozensets(st.integers(1, max(1, count - 1))))
    search = run(count, culprit, broken - {count})
    found = bisection.culprits(search)
    assert culprit in found
    # Whatever stands before the culprit could not be tried.
    assert all(at in broken for at in found[:-1])


def test_a_bad_commit_that_is_good_is_said_to_be() -> None:
    search = run(8, 99)
    assert bisection.culprits(search) == []
    assert bisection.next_commit(search) is None


def test_a_value_has_moved_beyond_the_resolution_only() -> None:
    search = search_among(4)
    search.tried.append(Tried(index=0, commit="0", state="good", value=1000.0))
    assert not bisection.is_moved(search, 1000.9)
    assert bisection.is_moved(search, 1001.1)
    assert bisection.is_moved(search, 998.0)


def test_how_many_builds_are_left_is_known_beforehand() -> None:
    search = search_among(16)
    assert bisection.builds_left(search) == 5
