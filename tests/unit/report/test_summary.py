"""A report says what stability runs found, or that there was none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from harness.records.old_verdicts import StabilityRun, Verdict, VerdictWriter, Word
from harness.report.analysis import rows as tables
from harness.report.analysis import verdict
from harness.report.analysis.summary import summarize
from harness.report.data import tested as stability
from harness.report.data.load import load
from harness.report.pages import words
from harness.report.pages.text import terminal_summary
from harness.suites.compare import compare
from harness.suites.formats import as_record
from tests.unit.report.make_run import MakeRun


def record(directory: Path, words: Sequence[tuple[str, str, Word]], *, finished: bool = True) \
        -> Path:
    """A stability run with these verdicts: variant, test, word."""
    run = StabilityRun(
        started="2026-01-01", finished="2026-01-02" if finished else "", suite="races",
        variants={"before": {}, "after": {}},
    )
    writer = VerdictWriter(directory, run)
    verdicts = [Verdict(suite="races", test=t, variant=v, verdict=w) for v, t, w in words]
    for one in verdicts:
        writer.add(one)
    if finished:
        found = {("before", "after"): compare(verdicts, "before", "after")}
        (directory / "verdicts.json").write_text(json.dumps(as_record(verdicts, found, [])))
    return directory


def test_a_regression_is_named(tmp_path: Path) -> None:
    run = record(tmp_path, [
        ("before", "race-fork", "pass"), ("before", "race-exit", "pass"),
        ("after", "race-fork", "fail"), ("after", "race-exit", "pass"),
    ])
    assert stability.sentences([run]) == [
        "races: after against before, 2 tests: 1 regression (race-fork), 0 crashes, 1 same."
    ]


def test_an_unfinished_run_has_counts_and_no_comparison(tmp_path: Path) -> None:
    run = record(tmp_path, [("before", "race-fork", "pass")], finished=False)
    assert stability.sentences([run]) == [
        "races (not finished): nothing was compared; before: 1 pass; after: no verdict."
    ]


def test_the_summary_shows_what_was_given_or_that_nothing_was(tmp_path: Path) -> None:
    bench = MakeRun(tmp_path / "bench").write()
    run = record(tmp_path / "races", [("before", "t", "pass"), ("after", "t", "pass")])
    assert stability.NONE in summarize(load([bench]), []).stability
    data = load([run, bench])
    assert [one.directory for one in data.runs] == [bench]
    shown = " ".join(terminal_summary(data).split())
    assert "races: after against before, 1 test: 0 regressions" in shown


def test_several_variants_have_a_finding_each(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", variants=["before", "one", "two"], boots=6).write()
    data = load([run])
    found = summarize(data, tables.build(data)).lines
    pairs = {(line.kind, line.what.rpartition(", ")[2]) for line in found}
    assert pairs == {
        (kind, f"{name} against before") for kind in ("memory", "cost") for name in ("one", "two")
    }


def test_a_small_change_is_not_rounded_away() -> None:
    assert [words.percent(x) for x in (0.0727, 0.0008, -0.00001, -0.64, 0.0)] == [
        "+0.073 %", "+0.0008 %", "0 %", "-0.64 %", "0 %",
    ]


def test_a_run_of_all_workloads_still_fits_a_screen(tmp_path: Path) -> None:
    """One line a workload for its page tables, one for its costs, however many metrics it has."""
    def row(workload: str, metric: str) -> tables.Row:
        sides = {name: {("seed", 0): 1.0} for name in ("before", "after")}
        one = tables.Row(workload, {}, metric, "kB", "tcg", "b", "m", sides)
        one.comparisons["after"] = verdict.compare(metric, "tcg", {0: 1.0}, {1: 1.0})
        return one

    names = ("VmPTE", "VmPTE_peak", "us_per_fork", "ns_per_page", "operations_per_second")
    many = [row(f"w{number}", metric) for number in range(6) for metric in names]
    data = load([MakeRun(tmp_path / "r").write()])
    lines = summarize(data, many).lines
    assert [line.kind for line in lines] == ["memory"] * 6 + ["cost"] * 6
    assert lines[6].what == "w0, 3 cells: 3 costs"
