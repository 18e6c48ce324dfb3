"""Statistics of one cell: two short lists of numbers, one number per boot.

Which method is used where, and whose it is, stands in :mod:`harness.report.analysis.method`. What
is said there of the test when values are equal: the exact permutation distribution of the rank sum
with mid-ranks (Lehmann, "Nonparametrics", 1975, chapter 1.4); of the boots needed: the normal
approximation of the test, whose efficiency against the t test is 3/pi (the same, appendix).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

LEVEL = 0.95
ALPHA = 0.05
RESAMPLES = 10_000
SEED = 20210819  # any will do, as long as a report made twice is the same
PERMUTATIONS = 9_999
LEAST_SEGMENT = 2  # runs on either side of a step
HOPELESS = 400  # more boots than that: nobody will run them
LEAST_MORE = 2  # boots alternate A,B,B,A, so they come in twos
_Z_ALPHA, _Z_POWER = 1.959964, 0.841621  # two-sided 5 %, power 80 %


def ratio_of_medians(before: Sequence[float], after: Sequence[float]) -> float | None:
    """median(after) / median(before); None when that is undefined."""
    if not before or not after:
        return None
    reference = float(np.median(before))
    value = float(np.median(after))
    if reference == 0:
        return 1.0 if value == 0 else None
    return value / reference


def bootstrap_ratio(
    before: Sequence[float], after: Sequence[float], *, seed: int = SEED
) -> tuple[float, float] | None:
    """95 % percentile bootstrap interval of the ratio of medians.

    None with fewer than two values on a side or a median of zero.
    """
    if min(len(before), len(after)) < 2:
        return None
    rng = np.random.default_rng(seed)
    below = _resampled_medians(before, rng)
    above = _resampled_medians(after, rng)
    if np.any(below == 0):
        return None
    low, high = np.quantile(above / below, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _resampled_medians(
    values: Sequence[float], rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Medians of :data:`RESAMPLES` resamples, shape (RESAMPLES,)."""
    picks = rng.integers(0, len(values), size=(RESAMPLES, len(values)))
    return np.asarray(np.median(np.asarray(values, dtype=float)[picks], axis=1), dtype=float)


def mann_whitney(before: Sequence[float], after: Sequence[float]) -> float | None:
    """Exact two-sided p-value; 1 for two equal constants, None when a side is empty."""
    if not before or not after:
        return None
    both = [*before, *after]
    if len(set(both)) == 1:
        return 1.0
    if len(set(both)) == len(both):
        return float(stats.mannwhitneyu(before, after, method="exact").pvalue)
    return _tied_mann_whitney(before, after)


def _tied_mann_whitney(before: Sequence[float], after: Sequence[float]) -> float:
    """The exact test with mid-ranks."""
    observed, ways = _rank_sums(before, after)
    return _two_sided(observed, ways)


def _rank_sums(
    before: Sequence[float], after: Sequence[float]
) -> tuple[int, Counter[int]]:
    """Twice the rank sum less its expectation, and in how many ways each such sum comes about.

    Mid-ranks are halves, so that twice a rank sum is a whole number and the number of
    subsets of ``len(before)`` ranks with each sum follows by dynamic programming.
    """
    doubled = [round(2 * rank) for rank in stats.rankdata([*before, *after])]
    size = len(before)
    ways: list[Counter[int]] = [Counter({0: 1}), *(Counter[int]() for _ in range(size))]
    for rank in doubled:
        for taken in range(size, 0, -1):
            for total, count in ways[taken - 1].items():
                ways[taken][total + rank] += count
    centre = size * (len(doubled) + 1)
    return sum(doubled[:size]) - centre, Counter({t - centre: n for t, n in ways[size].items()})


def _two_sided(observed: int, ways: Counter[int]) -> float:
    """How many of all ways lead as far from the expectation."""
    extreme = sum(count for total, count in ways.items() if abs(total) >= abs(observed))
    return extreme / ways.total()


def blocked_mann_whitney(
    blocks: Sequence[tuple[Sequence[float], Sequence[float]]]
) -> float | None:
    """Exact two-sided p-value of the rank sums within blocks, added up; None without any block.

    Values are held against those of their own block only (van Elteren, "On the combination of
    independent two-sample tests of Wilcoxon", 1960, with equal weights). Of one block it is the
    test of Mann and Whitney.
    """
    observed, ways = 0, Counter({0: 1})
    for before, after in blocks:
        if not before or not after:
            return None
        mine, of_block = _rank_sums(before, after)
        observed += mine
        added: Counter[int] = Counter()
        for total, count in ways.items():
            for more, number in of_block.items():
                added[total + more] += count * number
        ways = added
    return _two_sided(observed, ways) if blocks else None


def smallest_p(before: int, after: int) -> float:
    """The smallest p-value that so many boots can reach: 2 / C(m + n, m)."""
    return smallest_blocked_p([(before, after)])


def smallest_blocked_p(sizes: Sequence[tuple[int, int]]) -> float:
    """The same of a test within blocks of so many boots of either side."""
    if any(not before or not after for before, after in sizes):
        return 1.0
    return min(1.0, 2 / math.prod(math.comb(m + n, m) for m, n in sizes))


def median_interval(values: Sequence[float]) -> tuple[tuple[float, float], float]:
    """An interval of the median, from one value to another, and its coverage.

    The narrowest of symmetric ranks that covers it with 95 %; with fewer than six values none does,
    and it is from the least to the greatest (1 - 2^(1-n): of three values 75 %). It takes the
    values to be independent and nothing of their distribution (David and Nagaraja, "Order
    statistics", 2003, chapter 7.1).
    """
    ordered, count = sorted(values), len(values)
    covers = [1 - 2 * float(stats.binom.cdf(cut, count, 0.5)) for cut in range((count + 1) // 2)]
    cut = max((cut for cut, share in enumerate(covers) if share >= LEVEL), default=0)
    return (ordered[cut], ordered[-1 - cut]), max(0.0, covers[cut])


@dataclass(frozen=True)
class VarianceParts:
    """The variance of one value in two parts: between groups and within them."""

    between: float
    """0 where the groups differ by no more than their values do."""
    within: float | None
    """None where no group has two values."""
    p: float | None
    """Of the F test that groups do not differ."""

    @property
    def share(self) -> float | None:
        """The part between groups of the whole; None where it is not known or nothing varies."""
        if self.within is None or self.between + self.within == 0:
            return None
        return self.between / (self.between + self.within)


def variance_parts(groups: Sequence[Sequence[float]]) -> VarianceParts:
    """One-way random effects: the components of variance by the analysis of variance.

    Groups need not be of one size (Searle, Casella and McCulloch, "Variance components", 1992,
    chapter 3.6). The share is the intraclass correlation of one value, ICC(1) (Shrout and Fleiss
    1979). A negative estimate is 0. Two groups at least, and none empty.
    """
    arrays = [np.asarray(group, dtype=float) for group in groups]
    total, count = sum(len(one) for one in arrays), len(arrays)
    mean = float(np.concatenate(arrays).mean())
    between = sum(len(one) * (float(one.mean()) - mean) ** 2 for one in arrays) / (count - 1)
    typical = (total - sum(len(one) ** 2 for one in arrays) / total) / (count - 1)
    if total == count:
        return VarianceParts(between, None, None)
    within = sum(float(((one - one.mean()) ** 2).sum()) for one in arrays) / (total - count)
    if within == 0:
        return VarianceParts(between / typical, 0.0, None)
    p = float(stats.f.sf(between / within, count - 1, total - count))
    return VarianceParts(max(0.0, (between - within) / typical), within, p)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number, in the same order."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    adjusted = [0.0] * len(values)
    worst = 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, values[index] * (len(values) - rank)))
        adjusted[index] = worst
    return adjusted


def variation(values: Sequence[float]) -> float | None:
    """Coefficient of variation (standard deviation / mean); None when unknown."""
    if len(values) < 2 or np.mean(values) == 0:
        return None
    return float(np.std(values, ddof=1) / abs(np.mean(values)))


def boots_to_decide(
    before: Sequence[float], after: Sequence[float], effect: float, cells: int
) -> int:
    """More boots per variant until a difference of ``effect`` (a fraction) would be seen.

    The larger of what the exact test needs to reach 5 % after correction for
    ``cells``, and what the spread between boots needs. At least :data:`LEAST_MORE`.
    """
    have = min(len(before), len(after))
    need = 1
    while smallest_p(need, need) * cells > ALPHA:
        need += 1
    spreads = [s for s in (variation(before), variation(after)) if s is not None]
    if spreads and effect > 0:
        square = sum(s * s for s in spreads) / len(spreads)
        power = 2 * (_Z_ALPHA + _Z_POWER) ** 2 * square / effect**2 * math.pi / 3
        need = max(need, math.ceil(min(power, 1e6)))
    return max(LEAST_MORE, need - have)


def change_points(values: Sequence[float]) -> list[int]:
    """Where a sequence changes its level: indices of the first value of each new level.

    Binary segmentation; a split is believed when a permutation test puts it below 5 %.
    The statistic is the largest standardised difference of mean ranks over all splits
    that leave :data:`LEAST_SEGMENT` values on either side.
    """
    found: list[int] = []
    todo = [(0, len(values))]
    while todo:
        start, end = todo.pop()
        split = _change_point(values[start:end])
        if split is not None:
            found.append(start + split)
            todo += [(start, start + split), (start + split, end)]
    return sorted(found)


def _change_point(values: Sequence[float]) -> int | None:
    if len(values) < 2 * LEAST_SEGMENT or len(set(values)) == 1:
        return None
    ranks = np.asarray(stats.rankdata(values), dtype=float)
    observed = _split_statistics(ranks[np.newaxis, :])[0]
    rng = np.random.default_rng(SEED)
    shuffled = rng.permuted(np.tile(ranks, (PERMUTATIONS, 1)), axis=1)
    largest = _split_statistics(shuffled).max(axis=1)
    p = (1 + int(np.sum(largest >= observed.max() - 1e-9))) / (PERMUTATIONS + 1)
    return int(observed.argmax()) + LEAST_SEGMENT if p <= ALPHA else None


def _split_statistics(ranks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """For each sequence (a row) and each split: |difference of mean ranks|, standardised."""
    count = ranks.shape[1]
    sizes = np.arange(LEAST_SEGMENT, count - LEAST_SEGMENT + 1)
    left = ranks.cumsum(axis=1)[:, sizes - 1]
    right = ranks.sum(axis=1, keepdims=True) - left
    difference = np.abs(left / sizes - right / (count - sizes))
    return np.asarray(difference * np.sqrt(sizes * (count - sizes) / count), dtype=np.float64)
