"""Estimates of cycles, and what is said above them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from harness.records.costs import (
    CacheSize,
    CacheSizes,
    Calibration,
    EventCosts,
    MissCounts,
    ProgramCheck,
)
from harness.records.profiles import CellProfile
from harness.report.profiles import cycles, profile_text
from harness.report.profiles.difference import compare, rows
from tests.unit.report.test_profile_difference import profile

SIZES = CacheSizes(
    l1d=CacheSize(bytes=48 << 10, ways=12), l1i=CacheSize(bytes=32 << 10, ways=8),
    l2=CacheSize(bytes=2 << 20, ways=16),
)
COSTS = EventCosts(
    instruction=0.5, call=2.0, mispredicted=20.0, locked=18.0, string=30.0, string_byte=0.1,
    string_line=3.0, l1d_miss=14.0, l1i_miss=12.0, l2_miss=100.0,
)
FOUND = Calibration(
    when=datetime(2026, 11, 27, tzinfo=UTC), cpu="Some CPU", cycle_ns=0.25, caches=SIZES,
    costs=COSTS, checks=[
        ProgramCheck(name="lists", program=True, measured=100.0, estimated=160.0),
        ProgramCheck(name="sort", program=True, measured=100.0, estimated=90.0),
        ProgramCheck(name="sum", program=False, measured=1.0, estimated=12.0),
    ],
)
MISSES = {"l1d_misses": [2.0], "l1i_misses": [0.0], "l2_misses": [1.0], "string_lines": [0.0],
          "mispredicted": [4.0], "locked": [2.0], "calls": [6.0]}


def modelled(variant: str, instructions: float, *, seed: int = 1) -> CellProfile:
    found = profile(variant, {"zap": instructions}, columns=MISSES, seed=seed)
    return found.model_copy(update={
        "caches": SIZES, "user_misses": MissCounts(l1d_misses=8.0),
    })


def test_cycles_are_the_sum_of_events() -> None:
    (one,) = compare([modelled("a", 100), modelled("b", 120)], "a", "b")
    found = cycles.estimated(one, FOUND)
    change = found.find("zap")
    assert change is not None
    # Two pages a window: 48 of the 50 instructions are plain, one is locked; and half the rest.
    expected = 0.5 * 49 + 18 * 1 + 2 * 3 + 20 * 2 + 14 * 1 + 100 * 0.5
    assert change.counts[cycles.CYCLES].before == pytest.approx(expected)
    assert change.counts[cycles.CYCLES].after == pytest.approx(expected + 0.5 * 10)
    whole = found.total.counts[cycles.CYCLES].before
    assert whole == pytest.approx(expected + 0.5 * 5 + 14 * 4)  # and user space
    assert rows([found])[0].counts[cycles.CYCLES].after == pytest.approx(expected + 5)


def test_columns_are_there_where_caches_were_modelled() -> None:
    plain = compare([profile("a", {"zap": 1}), profile("b", {"zap": 2})], "a", "b")[0]
    assert "L1d" not in profile_text.counts_columns(plain).values()
    (one,) = compare([modelled("a", 100), modelled("b", 120)], "a", "b")
    assert list(profile_text.counts_columns(one).values())[-1] == "wrong"
    assert list(
        profile_text.counts_columns(cycles.estimated(one, FOUND)).values()
    )[-1] == "cycles"
    assert "cycles" in profile_text.counts_text(cycles.estimated(one, FOUND))


def test_misses_are_of_the_boots_that_modelled_caches() -> None:
    profiles = [
        modelled("a", 100), modelled("b", 120), profile("a", {"zap": 100}, seed=2, boot=2),
        profile("b", {"zap": 120}, seed=2, boot=3),
    ]
    (one,) = compare(profiles, "a", "b")
    assert one.histories == 2
    assert one.total.counts["l1d_misses"].before == pytest.approx(1 + 4)


def test_what_was_assumed_is_said() -> None:
    said = cycles.assumptions(SIZES, FOUND)
    assert "L1d 48K in 12 ways" in said
    assert "35 % in the median and 60 % at most" in said
    assert "harness calibrate" in cycles.assumptions(SIZES, None)
    text = cycles.calibration_text(FOUND)
    assert "4.00 GHz" in text
    assert text.index("lists") < text.index("sum ")
