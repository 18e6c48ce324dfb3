"""From statistics to one of four phrases: what the data can carry and no more.

``lower``, ``higher``, ``same within X %`` or ``cannot tell (needs about N more boots)``.

* Wall-clock metrics: a difference is claimed when the exact test, after Holm's
  correction, is below 5 % and the interval leaves out 1. ``same within X %`` is said
  when there are boots enough for the test to have decided, it did not, and the whole
  interval lies within X <= 5 %. Everything else is ``cannot tell``.
* Exact metrics (VmPTE, VmSize, and any quantity that was the same in every boot of each
  side; a time or a rate never is, nor the memory of an allocator with threads of its own): a
  difference is claimed when the ranges lie further apart than two page tables.
* Counted metrics (anything under icount): exact too, but the count depends on what the
  guest did earlier by up to 2.5 % (docs: state of the page allocator). So a
  difference counts when it exceeds that, or when it has the same sign and outgrows its own spread
  over at least three histories, paired by the seed of the boot's preamble. In no case does it
  count below what two boots differed by that ought to have been the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.report.analysis import metrics, stats

SAME_MARGIN_PCT = 5.0  # "same within X %" is said for no larger X
TARGET_PCT = 1.0  # the effect that boots_to_decide aims at: the letter's claim
HISTORY_PCT = 2.5  # icount: how far another history moved the count (facts, kernel 6.1 and 7.3)
LEAST_HISTORIES = 3
LEAST_FOR_CONSTANT = 2
LEAST_COUNTED = 2  # boots of each side: one count says nothing of what another history does to it
LEAST_FOR_BOOTSTRAP = 5  # below, no resampling of a median has anything like 95 % coverage


@dataclass
class Comparison:
    """One variant against its baseline in one cell. Percentages are of the latter's median."""

    method: str
    """``exact``, ``counted``, ``paired`` or ``test``."""
    ratio: float | None
    interval: tuple[float, float] | None = None
    interval_kind: str = ""
    """``bootstrap`` (95 %), ``range`` (smallest to largest ratio of two boots) or ``pairs``
    (smallest to largest ratio of two boots with one history)."""
    p: float | None = None
    p_holm: float | None = None
    verdict: str = ""
    control: bool = False
    variant: str = ""
    baseline: str = ""
    before: Sequence[float] = field(default=(), repr=False)
    after: Sequence[float] = field(default=(), repr=False)

    @property
    def delta_pct(self) -> float | None:
        """Change of the median in percent."""
        return None if self.ratio is None else 100 * (self.ratio - 1)

    @property
    def interval_pct(self) -> tuple[float, float] | None:
        """The interval as changes in percent."""
        if self.interval is None:
            return None
        return 100 * (self.interval[0] - 1), 100 * (self.interval[1] - 1)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "delta_pct": rounded(self.delta_pct),
            "interval_pct": [rounded(end) for end in self.interval_pct or ()] or None,
            "interval_kind": self.interval_kind or None,
            "p": rounded(self.p, 6),
            "p_holm": rounded(self.p_holm, 6),
            "method": self.method,
            "verdict": self.verdict,
            "control": self.control,
            "baseline": self.baseline,
        }


def rounded(value: float | None, digits: int = 4) -> float | None:
    """A number cut to what is worth printing."""
    return None if value is None else round(value, digits)


def compare(
    metric: str, accel: str, before: Mapping[Any, float], after: Mapping[Any, float],
    residual_pct: float = 0.0, *, workload: str = "",
) -> Comparison:
    """Compare two sides, each a mapping from history to the boot's value.

    A history is the seed of the boot's preamble, or (run, boot) when it had none
    (then no two boots are paired). ``residual_pct``: by how much a count differed when
    the same boot was done twice; no smaller difference is one. Wall-clock comparisons get
    their verdict from :func:`decide`, once all cells are known.
    """
    first, second = list(before.values()), list(after.values())
    result = Comparison(
        "test", stats.ratio_of_medians(first, second), before=first, after=second
    )
    if metrics.is_exact(workload, metric) or _constant(workload, metric, first, second):
        result.method = "exact"
        result.verdict = _exact(first, second, metrics.slack(metric))
    elif accel == "icount":
        common = [seed for seed in before if seed in after]
        if len(common) >= LEAST_HISTORIES and all(before[seed] for seed in common):
            _paired(result, [after[seed] / before[seed] for seed in common], residual_pct)
        else:
            result.method = "counted"
            result.verdict = _counted(first, second, len(common), residual_pct)
            _range(result)
    else:
        if min(len(first), len(second)) >= LEAST_FOR_BOOTSTRAP:
            result.interval = stats.bootstrap_ratio(first, second)
            result.interval_kind = "bootstrap" if result.interval else ""
        else:
            _range(result)
        result.p = stats.mann_whitney(first, second)
    return result


def decide(family: Sequence[Comparison]) -> None:
    """Give every tested comparison of a family its corrected p-value and verdict.

    A family is one metric over all its cells (one accel, base and machine).
    """
    tested = [c for c in family if c.method == "test" and c.p is not None]
    corrected = stats.holm([c.p for c in tested if c.p is not None])
    for comparison, p in zip(tested, corrected, strict=True):
        comparison.p_holm = p
        comparison.verdict = _tested(comparison, p, len(tested))


def cannot_tell(more: int) -> str:
    """The phrase for too little data; ``more`` boots per variant would help."""
    if more > stats.HOPELESS:
        return f"cannot tell (needs more than {stats.HOPELESS} more boots)"
    return f"cannot tell (needs about {max(more, stats.LEAST_MORE)} more boots)"


def same_within(percent: float) -> str:
    """The phrase for equality; the bound is rounded up to two significant digits."""
    if percent == 0:
        return "same within 0 %"
    digits = 1 - int(np.floor(np.log10(percent)))
    bound = np.ceil(percent * 10**digits - 1e-9) / 10**digits
    digits = 1 - int(np.floor(np.log10(bound)))  # 0.0999 became 0.10
    return f"same within {bound:.{max(0, digits)}f} %"


def _range(result: Comparison) -> None:
    """With too few boots for a bootstrap: from the smallest to the largest ratio of two boots."""
    if min(len(result.before), len(result.after)) >= 2 and min(result.before) > 0:
        low = min(result.after) / max(result.before)
        high = max(result.after) / min(result.before)
        result.interval, result.interval_kind = (low, high), "range"


def _direction(ratio: float) -> str:
    return "lower" if ratio < 1 else "higher"


def _tested(comparison: Comparison, p: float, cells: int) -> str:
    before, after = comparison.before, comparison.after
    enough = stats.smallest_p(len(before), len(after)) * cells <= stats.ALPHA
    ends, ratio = comparison.interval_pct, comparison.ratio
    if enough and ends is not None and ratio is not None:
        if p <= stats.ALPHA and (ends[0] > 0 or ends[1] < 0):
            return _direction(ratio)
        bound = max(abs(ends[0]), abs(ends[1]))
        if p > stats.ALPHA and bound <= SAME_MARGIN_PCT:
            return same_within(bound)
    effect = max(abs(comparison.delta_pct or 0), TARGET_PCT) / 100
    return cannot_tell(stats.boots_to_decide(before, after, effect, cells))


def _exact(before: Sequence[float], after: Sequence[float], slack: tuple[float, str]) -> str:
    """``slack``: how far apart two values of one kernel may be, and the unit of that."""
    least, unit = slack
    if max(after) + least < min(before):
        return "lower"
    if min(after) - least > max(before):
        return "higher"
    low, high = min(*before, *after), max(*before, *after)
    if low == high:
        return same_within(0)
    bound = 100 * (high - low) / float(np.median(before)) if np.median(before) else np.inf
    if bound <= SAME_MARGIN_PCT:
        return same_within(bound)
    if high - low <= least:
        return f"same within {high - low:g} {unit}"
    return cannot_tell(LEAST_HISTORIES)


def _constant(
    workload: str, metric: str, before: Sequence[float], after: Sequence[float]
) -> bool:
    """Whether a quantity had one value in every boot of each side, two boots at least."""
    if metrics.is_cost(metric) or workload in metrics.INEXACT:
        return False
    enough = min(len(before), len(after)) >= LEAST_FOR_CONSTANT
    return enough and len(set(before)) == len(set(after)) == 1


def _counted(
    before: Sequence[float], after: Sequence[float], histories: int, residual_pct: float
) -> str:
    ratio = stats.ratio_of_medians(before, after)
    if ratio is None or min(len(before), len(after)) < LEAST_COUNTED:
        return cannot_tell(LEAST_HISTORIES - histories)
    disjoint = max(after) < min(before) or min(after) > max(before)
    noise = max(HISTORY_PCT, residual_pct)
    if disjoint and 100 * abs(ratio - 1) > noise:
        return _direction(ratio)
    low, high = min(*before, *after), max(*before, *after)
    bound = max(100 * (high - low) / float(np.median(before)), noise)
    if not disjoint and bound <= SAME_MARGIN_PCT:
        return same_within(bound)
    return cannot_tell(LEAST_HISTORIES - histories)


def _paired(result: Comparison, ratios: Sequence[float], residual_pct: float) -> None:
    """Fill in the comparison of at least three pairs of boots with the same history."""
    result.method = "paired"
    result.ratio = float(np.median(ratios))
    result.interval, result.interval_kind = (min(ratios), max(ratios)), "pairs"
    changes = [100 * (ratio - 1) for ratio in ratios]
    median, spread = 100 * (result.ratio - 1), max(changes) - min(changes)
    bound = max(residual_pct, *(abs(change) for change in changes))
    one_sign = min(changes) > residual_pct or max(changes) < -residual_pct
    if one_sign and abs(median) > spread:
        result.verdict = _direction(result.ratio)
    elif bound <= SAME_MARGIN_PCT and -max(changes) <= residual_pct >= min(changes):
        result.verdict = same_within(bound)
    else:
        result.verdict = cannot_tell(len(ratios))
