"""Layout as a factor: blocks, their statistics, and what a report says of them."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from harness.records.plans import Cell, PlannedBoot
from harness.records.workloads import Metric
from harness.report.analysis import layout_blocks, layout_words, stats, verdict
from harness.report.analysis.analyse import Analysis, analyse
from harness.report.data.identity import Column
from harness.report.pages.exports import as_json
from harness.report.pages.mail import mail
from harness.report.pages.terminal import terminal_text
from harness.report.pages.write import write_report
from tests.unit.report.make_planned import Point, make_plan, numbers, write

AFTER = Column("after")
COST = Metric(name="ns_per_op", unit="ns", kind="cost", better="less")
Boots = dict[tuple[int, int], float]  # (layout, seed) to value


def number_of(history: tuple[int, int]) -> int:
    return history[0]


def made_up(
    levels: list[float], effects: list[float], noise: float, boots: int, seed: int = 1
) -> tuple[Boots, Boots]:
    """Layouts with a level and an effect in percent each, and boots with noise in percent."""
    rng = random.Random(seed)
    before, after = {}, {}
    for layout, (level, effect) in enumerate(zip(levels, effects, strict=True)):
        for boot in range(boots):
            before[layout, boot] = level * rng.gauss(1, noise / 100)
            after[layout, boot] = level * (1 + effect / 100) * rng.gauss(1, noise / 100)
    return before, after


def compared(before: Boots, after: Boots, accel: str = "kvm") -> verdict.Comparison:
    one = verdict.compare(COST, accel, before, after, layout=number_of)
    return verdict.decide([one])[0]


def test_variance_parts_are_those_of_the_analysis_of_variance() -> None:
    groups = [[1.0, 1.2, 0.9], [2.0, 2.1, 2.3], [1.5, 1.4, 1.6]]
    parts = stats.variance_parts(groups)
    f, p = scipy_stats.f_oneway(*groups)
    within = float(np.mean([np.var(group, ddof=1) for group in groups]))
    assert parts.within == pytest.approx(within)
    assert parts.p == pytest.approx(p)
    assert parts.between == pytest.approx((f - 1) * within / 3)
    assert parts.share == pytest.approx((f - 1) / (f - 1 + 3)), "ICC(1) of Shrout and Fleiss"


def test_variance_parts_of_groups_of_several_sizes() -> None:
    """By hand: means 1 and 4 of 2 and 4 values; n0 = 6 - 20/6 = 8/3."""
    parts = stats.variance_parts([[0.0, 2.0], [3.0, 5.0, 4.0, 4.0]])
    assert parts.within == pytest.approx(1.0)
    assert parts.between == pytest.approx((12.0 - 1.0) / (8 / 3))


@pytest.mark.parametrize(("groups", "share", "within"), [
    ([[1.0], [2.0]], None, None),
    ([[1.0, 1.0], [1.0, 1.0]], None, 0.0),
    ([[1.0, 1.0], [2.0, 2.0]], 1.0, 0.0),
    ([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]], 0.0, 4 / 3),
])
def test_shares_at_the_edges(
    groups: list[list[float]], share: float | None, within: float | None
) -> None:
    parts = stats.variance_parts(groups)
    assert parts.share == share
    assert parts.within == (None if within is None else pytest.approx(within))


def test_the_intervals_ranks_are_those_of_the_binomial_distribution() -> None:
    for values, wanted in (([3.0, 1.0, 2.0], 0.75), ([1.0, 2.0], 0.5)):
        ends, coverage = stats.median_interval(values)
        assert ends == (1.0, max(values))
        assert coverage == pytest.approx(wanted)
    for count in (6, 7, 9, 12, 20):
        values = [float(value) for value in range(count)]
        ends, coverage = stats.median_interval(values)
        known = scipy_stats.quantile_test(values, q=3.0, p=0.5).confidence_interval(0.95)
        assert ends == (known.low, known.high)
        assert coverage >= 0.95


def test_one_block_is_the_test_of_mann_and_whitney() -> None:
    before, after = [1.0, 2.0, 2.0, 5.0], [3.0, 4.0, 6.0]
    assert stats.blocked_mann_whitney([(before, after)]) == pytest.approx(
        stats.mann_whitney(before, after)
    )
    assert stats.smallest_blocked_p([(3, 3)]) == stats.smallest_p(3, 3) == pytest.approx(0.1)
    assert stats.smallest_blocked_p([(2, 2)] * 3) == pytest.approx(2 / 6**3)
    assert stats.blocked_mann_whitney([]) is None
    assert stats.blocked_mann_whitney([([1.0], [])]) is None


def test_the_blocked_test_counts_all_permutations_within_blocks() -> None:
    blocks = [([1.0, 4.0], [5.0, 7.0]), ([20.0, 10.0], [15.0, 31.0])]

    def rank_sum(chosen: tuple[int, ...], values: list[float]) -> float:
        ranks = scipy_stats.rankdata(values)
        return float(sum(ranks[at] for at in chosen)) - 5.0

    pooled = [[*before, *after] for before, after in blocks]
    observed = sum(rank_sum((0, 1), values) for values in pooled)
    ways = [itertools.combinations(range(4), 2) for _ in pooled]
    sums = [
        sum(rank_sum(one, values) for one, values in zip(choice, pooled, strict=True))
        for choice in itertools.product(*ways)
    ]
    extreme = sum(abs(one) >= abs(observed) - 1e-9 for one in sums)
    assert stats.blocked_mann_whitney(blocks) == pytest.approx(extreme / len(sums))


def test_a_level_that_moves_hides_nothing() -> None:
    """Layouts 20 % apart, an effect of 1 % in each: a pooled test cannot see it, blocks can."""
    before, after = made_up([100, 120, 90], [1.0, 1.0, 1.0], 0.1, 4)
    pooled = stats.mann_whitney(list(before.values()), list(after.values()))
    assert pooled is not None
    assert pooled > 0.05
    one = compared(before, after)
    assert one.verdict == "higher"
    assert one.delta_pct == pytest.approx(1.0, abs=0.15)
    assert one.interval_kind == "layouts"
    assert one.layouts is not None
    assert one.layouts.level_pct == pytest.approx(30, abs=1)
    assert one.layouts.coverage == pytest.approx(0.75)


def test_an_effect_that_depends_on_the_layout_is_no_finding() -> None:
    before, after = made_up([100, 101, 99, 100], [3.0, -2.5, 1.5, -1.0], 0.1, 4)
    one = compared(before, after)
    assert one.word == "same", one.verdict
    assert one.layouts is not None
    share = one.layouts.parts.share
    assert share is not None
    assert share > 0.95
    assert one.layouts.parts.p is not None
    assert one.layouts.parts.p < 1e-3
    wide, far = made_up([100, 100, 100], [30.0, -25.0, 15.0], 0.1, 4)
    assert compared(wide, far).word == "cannot tell"


def test_layouts_that_make_no_difference_have_no_share() -> None:
    shares = []
    for seed in range(40):
        before, after = made_up([100] * 4, [1.0] * 4, 1.0, 5, seed)
        split = compared(before, after).layouts
        assert split is not None
        shares.append(split.parts.share or 0.0)
    assert float(np.median(shares)) < 0.1


def test_a_share_comes_out_as_it_was_made() -> None:
    """Effects scatter by 1 % between layouts and pairs by 1 % within them: half and half."""
    shares = []
    rng = random.Random(5)
    for seed in range(60):
        effects = [rng.gauss(0, 1.0) for _ in range(8)]
        before, after = made_up([100] * 8, effects, 2**-0.5, 6, seed)
        split = compared(before, after).layouts
        assert split is not None
        shares.append(split.parts.share or 0.0)
    assert float(np.mean(shares)) == pytest.approx(0.5, abs=0.07)


def test_counts_are_paired_within_a_layout() -> None:
    """Another layout is another history: without blocks seeds would be paired across layouts."""
    before: Boots = {(k, s): 7000 + 40 * k + 8 * s for k in range(3) for s in range(3)}
    after = {key: value + 9.0 for key, value in before.items()}
    one = compared(before, after, "icount")
    assert one.method == "paired"
    assert one.verdict == "higher"
    assert one.difference == pytest.approx(9.0)
    assert one.layouts is not None
    assert one.layouts.reach_pct < 0.002
    assert [effect.pairs for effect in one.layouts.effects] == [3, 3, 3]
    two_histories = {key: value for key, value in before.items() if key[1] < 2}
    assert compared(two_histories, after, "icount").method == "counted", "three in a layout"


def test_a_layout_that_only_one_side_has_does_not_count() -> None:
    before, after = made_up([100, 110, 120], [1.0, 1.0, 1.0], 0.1, 4)
    lost = {key: value for key, value in after.items() if key[0] != 2}
    one = compared(before, lost)
    assert one.layouts is not None
    assert [effect.layout for effect in one.layouts.effects] == [0, 1]
    alone = {key: value for key, value in after.items() if key[0] == 1}
    assert compared(before, alone).layouts is None
    zero = dict.fromkeys(before, 0.0)
    assert layout_blocks.split(layout_blocks.blocks(zero, after, number_of), paired=True) is None


def laid_out(boot: PlannedBoot, cell: Cell, rng: random.Random) -> Iterator[Point]:
    """Time moves by 5 % from layout to layout; counts do not."""
    for metric, value, unit, t in numbers(boot, cell, rng):
        moved = 1 + 0.05 * boot.layout if cell.accel != "icount" else 1.0
        yield metric, value * moved, unit, t


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Three layouts on both clocks, three boots of each build."""
    plan = make_plan("kvm,icount", boots=3, layouts=3)
    return analyse([write(tmp_path_factory.mktemp("layouts") / "r", plan, numbers=laid_out)])


def test_the_report_says_what_layouts_do(found: Analysis) -> None:
    assert found.warnings == ()
    timed, counted = (next(one for one in found.notes if clock in one)
                      for clock in ("layouts of each kernel, KVM", "kernel, icount"))
    assert "before alone moves by up to 1" in timed, timed
    assert "of the variance of the effect" in timed
    assert "makes no difference to what is counted, as it must" in counted
    for text in (terminal_text(found, 100), mail(found)):
        flat = " ".join(text.split())
        assert timed in flat
        assert counted in flat


def test_rows_are_compared_within_layouts(found: Analysis) -> None:
    row = next(r for r in found.rows if r.metric.name == "faults_per_minute")
    assert len(row.boots(AFTER)) == 9
    split = row.comparisons[AFTER].layouts
    assert split is not None
    assert [effect.layout for effect in split.effects] == [0, 1, 2]
    assert split.level_pct == pytest.approx(9.5, abs=2)
    memory = next(r for r in found.rows if r.is_memory)
    assert memory.comparisons[AFTER].layouts is None


def test_programs_get_every_layout(found: Analysis) -> None:
    rows = json.loads(json.dumps(as_json(found)))["rows"]
    row = next(r for r in rows if r["metric"] == "instructions_per_fault")
    layouts = row["comparisons"][-1]["layouts"]
    assert [one["layout"] for one in layouts["effects"]] == [0, 1, 2]
    assert layouts["share_of_variance"] is not None
    assert layouts["coverage"] == 0.75
    assert {"delta_pct", "interval_pct", "between_sd_pct", "within_sd_pct", "p",
            "baseline_moves_pct"} < set(layouts)


def test_the_pages_have_a_table_of_layouts(found: Analysis, tmp_path: Path) -> None:
    files = write_report(found, tmp_path)
    page, text = files.html.read_text(), files.markdown.read_text()
    assert 'id="layouts"' in page
    assert 'href="#layouts"' in page
    assert "## Layouts: the same code at other addresses" in text
    assert "layout 2 (55,002 bytes before 1000 objects)" in text
    assert "after (layout 1)" in text, "the order of boots"
    assert ",layout," in files.samples_csv.read_text().splitlines()[0]


def test_a_count_that_depends_on_the_layout_is_said(tmp_path: Path) -> None:
    def addresses(boot: PlannedBoot, cell: Cell, rng: random.Random) -> Iterator[Point]:
        for metric, value, unit, t in numbers(boot, cell, rng):
            hashed = 1.02 if boot.layout == 1 and boot.variant == "after" else 1.0
            yield metric, value * hashed, unit, t

    plan = make_plan("icount", boots=3, layouts=3, strange=False)
    told = analyse([write(tmp_path / "r", plan, numbers=addresses)])
    assert "something there depends on addresses" in told.notes[0]


def test_without_layouts_nothing_is_said_of_them(tmp_path: Path) -> None:
    plain = analyse([write(tmp_path / "r", make_plan("icount", boots=3, strange=False))])
    assert not layout_words.splits(plain.rows)
    assert not any("layout" in note for note in plain.notes)
    files = write_report(plain, tmp_path / "out")
    assert "#layouts" not in files.html.read_text()
    assert "## Layouts" not in files.markdown.read_text()
