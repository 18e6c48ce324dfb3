"""No verdict that the data cannot carry."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from harness.records.workloads import Metric
from harness.report.analysis import stats, verdict
from harness.report.analysis.verdict import Comparison

RATE = Metric(name="faults_per_minute", unit="faults/min", kind="cost", better="more")
PRICE = Metric(name="instructions_per_fault", unit="instructions", kind="cost", better="less")
TABLES = Metric(name="VmPTE", unit="kB", kind="memory", better="less", exact=True, slack=8)


def side(values: Sequence[float], start: int = 0) -> dict[int, float]:
    """Boots without a common history."""
    return dict(enumerate(values, start))


def wall(before: Sequence[float], after: Sequence[float], cells: int = 1) -> Comparison:
    """A decided wall-clock comparison in a family of equal cells."""
    family = [
        verdict.compare(RATE, "tcg", side(before), side(after, 100))
        for _ in range(cells)
    ]
    return verdict.decide(family)[0]


def test_six_separated_boots_are_a_verdict() -> None:
    low = [96.0, 96.1, 96.2, 96.3, 96.4, 96.5]
    high = [100.0, 100.1, 100.2, 100.3, 100.4, 100.5]
    assert wall(high, low, cells=3).verdict == "lower"
    assert wall(low, high, cells=3).verdict == "higher"
    result = wall(high, low)
    assert result.p == pytest.approx(2 / 924)
    assert result.interval_kind == "bootstrap"


def test_two_boots_are_never_a_verdict() -> None:
    result = wall([100, 101], [50, 51])
    assert result.verdict == "cannot tell (needs about 2 more boots)"
    assert result.interval_kind == "range"
    assert result.interval == pytest.approx((50 / 101, 51 / 100))


def test_one_boot_each_has_no_interval() -> None:
    result = wall([100], [99])
    assert result.interval is None
    assert result.verdict.startswith("cannot tell")


def test_three_cells_need_more_boots_than_one() -> None:
    low, high = [96.0, 96.1, 96.2, 96.3], [100.0, 100.1, 100.2, 100.3]
    assert wall(high, low).p == pytest.approx(2 / 70)
    assert wall(high, low, cells=3).verdict == "cannot tell (needs about 2 more boots)"


def test_equal_within_a_stated_bound() -> None:
    same = [100.0, 100.2, 99.8, 100.1, 99.9, 100.05]
    assert wall(same, [x + 0.01 for x in same]).verdict.startswith("same within 0.")
    noisy = [90.0, 110.0, 95.0, 105.0, 92.0, 108.0]
    assert wall(noisy, noisy).verdict == "cannot tell (needs more than 400 more boots)"


def test_equal_constants_are_the_same() -> None:
    assert wall([5.0] * 6, [5.0] * 6).verdict == "same within 0 %"
    # The ratio of two zeros is 1, but no interval of ratios can be made of them.
    nothing = wall([0.0] * 6, [0.0] * 6)
    assert (nothing.delta_pct, nothing.interval) == (0.0, None)
    assert nothing.verdict == "cannot tell (needs about 2 more boots)"


def test_false_claims_stay_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under no effect, over 300 experiments of three cells, Holm keeps claims near 5 %."""
    monkeypatch.setattr(stats, "RESAMPLES", 300)
    rng = random.Random(5)
    claims = 0
    for _ in range(300):
        family = [
            verdict.compare(
                RATE, "kvm",
                side([rng.gauss(100, 1) for _ in range(6)]),
                side([rng.gauss(100, 1) for _ in range(6)], 100),
            )
            for _ in range(3)
        ]
        claims += any(c.word in ("lower", "higher") for c in verdict.decide(family))
    assert claims / 300 < 0.08


@pytest.mark.parametrize(
    "before, after, word",
    [
        ([102_440], [248], "lower"),
        ([248, 252], [102_440], "higher"),
        ([248, 248], [248], "same within 0 %"),
        ([100_000, 100_100], [100_050, 100_100], "same within 0.10 %"),
        ([100, 300], [200, 250], "cannot tell (needs about 3 more boots)"),
        ([0], [0], "same within 0 %"),
        ([0], [4], "same within 4 kB"),
        ([44, 44], [52, 52], "same within 8 kB"),
        ([44, 44], [56, 56], "higher"),
        ([102_440], [102_448], "same within 0.0079 %"),
    ],
)
def test_exact_metrics_compare_ranges(
    before: list[float], after: list[float], word: str
) -> None:
    assert verdict.compare(TABLES, "tcg", side(before), side(after, 100)).verdict == word


def test_only_what_is_declared_exact_is() -> None:
    """Memory that depends on when a background thread runs may be constant by accident."""
    sides = side([780.0, 780.0]), side([732.0, 732.0], 100)
    assert verdict.compare(TABLES, "tcg", *sides).verdict == "lower"
    allocator = TABLES.model_copy(update={"exact": False})
    assert (verdict.compare(allocator, "tcg", *sides).method) == "test"
    freed = Metric(name="tables_freed", unit="tables", exact=True)
    assert verdict.compare(freed, "tcg", side([0, 0]), side([256, 256], 9)).verdict == "higher"
    assert verdict.compare(freed, "tcg", side([3, 3]), side([3, 3], 9)).verdict == "same within 0 %"


@pytest.mark.parametrize(
    "before, after, verdict_",
    [
        ([772.0, 772.0], [768.0, 768.0], "same within 4 kB"),
        ([772.0, 700.0], [768.0, 900.0], "same within 200 kB"),
        ([772.0, 772.0], [508.0, 516.0], ""),
    ],
)
def test_a_quantity_counted_in_batches_is_the_same_within_them(
    before: list[float], after: list[float], verdict_: str
) -> None:
    rss = Metric(name="VmRSS", unit="kB", better="less", slack=256)
    assert verdict.compare(rss, "kvm", side(before), side(after, 100)).verdict == verdict_


def test_rates_without_spread_need_as_many_boots_as_others() -> None:
    assert wall([100.0] * 2, [101.0] * 2).verdict.startswith("cannot tell")
    assert wall([100.0] * 6, [101.0] * 6).verdict == "higher"


@pytest.mark.parametrize(
    "residual, word",
    [(0.0, "higher"), (0.2, "higher"), (0.35, "same within 0.35 %")],
)
def test_no_count_is_believed_below_the_residual(residual: float, word: str) -> None:
    before = side([6680.0, 6850.0, 6720.0])
    after = {seed: value * 1.003 for seed, value in before.items()}
    found = verdict.compare(PRICE, "icount", before, after, residual)
    assert found.verdict == word


def counted(before: Sequence[float], after: Sequence[float], *, paired: bool) -> Comparison:
    """An icount comparison; paired means that both sides have the same seeds."""
    start = 0 if paired else 100
    return verdict.compare(PRICE, "icount", side(before), side(after, start))


def test_counts_of_one_history_are_not_believed_below_the_known_effect_of_history() -> None:
    assert counted([6680, 6681], [6720, 6721], paired=False).verdict.startswith("cannot tell")
    assert counted([6680, 6690], [7000, 7010], paired=False).verdict == "higher"
    assert counted([6680], [7000], paired=False).verdict.startswith("cannot tell")
    assert counted([6680], [7000], paired=True).verdict.startswith("cannot tell")
    assert counted([6680, 6681], [6680, 6681], paired=False).verdict == "same within 2.5 %"


def test_counts_are_paired_by_history() -> None:
    before = [6680.0, 6850.0, 6720.0, 6790.0]  # 2.5 % between histories
    result = counted(before, [x + 20 for x in before], paired=True)  # +0.3 % in each
    assert (result.method, result.verdict) == ("paired", "higher")
    assert result.delta_pct == pytest.approx(0.296, abs=0.01)
    nudged = [x + d for x, d in zip(before, (1, -1, 2, -2), strict=True)]
    assert counted(before, nudged, paired=True).verdict == "same within 0.030 %"


def test_paired_differences_that_do_not_outgrow_their_spread_are_no_verdict() -> None:
    before = [6680.0, 6850.0, 6720.0]
    after = [6690.0, 6950.0, 6725.0]
    assert counted(before, after, paired=True).verdict.startswith("cannot tell")


@pytest.mark.parametrize(
    "percent, text",
    [(0, "0"), (0.123, "0.13"), (1.0, "1.0"), (1.01, "1.1"), (4.96, "5.0"), (12.3, "13")],
)
def test_the_bound_is_rounded_up(percent: float, text: str) -> None:
    assert verdict.same_within(percent) == f"same within {text} %"


def test_hopeless_spread_says_so() -> None:
    assert verdict.cannot_tell(10_000) == "cannot tell (needs more than 400 more boots)"
