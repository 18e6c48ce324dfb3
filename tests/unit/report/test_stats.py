"""Statistics against scipy and hand-computed cases."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from harness.report.analysis import stats

values = st.lists(st.integers(1, 10**6).map(float), min_size=2, max_size=7)


@pytest.mark.parametrize("count, p", [(2, 1 / 3), (4, 2 / 70), (6, 2 / 924)])
def test_mann_whitney_of_separated_sides_is_the_hand_computed_value(count: int, p: float) -> None:
    low, high = list(range(count)), list(range(100, 100 + count))
    assert stats.mann_whitney(low, high) == pytest.approx(p)
    assert stats.smallest_p(count, count) == pytest.approx(p)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 10**9), min_size=4, max_size=10, unique=True), st.integers(1, 3))
def test_mann_whitney_without_ties_is_scipys_exact_one(numbers: list[int], cut: int) -> None:
    a, b = numbers[:cut], numbers[cut:]
    expected = scipy_stats.mannwhitneyu(a, b, method="exact").pvalue
    assert stats.mann_whitney(a, b) == pytest.approx(expected)


def brute_force(a: list[float], b: list[float]) -> float:
    """Two-sided p over all ways to choose the first side, by mid-ranks."""
    ranks = scipy_stats.rankdata([*a, *b])
    centre = ranks.sum() * len(a) / len(ranks)
    observed = abs(ranks[: len(a)].sum() - centre)
    ways = list(itertools.combinations(range(len(ranks)), len(a)))
    extreme = sum(abs(ranks[list(w)].sum() - centre) >= observed - 1e-9 for w in ways)
    return float(extreme / len(ways))


@pytest.mark.parametrize(
    "a, b",
    [
        ([1, 1, 2], [2, 3, 3]),
        ([5, 5, 5, 6], [6, 6, 7, 7]),
        ([1, 1], [1, 2, 2, 2]),
        ([1] * 5, [2] * 5),
        ([5, 5], [6]),
        ([1], [2, 2, 2, 1]),
    ],
)
def test_mann_whitney_with_ties_is_exact(a: list[float], b: list[float]) -> None:
    assert stats.mann_whitney(a, b) == pytest.approx(brute_force(a, b))


def test_equal_constants_are_not_different() -> None:
    assert stats.mann_whitney([7, 7, 7], [7, 7, 7]) == 1.0
    assert stats.bootstrap_ratio([7, 7], [7, 7]) == (1.0, 1.0)
    assert stats.ratio_of_medians([0, 0], [0]) == 1.0
    assert stats.variation([7, 7]) == 0


def test_what_cannot_be_computed_is_none_and_no_error() -> None:
    assert stats.mann_whitney([], [1]) is None
    assert stats.ratio_of_medians([0], [1]) is None
    assert stats.ratio_of_medians([], [1]) is None
    assert stats.bootstrap_ratio([1], [1, 2]) is None
    assert stats.bootstrap_ratio([0, 1], [1, 2]) is None
    assert stats.variation([1]) is None


@settings(max_examples=20, deadline=None)
@given(values, values)
def test_bootstrap_is_deterministic_and_inside_the_extremes(
    a: list[float], b: list[float]
) -> None:
    first = stats.bootstrap_ratio(a, b)
    assert first == stats.bootstrap_ratio(a, b)
    assert first is not None
    assert min(b) / max(a) <= first[0] <= first[1] <= max(b) / min(a)


def test_bootstrap_agrees_with_scipys_percentile_interval() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(100, 2, 12), rng.normal(97, 2, 12)

    def ratio(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
        return np.asarray(np.median(y, axis=axis) / np.median(x, axis=axis))

    theirs = scipy_stats.bootstrap(
        (a, b), ratio, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    ours = stats.bootstrap_ratio(list(a), list(b))
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.002)


def test_holm_is_the_hand_computed_case() -> None:
    # 0.01*4, max(0.02*3, .04), max(0.03*2, .06), max(0.04, .06), back in the given order
    assert stats.holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert stats.holm([]) == []
    assert stats.holm([0.9, 0.8]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_order(ps: list[float]) -> None:
    adjusted = stats.holm(ps)
    assert all(a >= p and a <= 1 for a, p in zip(adjusted, ps, strict=True))
    assert [adjusted[i] for i in np.argsort(ps, kind="stable")] == sorted(adjusted)


def test_boots_to_decide_is_what_the_exact_test_needs() -> None:
    # 4 v 4 reaches 2/70 = 0.029; times three cells only 5 v 5 (2/252) is below 0.05.
    assert stats.boots_to_decide([1, 1], [2, 2], 0.5, 1) == 2
    assert stats.boots_to_decide([1, 1], [2, 2], 0.5, 3) == 3
    assert stats.boots_to_decide([1] * 4, [2] * 4, 0.5, 3) == 2  # boots come in twos
    assert stats.boots_to_decide([], [], 0.5, 1) == 4


def test_boots_to_decide_grows_with_the_square_of_the_spread() -> None:
    narrow = stats.boots_to_decide([99, 101], [99, 101], 0.01, 1) + 2
    wide = stats.boots_to_decide([98, 102], [98, 102], 0.01, 1) + 2
    assert wide / narrow == pytest.approx(4, rel=0.05)
    per_side = 2 * (1.96 + 0.8416) ** 2 * (math.sqrt(2) / 100 / 0.01) ** 2 * math.pi / 3
    assert narrow == math.ceil(per_side)
