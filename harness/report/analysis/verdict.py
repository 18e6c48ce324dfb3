"""From statistics to one of four phrases: what the data can carry and no more.

``lower``, ``higher``, ``same within X`` or ``cannot tell (needs about N more boots)``. By which
rules is said in :mod:`harness.report.analysis.method`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import numpy as np

from harness.records.workloads import Metric
from harness.report.analysis import blocks, layout_blocks, stats
from harness.report.analysis.layout_blocks import LayoutSplit
from harness.report.data.identity import Column

SAME_MARGIN_PCT = 5.0  # "same within X %" is said for no larger X
TARGET_PCT = 1.0  # the effect that boots_to_decide aims at
HISTORY_PCT = 2.5  # icount: how far another history moved the count (facts, kernel 6.1 and 7.3)
LEAST_HISTORIES = 3
LEAST_COUNTED = 2  # boots of each side: one count says nothing of what another history does to it
LEAST_FOR_BOOTSTRAP = 5  # below, no resampling of a median has anything like 95 % coverage

Method = Literal["exact", "slack", "counted", "paired", "test"]
IntervalKind = Literal["", "bootstrap", "range", "pairs", "layouts"]
Word = Literal["lower", "higher", "same", "cannot tell", ""]
NOBODY = Column("")
H = TypeVar("H", bound=Hashable)  # what names a history


@dataclass(frozen=True)
class Comparison:
    """One side against its baseline in one cell. Percentages are of the latter's median."""

    method: Method
    ratio: float | None
    difference: float | None = None
    """Of the medians, in the metric's unit; of pairs the median of their differences."""
    interval: tuple[float, float] | None = None
    interval_kind: IntervalKind = ""
    """``bootstrap`` (95 %), ``range`` (smallest to largest ratio of two boots), ``pairs``
    (smallest to largest ratio of two boots with one history) or ``layouts`` (from the effect of
    one layout to that of another)."""
    p: float | None = None
    p_holm: float | None = None
    verdict: str = ""
    control: bool = False
    variant: Column = NOBODY
    baseline: Column = NOBODY
    before: Sequence[float] = field(default=(), repr=False)
    after: Sequence[float] = field(default=(), repr=False)
    layouts: LayoutSplit | None = None
    """What the layouts of the kernels say one by one, where there are several."""
    least_p: float | None = None
    """The smallest p-value that the test could reach; None: what so many boots in one block can."""

    @property
    def word(self) -> Word:
        """The verdict without its bound: what a machine or a colour goes by."""
        words: tuple[Word, ...] = ("lower", "higher", "same", "cannot tell")
        return next((word for word in words if self.verdict.startswith(word)), "")

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


def compare(
    metric: Metric, accel: str, before: Mapping[H, float], after: Mapping[H, float],
    residual_pct: float = 0.0, *, layout: Callable[[H], int] = lambda _: 0,
    host: Callable[[H], str] = lambda _: "",
) -> Comparison:
    """Compare two sides, each a mapping from history to the boot's value.

    A history is the seed of the boot's preamble, or (run, boot) when it had none (then no two
    boots are paired). ``layout`` says which layout of its kernel a boot is of, ``host`` which host
    of a fleet did it.
    ``residual_pct``: by how much a count differed when the same boot was done
    twice; no smaller difference is one. What is tested gets its verdict from :func:`decide`, once
    all cells are known.
    """
    first, second = list(before.values()), list(after.values())
    result = Comparison(
        "test", stats.ratio_of_medians(first, second), _difference(first, second),
        before=first, after=second,
    )
    if metric.exact:
        return replace(result, method="exact", verdict=_exact(first, second, metric))
    if metric.slack and first and second and _reach(first, second) <= metric.slack:
        text = f"same within {_reach(first, second):g} {metric.unit}"
        return replace(result, method="slack", verdict=text)
    if accel == "icount":
        of_layouts = layout_blocks.blocks(before, after, layout)
        result = replace(result, layouts=layout_blocks.split(of_layouts, paired=True))
        pairs = [pair for block in of_layouts for pair in block.pairs]
        histories = max((len(block.pairs) for block in of_layouts), default=0)
        if histories >= LEAST_HISTORIES and all(one for one, _ in pairs):
            return _paired(result, pairs, residual_pct)
        verdict = _counted(first, second, histories, residual_pct)
        return _ranged(replace(result, method="counted", verdict=verdict))
    return _timed(result, before, after, layout, host)


def _timed(
    result: Comparison, before: Mapping[H, float], after: Mapping[H, float],
    layout: Callable[[H], int], host: Callable[[H], str],
) -> Comparison:
    """What is tested: boots are held against those of the same host and layout only."""
    if len({host(boot) for boot in [*before, *after]}) > 1:
        before, after = blocks.shared(before, after, lambda boot: (host(boot), layout(boot)))
        before, after = blocks.on_one_scale(before, after, host)
        if not before:
            return replace(result, verdict=cannot_tell(stats.LEAST_MORE))
        first, second = list(before.values()), list(after.values())
        result = replace(
            result, before=first, after=second, ratio=stats.ratio_of_medians(first, second),
            difference=_difference(first, second),
        )
    of_layouts = layout_blocks.blocks(before, after, layout)
    layouts = layout_blocks.split(of_layouts, paired=False)
    result = replace(result, layouts=layouts)
    if layouts is None:
        result = _interval(result)
    else:
        first, second = layout_blocks.levelled(of_layouts)
        result = replace(
            result, ratio=layouts.ratio, difference=layouts.difference, before=first, after=second,
            interval=layouts.interval, interval_kind="layouts",
        )
    known = blocks.by(before, after, lambda boot: (host(boot), layout(boot)))
    return replace(
        result, p=stats.blocked_mann_whitney(known),
        least_p=stats.smallest_blocked_p([(len(first), len(second)) for first, second in known]),
    )


def _interval(result: Comparison) -> Comparison:
    if min(len(result.before), len(result.after)) < LEAST_FOR_BOOTSTRAP:
        return _ranged(result)
    ends = stats.bootstrap_ratio(result.before, result.after)
    return replace(result, interval=ends, interval_kind="bootstrap" if ends else "")


def decide(family: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons, each that was tested with its corrected p-value and verdict.

    A family is one metric over all its cells (one accel, base and machine).
    """
    tested = [c for c in family if c.method == "test" and c.p is not None]
    corrected = iter(stats.holm([c.p for c in tested if c.p is not None]))
    found = []
    for one in family:
        if one.method == "test" and one.p is not None:
            p = next(corrected)
            found.append(replace(one, p_holm=p, verdict=_tested(one, p, len(tested))))
        else:
            found.append(one)
    return found


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


def _difference(before: Sequence[float], after: Sequence[float]) -> float | None:
    if not before or not after:
        return None
    return float(np.median(after) - np.median(before))


def _reach(before: Sequence[float], after: Sequence[float]) -> float:
    """From the least to the greatest of all values."""
    return max(*before, *after) - min(*before, *after)


def _ranged(result: Comparison) -> Comparison:
    """With too few boots for a bootstrap: from the smallest to the largest ratio of two boots."""
    if min(len(result.before), len(result.after)) < 2 or min(result.before) <= 0:
        return result
    low = min(result.after) / max(result.before)
    high = max(result.after) / min(result.before)
    return replace(result, interval=(low, high), interval_kind="range")


def _direction(ratio: float) -> str:
    return "lower" if ratio < 1 else "higher"


def _tested(comparison: Comparison, p: float, cells: int) -> str:
    before, after = comparison.before, comparison.after
    least = comparison.least_p
    least = stats.smallest_p(len(before), len(after)) if least is None else least
    enough = least * cells <= stats.ALPHA
    ends, ratio = comparison.interval_pct, comparison.ratio
    if enough and ends is not None and ratio is not None:
        if p <= stats.ALPHA and (ends[0] > 0 or ends[1] < 0):
            return _direction(ratio)
        bound = max(abs(ends[0]), abs(ends[1]))
        if p > stats.ALPHA and bound <= SAME_MARGIN_PCT:
            return same_within(bound)
    effect = max(abs(comparison.delta_pct or 0), TARGET_PCT) / 100
    more = stats.boots_to_decide(before, after, effect, cells)
    each = len(comparison.layouts.effects) if comparison.layouts else 1
    return cannot_tell(math.ceil(more / each))


def _exact(before: Sequence[float], after: Sequence[float], metric: Metric) -> str:
    if max(after) + metric.slack < min(before):
        return "lower"
    if min(after) - metric.slack > max(before):
        return "higher"
    reach = _reach(before, after)
    if reach == 0:
        return same_within(0)
    bound = 100 * reach / float(np.median(before)) if np.median(before) else np.inf
    if bound <= SAME_MARGIN_PCT:
        return same_within(bound)
    if reach <= metric.slack:
        return f"same within {reach:g} {metric.unit}"
    return cannot_tell(LEAST_HISTORIES)


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
    bound = max(100 * _reach(before, after) / float(np.median(before)), noise)
    if not disjoint and bound <= SAME_MARGIN_PCT:
        return same_within(bound)
    return cannot_tell(LEAST_HISTORIES - histories)


def _paired(
    result: Comparison, pairs: Sequence[tuple[float, float]], residual_pct: float
) -> Comparison:
    """The comparison of at least three pairs of boots with the same history."""
    ratios = [after / before for before, after in pairs]
    ratio = float(np.median(ratios))
    changes = [100 * (one - 1) for one in ratios]
    median, spread = 100 * (ratio - 1), max(changes) - min(changes)
    bound = max(residual_pct, *(abs(change) for change in changes))
    one_sign = min(changes) > residual_pct or max(changes) < -residual_pct
    if one_sign and abs(median) > spread:
        verdict = _direction(ratio)
    elif bound <= SAME_MARGIN_PCT and -max(changes) <= residual_pct >= min(changes):
        verdict = same_within(bound)
    else:
        verdict = "cannot tell (the pairs do not agree)"  # more of them need not help
    difference = float(np.median([after - before for before, after in pairs]))
    if result.layouts is not None:
        ratio, difference = result.layouts.ratio, result.layouts.difference
    return replace(
        result, method="paired", ratio=ratio, difference=difference,
        interval=(min(ratios), max(ratios)), interval_kind="pairs", verdict=verdict,
    )
