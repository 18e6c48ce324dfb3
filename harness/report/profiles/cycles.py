"""An estimate of cycles, from what was counted and what events cost on one host's CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from statistics import median

from harness.core import sizes
from harness.records.costs import CacheSizes, Calibration, EventCosts
from harness.records.profiles import ProfilePair
from harness.report.profiles.difference import AS_ONE, Change, ProfileDifference

CYCLES = "cycles"
EVENTS = {
    "call": "calls", "mispredicted": "mispredicted", "locked": "locked",
    "string": "string_operations", "string_byte": "string_bytes", "string_line": "string_lines",
    "l1d_miss": "l1d_misses", "l1i_miss": "l1i_misses", "l2_miss": "l2_misses",
}
"""Each cost's column in a profile; ``instruction`` has none of its own."""


def estimated(difference: ProfileDifference, calibration: Calibration) -> ProfileDifference:
    """The difference with cycles among the counts of everything in it."""

    def add(change: Change) -> Change:
        sides = (
            {name: pair.before for name, pair in change.counts.items()},
            {name: pair.after for name, pair in change.counts.items()},
        )
        before, after = (cycles(side, calibration.costs) for side in sides)
        pair = ProfilePair(before=before, after=after)
        return replace(change, counts={**change.counts, CYCLES: pair})

    return replace(
        difference, functions=tuple(map(add, difference.functions)),
        groups=tuple(map(add, difference.groups)), total=add(difference.total),
    )


def cycles(counts: Mapping[str, float], costs: EventCosts) -> float:
    """Cycles that events come to; ``counts`` are those of a profile, by its columns' names."""
    plain = counts[AS_ONE] - counts["locked"] - counts["string_operations"]
    of_events = costs.model_dump()
    return costs.instruction * plain + sum(
        float(of_events[cost]) * counts[column] for cost, column in EVENTS.items()
    )


def assumptions(caches: CacheSizes, calibration: Calibration | None) -> str:
    """What stands above modelled figures, in sentences."""
    said = (
        f"Modelled, not measured: one CPU's caches ({cache_words(caches)}; lines of 64 bytes, "
        "least recently used first out, no prefetch, no TLB), which all virtual CPUs share, and a "
        "gshare predictor of branches (16,384 counters, 12 branches of history), in the boots of "
        "the first history."
    )
    if calibration is None:
        return said + " Cycles are estimated when `harness calibrate` has run on this host."
    return (
        f"{said} Cycles are an estimate: a sum of such events by what they cost on "
        f"{calibration.cpu} ({_costs(calibration.costs)}). Of programs that its costs were not "
        f"fitted to, it was off by {_errors(calibration)}. What system calls, exceptions, TLB "
        "flushes and other CPUs cost beside their instructions is not in it."
    )


def cache_words(found: CacheSizes) -> str:
    """``L1d 48K in 12 ways, L1i ..., L2 ...``."""
    return ", ".join(
        f"{name} {sizes.words(one.bytes)} in {one.ways} ways"
        for name, one in (("L1d", found.l1d), ("L1i", found.l1i), ("L2", found.l2))
    )


def _costs(costs: EventCosts) -> str:
    return (
        f"{costs.instruction:.2f} cycles an instruction, {costs.locked:.0f} a locked one, "
        f"{costs.mispredicted:.0f} a branch guessed wrongly, {costs.l1d_miss:.0f} and "
        f"{costs.l1i_miss:.0f} a miss in L1d and L1i, {costs.l2_miss:.0f} one in L2, "
        f"{costs.string_byte:.3f} a byte of a string"
    )


def _errors(calibration: Calibration) -> str:
    errors = calibration.errors
    return f"{100 * median(errors):.0f} % in the median and {100 * errors[-1]:.0f} % at most"


def calibration_text(found: Calibration) -> str:
    """What `harness calibrate` found, for a terminal."""
    lines = [
        f"{found.cpu}: a cycle is {found.cycle_ns:.3f} ns ({1 / found.cycle_ns:.2f} GHz)",
        f"costs: {_costs(found.costs)}",
        f"off by {_errors(found)}, of {len(found.errors)} programs, each estimated by costs that "
        "were found without it",
        "",
        f"  {'':12} {'measured':>12} {'estimated':>12} {'error':>7}",
    ]
    for kind in (True, False):
        for one in found.checks:
            if one.program is kind:
                lines.append(
                    f"  {one.name:12} {one.measured:>12,.0f} {one.estimated:>12,.0f} "
                    f"{100 * one.error:>+5.0f} %" + ("" if kind else "  one event again and again")
                )
    return "\n".join(lines)
