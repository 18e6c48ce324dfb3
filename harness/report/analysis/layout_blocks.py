"""Layout as a factor: one effect for each placement of the same code, and how far they differ.

A layout is a block: its boots of both kernels have the same gaps between the same objects, so they
are compared with each other only. What that leaves of a difference is the change's; what differs
from layout to layout is where functions came to lie (Mytkowicz et al., Producing wrong data without
doing anything obviously wrong, ASPLOS 2009).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from harness.report.analysis import stats

H = TypeVar("H", bound=Hashable)


@dataclass(frozen=True)
class LayoutBoots:
    """The values of both sides in one layout, one a boot."""

    layout: int
    before: tuple[float, ...]
    after: tuple[float, ...]
    pairs: tuple[tuple[float, float], ...]
    """Of those boots that have a history in common."""


@dataclass(frozen=True)
class LayoutEffect:
    """What one layout says."""

    layout: int
    pairs: int
    """Pairs of boots, one of each side."""
    ratio: float
    difference: float
    baseline: float
    """The baseline's median in this layout."""

    @property
    def delta_pct(self) -> float:
        """The change in percent."""
        return 100 * (self.ratio - 1)


@dataclass(frozen=True)
class LayoutSplit:
    """The effect over layouts, and the variance of a pair's change split in two.

    Standard deviations are in percentage points of the change.
    """

    effects: tuple[LayoutEffect, ...]
    ratio: float
    """Median over layouts."""
    difference: float
    """Median over layouts, in the metric's unit."""
    interval: tuple[float, float]
    """Of :attr:`ratio`, from an effect of a layout to another."""
    coverage: float
    """How sure it is that the interval holds the median over all layouts there could be."""
    parts: stats.VarianceParts
    """Of the changes of pairs, in percent."""

    @property
    def level_pct(self) -> float:
        """How far the baseline itself moves: greatest less least median, in percent."""
        levels = [one.baseline for one in self.effects]
        middle = float(np.median(levels))
        return 100 * (max(levels) - min(levels)) / middle if middle else 0.0

    @property
    def reach_pct(self) -> float:
        """How far the effects of layouts lie apart, in percentage points."""
        changes = [one.delta_pct for one in self.effects]
        return max(changes) - min(changes)


def blocks(
    before: Mapping[H, float], after: Mapping[H, float], layout: Callable[[H], int]
) -> list[LayoutBoots]:
    """The boots of two sides by layout, of those layouts that both have."""
    numbers = sorted({layout(one) for one in before} & {layout(one) for one in after})
    found = []
    for number in numbers:
        first = {one: value for one, value in before.items() if layout(one) == number}
        second = {one: value for one, value in after.items() if layout(one) == number}
        pairs = tuple((first[one], second[one]) for one in first if one in second)
        found.append(LayoutBoots(number, tuple(first.values()), tuple(second.values()), pairs))
    return found


def split(found: Sequence[LayoutBoots], *, paired: bool) -> LayoutSplit | None:
    """What layouts say together; None for fewer than two, or a baseline of zero.

    ``paired``: the effect of a layout is the median of its pairs' ratios; else it is the ratio of
    the medians of its boots.
    """
    if len(found) < 2 or not all(all(one.before) and one.pairs for one in found):
        return None
    effects = tuple(_effect(one, paired) for one in found)
    ratios = [one.ratio for one in effects]
    interval, coverage = stats.median_interval(ratios)
    changes = [[100 * (after / before - 1) for before, after in one.pairs] for one in found]
    return LayoutSplit(
        effects, float(np.median(ratios)), float(np.median([one.difference for one in effects])),
        interval, coverage, stats.variance_parts(changes),
    )


def _effect(one: LayoutBoots, paired: bool) -> LayoutEffect:
    baseline = float(np.median(one.before))
    if paired:
        ratio = float(np.median([after / before for before, after in one.pairs]))
        difference = float(np.median([after - before for before, after in one.pairs]))
    else:
        difference = float(np.median(one.after)) - baseline
        ratio = float(np.median(one.after)) / baseline
    return LayoutEffect(one.layout, len(one.pairs), ratio, difference, baseline)


def levelled(found: Sequence[LayoutBoots]) -> tuple[list[float], list[float]]:
    """Both sides with each layout's own level taken out: in units of its baseline's median."""
    before = [value / float(np.median(one.before)) for one in found for value in one.before]
    after = [value / float(np.median(one.before)) for one in found for value in one.after]
    return before, after
