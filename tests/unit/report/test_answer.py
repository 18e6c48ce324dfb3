"""The first three sentences, the findings below them, and what is known of the kernels' health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.records.kernels import Kernel
from harness.records.plans import Pair, PlannedTest, SuitePlan
from harness.records.runs import Run, RunStatus
from harness.records.store import RunWriter
from harness.records.verdicts import Verdict, Word
from harness.records.workloads import Metric
from harness.report.analysis import findings, verdict, words
from harness.report.analysis.analyse import Analysis, analyse
from harness.report.analysis.rows import History, Place, Row
from harness.report.analysis.verdict import Comparison
from harness.report.data.identity import Column
from harness.report.pages.terminal import terminal_text
from tests.unit.report.make_run import MakeRun, kernel


def suite(
    directory: Path, found: Sequence[tuple[str, str, Word]], *, status: RunStatus = "complete",
    kernels: dict[str, Kernel] | None = None, planned: int = 2,
) -> Path:
    """A run of a suite with these verdicts: variant, test, word."""
    variants = ["before", "after"]
    plan = SuitePlan(
        suite="races", variants=variants, comparisons=[Pair(baseline="before", variant="after")],
        tests=[PlannedTest(name=f"t{number}") for number in range(planned)],
    )
    run = Run(run=directory.name, status=status, plan=plan,
              kernels=kernels or {name: kernel(name) for name in variants})
    writer = RunWriter(directory, run)
    for variant, test, word in found:
        writer.verdict(Verdict(suite="races", test=test, variant=variant, verdict=word))
    return directory


def answers(analysis: Analysis) -> dict[str, tuple[str, str]]:
    """Kind to verdict and text."""
    return {one.kind: (one.verdict, one.text) for one in analysis.answer}


def test_counted_costs_answer_with_interval_and_difference(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", accel="icount", boots=4, seeds=True, noise=0.0).write()
    found = answers(analyse([run]))
    assert found["memory"][0] == "lower"
    assert "248 kB with after against 102,440 with before, -99.76 %, 413 times less" in (
        found["memory"][1]
    )
    assert found["cost"][0] == "higher"
    assert found["cost"][1].startswith("3 cells: 3 higher; from +1.00 %, ")
    assert "+68.1 instructions (1 thread)" in found["cost"][1]
    assert found["stability"][0] == "not known"
    assert found["stability"][1].startswith("No crash in 8 boots of the measurement")


def test_a_wall_clock_under_emulation_is_no_answer(tmp_path: Path) -> None:
    emulated = analyse([MakeRun(tmp_path / "a", boots=6, effect=-0.2).write()])
    verdict_, text = answers(emulated)["cost"]
    assert verdict_ == "not known" and "--accel icount" in text
    assert {line.kind for line in emulated.findings} == {"memory"}
    assert {line.kind for line in emulated.noise} == {"wall clock"}
    real = analyse([MakeRun(tmp_path / "b", boots=6, effect=-0.2, accel="kvm").write()])
    assert answers(real)["cost"][0] == "lower"
    assert {line.tone for line in real.findings if line.kind == "cost"} == {"bad"}
    assert real.noise == ()


def test_nothing_compared_and_nothing_measured_are_said(tmp_path: Path) -> None:
    alone = answers(analyse([MakeRun(tmp_path / "a", variants=["before"], accel="kvm").write()]))
    assert alone["memory"] == ("not known", "Memory was measured, and nothing of it was compared.")
    nothing = answers(analyse([MakeRun(tmp_path / "b", skip=lambda boot, s: True).write()]))
    assert nothing["memory"][1] == "Nothing was measured that says how much memory is held."
    assert nothing["cost"][1] == "Nothing was measured that says what an operation costs."


def test_a_test_that_got_worse_is_named(tmp_path: Path) -> None:
    bench = MakeRun(tmp_path / "bench").write()
    races = suite(tmp_path / "races", [
        ("before", "t0", "pass"), ("before", "t1", "pass"),
        ("after", "t0", "fail"), ("after", "t1", "pass"),
    ])
    found = analyse([races, bench])
    assert [one.directory for one in found.data.runs] == [bench]
    assert answers(found)["stability"] == (
        "1 test worse",
        "No crash in 4 boots of the measurement; races: after against before: 2 tests on both, "
        "1 the same, 1 worse (t0).",
    )


def test_a_failure_that_did_not_repeat_or_was_there_before_is_not_worse(tmp_path: Path) -> None:
    bench = MakeRun(tmp_path / "bench").write()
    races = suite(tmp_path / "races", [
        ("before", "t0", "fail"), ("before", "t1", "pass"),
        ("after", "t0", "fail"), ("after", "t1", "fail"), ("after", "t1", "pass"),
    ])
    verdict_, text = answers(analyse([bench, races]))["stability"]
    assert verdict_ == "nothing found" and "0 worse" in text


def test_a_suite_on_other_builds_is_no_health_of_these(tmp_path: Path) -> None:
    bench = MakeRun(tmp_path / "bench").write()
    others = {name: kernel(name, key=f"other-{name}") for name in ("before", "after")}
    races = suite(tmp_path / "races", [("after", "t0", "crash")], kernels=others)
    found = analyse([bench, races])
    assert answers(found)["stability"][0] == "not known"
    assert any("builds that this report has not measured" in one for one in found.warnings)


def test_of_a_suite_the_same_build_counts_and_the_other_does_not(tmp_path: Path) -> None:
    bench = MakeRun(tmp_path / "bench").write()
    mixed = {"before": kernel("before", key="another"), "after": kernel("after")}
    races = suite(tmp_path / "races", [("after", "t0", "pass")], kernels=mixed)
    found = analyse([bench, races])
    assert "races: 1 pass on after, compared with nothing" in answers(found)["stability"][1]
    assert any("ran on before, a build that this report" in one for one in found.warnings)


def test_an_unfinished_suite_says_so(tmp_path: Path) -> None:
    bench = MakeRun(tmp_path / "bench").write()
    races = suite(tmp_path / "races", [("before", "t0", "pass"), ("after", "t0", "pass")],
                  status="interrupted")
    text = answers(analyse([bench, races]))["stability"][1]
    assert "races (not finished)" in text and "1 not run on both" in text


def test_several_variants_have_a_finding_each(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", variants=["before", "one", "two"], boots=6, accel="kvm")
    found = analyse([run.write()])
    assert {(line.kind, line.pair) for line in found.findings} == {
        (kind, f"{name} against before") for kind in ("memory", "cost") for name in ("one", "two")
    }
    assert "one against before: " in answers(found)["memory"][1]


def test_a_variant_compared_with_nothing_is_said_to_be(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", variants=["before", "after", "odd"], pairs=[("before", "after")])
    (warning,) = analyse([run.write()]).warnings
    assert warning.startswith("odd: compared with nothing")


def row(workload: str, metric: Metric, number: int = 0) -> Row:
    """A row of two sides without spread."""
    before, after = Column("before"), Column("after")
    sides = {side: {History("r", 0, 0): 1.0} for side in (before, after)}
    one = verdict.compare(metric, "icount", {0: 1.0}, {0: 1.1})
    one = replace(one, variant=after, baseline=before)
    place = Place("icount", "b", "m")
    return Row(workload, {}, metric, "kB", place, sides, {after: one}, f"cell {number}", (), True)


@pytest.mark.parametrize("workloads, cells", [(1, 2), (1, 9), (6, 1), (6, 4), (30, 3)])
def test_findings_fit_before_the_first_scroll(workloads: int, cells: int) -> None:
    kinds = [Metric(name="held", unit="kB", kind="memory", better="less"),
             Metric(name="price", unit="ns", kind="cost", better="less")]
    many = [row(f"w{one}", metric, cell) for one in range(workloads) for metric in kinds
            for cell in range(cells)]
    lines = findings.findings(many)
    assert 1 <= len(lines) <= findings.MOST_LINES
    assert [line.kind for line in lines] == sorted((line.kind for line in lines), reverse=True)
    assert {line.kind for line in lines} == {"memory", "cost"}


def change(delta: float, low: float, high: float) -> Comparison:
    """A comparison of that change and interval, in percent."""
    return Comparison("paired", 1 + delta / 100, difference=9.0,
                      interval=(1 + low / 100, 1 + high / 100))


@pytest.mark.parametrize(
    "one, text, span",
    [
        (change(0.1241, 0.1239, 0.1243), "+0.1241 %", "+0.1239 to +0.1243 %"),
        (change(0.124, 0.11, 0.15), "+0.12 %", "+0.11 to +0.15 %"),
        (change(-5.0, -7.5, -2.0), "-5.00 %", "-7.50 to -2.00 %"),
        (change(0.5, 0.5, 0.5), "+0.50 %", "+0.50 %"),
        (change(0.03, -0.01, 0.05), "+0.030 %", "-0.010 to +0.050 %"),
    ],
)
def test_digits_do_not_end_where_the_tool_is_best(one: Comparison, text: str, span: str) -> None:
    assert (words.change(one), words.interval(one)) == (text, span)
    assert words.difference(one, "instructions") == "+9.0 instructions"


def test_a_small_change_is_not_rounded_away() -> None:
    assert [words.percent(x) for x in (0.0727, 0.0008, -0.64, 0.0)] == [
        "+0.073 %", "+0.0008 %", "-0.64 %", "+0.00 %",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_terminal_is_never_overrun(tmp_path: Path, width: int) -> None:
    runs = [MakeRun(tmp_path / name, name, keys={"after": name}, accel="icount", seeds=True,
                    boots=3, variants=["before", "after", "a-variant-with-a-long-name"]).write()
            for name in ("20261123-010203-quick", "20261124-010203-quick")]
    text = terminal_text(analyse(runs), width)
    assert max(map(len, text.splitlines())) <= width
    assert "Memory: " in text and "Cost: " in text and "Stability: " in text


def test_the_terminal_is_short(tmp_path: Path) -> None:
    lines = terminal_text(analyse([MakeRun(tmp_path / "r").write()]), 100).splitlines()
    assert len(lines) < 18
    assert lines[0].startswith("Compared: after (6.1.")
    assert any(line.startswith("Memory: lower.") for line in lines[1:3])


def cell_with(word: str, delta: float) -> findings.Claim:
    """A cell with this verdict and this change in percent."""
    one = row("w", Metric(name="cost", unit="ns", kind="cost", better="less"))
    return one, Comparison("paired", 1 + delta / 100, verdict=word)


def test_the_few_that_differ_are_named_apart() -> None:
    many = [cell_with("same within 0 %", 0.0) for _ in range(6)]
    differ = [cell_with("higher", 1.0), cell_with("lower", -2.0)]
    assert findings.apart([*many, *differ]) == ([differ[1], differ[0]], many)
    # Where most differ, or none, there is nothing to be set apart.
    assert findings.apart(many) == ([], many)
    few = [*differ, many[0]]
    assert findings.apart(few) == ([], few)
