"""A metric across runs: one line a run, steps where there are some and nowhere else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import UserError
from harness.records.plans import Cell, PlannedBoot
from harness.report.analysis import stats
from harness.report.analysis.trend import Trend, trends
from harness.report.data.find import all_runs
from harness.report.pages.trend_page import trend_json, trend_text, write_trend
from tests.unit.report.make_planned import Point, make_plan, numbers, write


def runs(folder: Path, count: int, factor: Callable[[int, str, PlannedBoot], float]) -> list[Path]:
    """Runs of both clocks on successive days; ``factor`` is applied to (run, metric, boot)."""
    plan = make_plan(strange=False, histories=3)
    found = []
    for number in range(count):
        def scaled(boot: PlannedBoot, cell: Cell, rng: random.Random, number: int = number) \
                -> Iterator[Point]:
            for metric, value, unit, t in numbers(boot, cell, rng):
                yield metric, value * factor(number, metric, boot), unit, t

        found.append(write(folder / f"r{number}", plan, numbers=scaled, name=f"r{number}",
                           seed=number, started=f"2026-11-{10 + number}T03:00:00Z"))
    return found


def by_name(found: list[Trend]) -> dict[tuple[str, int, str], Trend]:
    return {(t.row.metric.name, int(t.row.params.get("threads", 0)), t.variant): t for t in found}


@pytest.fixture(scope="module")
def stepped(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Trend], list[Path]]:
    """Ten runs: counts of `after` fall at run 6, all rates at run 5, VmPTE of `after` at run 8."""

    def factor(number: int, metric: str, boot: PlannedBoot) -> float:
        after = boot.variant == "after"
        if metric == "instructions_per_fault" and after and number >= 6:
            return 0.996
        if metric == "VmPTE" and after and number >= 8:
            return 0.5
        return 0.95 if metric == "faults_per_minute" and number >= 5 else 1.0

    found = runs(tmp_path_factory.mktemp("trend"), 10, factor)
    return trends(found[::-1])[0], found


def test_steps_are_where_they_were_made(stepped: tuple[list[Trend], list[Path]]) -> None:
    found = by_name(stepped[0])
    assert list(found["instructions_per_fault", 1, "after"].steps) == [6]
    assert found["instructions_per_fault", 1, "before"].steps == {}
    assert found["VmPTE", 0, "after"].steps == {8: "-50.00 %"}
    assert found["VmPTE", 0, "before"].steps == {}
    assert list(found["faults_per_minute", 1, "before"].steps) == [5]


def test_runs_stand_in_the_order_of_time(stepped: tuple[list[Trend], list[Path]]) -> None:
    for trend in stepped[0]:
        assert [p.run for p in trend.points] == [f"r{n}" for n in range(10)]
    assert {trend.variant for trend in stepped[0]} == {"before", "after"}


def test_text_and_json_hold_every_run(
    stepped: tuple[list[Trend], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    trend = by_name(stepped[0])["VmPTE", 0, "after"]
    text = trend_text(stepped[0], ["something"])
    lines = text.splitlines()
    assert lines[0] == "! something"
    assert len(lines) < 60 and max(map(len, lines)) <= 120
    assert text.index("-50.00 % at r8") < text.index("none"), "steps first"
    (plain,) = json.loads(json.dumps(trend_json([trend])))
    assert plain["points"][8]["step"] == "-50.00 %" and plain["points"][0]["median"] == 234


def test_what_was_measured_once_has_no_line(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, 1, lambda *_: 1.0)
    found, _ = trends([run])
    assert trend_text(found, []) == "14 cells measured in one run only: no trend, see the page."


def test_page_holds_a_plot_and_tables(
    stepped: tuple[list[Trend], list[Path]], tmp_path: Path
) -> None:
    page = write_trend(stepped[0], [], tmp_path).read_text()
    assert page.count("<figure") == 7
    assert page.count("<table>") == 14
    assert "-50.00 % at r8" in page


def test_few_wall_clock_runs_show_no_step(tmp_path: Path) -> None:
    found = runs(tmp_path, 4, lambda number, metric, boot: 0.5 if number >= 2 else 1.0)
    trend = by_name(trends(found)[0])
    assert trend["faults_per_minute", 1, "before"].steps == {}
    assert list(trend["instructions_per_fault", 1, "before"].steps) == [2]


def test_chosen_metric_and_bad_runs(tmp_path: Path) -> None:
    good = runs(tmp_path / "runs", 2, lambda *_: 1.0)
    (tmp_path / "runs" / "r1" / "samples.jsonl").unlink()
    found, warnings = trends([*good, tmp_path], ["VmRSS"])
    assert {t.row.metric.name for t in found} == {"VmRSS"}
    assert any("r1 is left out" in w for w in warnings) and len(warnings) == 2
    with pytest.raises(UserError, match="no run holds"):
        trends(good, ["nonsense"])
    with pytest.raises(UserError, match="no run"):
        trends([tmp_path])
    assert [path.name for path in all_runs(tmp_path)] == ["r0", "r1"]


def test_change_point_of_a_hand_made_step() -> None:
    assert stats.change_points([1, 2, 1.5, 1.2, 9, 8, 8.5, 9.2]) == [4]
    assert stats.change_points([1, 2, 1, 2, 9, 8, 9, 8, 30, 31, 30, 32, 31]) == [4, 8]
    assert stats.change_points([5.0] * 20) == []
    assert stats.change_points([1, 2, 9]) == []
    assert stats.change_points([1, 1, 1, 9, 9, 9]) == [], "6 runs: 3!3!*2/6! = 0.1"


def test_change_point_p_value_is_that_of_all_orders() -> None:
    """Of 4+4 separated values 2*4!*4!/8! = 1/35 of all orders are as extreme: below 5 %."""
    ranks = np.array([1, 2, 3, 4, 5, 6, 7, 8], dtype=float)
    orders = np.array(list(permutations(ranks)))
    largest = stats._split_statistics(orders).max(axis=1)
    exact = float(np.mean(largest >= largest[0] - 1e-9))
    assert exact == pytest.approx(2 * 24 * 24 / 40320)
    assert stats.change_points(list(ranks)) == [4]


def test_false_steps_are_rare() -> None:
    rng = random.Random(3)
    hits = sum(
        bool(stats.change_points([rng.gauss(100, 1) for _ in range(12)])) for _ in range(60)
    )
    assert hits <= 7  # 5 % of 60 are 3
