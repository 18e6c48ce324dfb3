"""Boots of several hosts, or layouts: only boots of one block are held together.

A host is a block, and so is each layout on it. What a host itself makes of a value is taken out by
seeing every value relative to its host; the test is that of :func:`stats.blocked_mann_whitney`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

H = TypeVar("H", bound=Hashable)
Block = tuple[Sequence[float], Sequence[float]]
"""The values of either side in one block, one a boot."""


def by(
    before: Mapping[H, float], after: Mapping[H, float], block: Callable[[H], Hashable]
) -> list[Block]:
    """The values of both sides by block; blocks without boots of both say nothing, and go."""
    found: list[Block] = []
    for one in dict.fromkeys(map(block, [*before, *after])):
        first = [value for boot, value in before.items() if block(boot) == one]
        second = [value for boot, value in after.items() if block(boot) == one]
        if first and second:
            found.append((first, second))
    return found


def shared(
    before: Mapping[H, float], after: Mapping[H, float], block: Callable[[H], Hashable]
) -> tuple[dict[H, float], dict[H, float]]:
    """The boots of those blocks that have boots of both sides."""
    both = {block(boot) for boot in before} & {block(boot) for boot in after}
    first, second = (
        {boot: value for boot, value in side.items() if block(boot) in both}
        for side in (before, after)
    )
    return first, second


def on_one_scale(
    before: Mapping[H, float], after: Mapping[H, float], host: Callable[[H], str]
) -> tuple[dict[H, float], dict[H, float]]:
    """Both sides' values as all hosts' together would have them, in the metric's own unit.

    A host's factor is the middle between its two sides, so that a host that did more boots of one
    side than of the other does not pull either; values that are not all positive are shifted
    instead of scaled. A host without boots of both sides is left out.
    """
    both = {host(boot) for boot in before} & {host(boot) for boot in after}
    scaled = all(value > 0 for value in [*before.values(), *after.values()])
    middles = {
        one: sum(_mean(side, host, one, scaled) for side in (before, after)) / 2 for one in both
    }
    whole = float(np.mean(list(middles.values()))) if middles else 0.0

    def moved(side: Mapping[H, float]) -> dict[H, float]:
        found = {}
        for boot, value in side.items():
            if (middle := middles.get(host(boot))) is not None:
                shift = whole - middle
                found[boot] = value * math.exp(shift) if scaled else value + shift
        return found

    return moved(before), moved(after)


def _mean(side: Mapping[H, float], host: Callable[[H], str], one: str, scaled: bool) -> float:
    values = np.asarray([value for boot, value in side.items() if host(boot) == one], dtype=float)
    return float(np.mean(np.log(values) if scaled else values))
