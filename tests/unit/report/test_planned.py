"""What a bench plans, the report reads: control, repeated boot, two clocks, unknown workloads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.records.hosts import HostState
from harness.records.plans import Cell, PlannedBoot
from harness.report.analysis import words
from harness.report.analysis.analyse import Analysis, analyse
from harness.report.data.identity import Column
from harness.report.pages.mail import mail
from harness.report.pages.terminal import terminal_text
from harness.report.pages.write import write_report
from harness.style import theme
from tests.unit.report.make_planned import OPS, Point, make_plan, numbers, write

BEFORE, AFTER = Column("before"), Column("after")
CONTROL = Column("before", control=True)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """A run of six boots with both clocks, a control, and workloads the report does not know."""
    return analyse([write(tmp_path_factory.mktemp("planned") / "r", make_plan(boots=6))])


def test_a_sound_run_of_both_clocks_has_no_warning(found: Analysis) -> None:
    assert found.warnings == ()


def test_the_control_comes_right_after_what_it_controls(found: Analysis) -> None:
    assert found.data.columns == [BEFORE, CONTROL, AFTER]
    row = next(r for r in found.rows if r.metric.name == "faults_per_minute")
    assert list(row.comparisons) == [CONTROL, AFTER]
    assert row.comparisons[CONTROL].control and list(row.claims) == [AFTER]
    assert len(row.boots(CONTROL)) == 6


def test_no_row_mixes_clocks(found: Analysis) -> None:
    for row in found.rows:
        assert (row.accel == "icount") == row.metric.name.startswith("instructions")
    clocks = {(row.workload, row.accel) for row in found.rows}
    assert ("multi-fault", "tcg") in clocks and ("multi-fault", "icount") in clocks


def test_the_repeated_boot_tells_of_determinism_and_is_no_sample(found: Analysis) -> None:
    row = next(r for r in found.rows if r.metric.name == "instructions_per_fault")
    assert {len(row.boots(side)) for side in row.values} == {6}
    assert len(found.residuals) == 3 + len(OPS)
    assert all(r.pct < r.limit_pct for r in found.residuals)
    assert found.notes[-1].startswith("A boot done again differs by at most 0.0")
    assert "A boot done again differs" in terminal_text(found)


def unsteady(boot: PlannedBoot, cell: Cell, rng: random.Random) -> Iterator[Point]:
    """Counts that do not repeat: the boot done again is 2 % off, the effect is 0.6 %."""
    for metric, value, unit, t in numbers(boot, cell, rng):
        yield metric, value * (1.02 if boot.again is not None else 1), unit, t


def test_no_claim_below_what_a_repetition_differs_by(tmp_path: Path) -> None:
    plan = make_plan("icount", strange=False, boots=6)
    shaky = analyse([write(tmp_path / "r", plan, numbers=unsteady)])
    assert {row.comparisons[AFTER].word for row in shaky.rows} == {"same"}
    start = "Counting did not repeat in 1 thread, 8 threads and 16 threads: the same boot twice "
    assert shaky.warnings[0].startswith(start + "differs by up to 2.0")
    steady = analyse([write(tmp_path / "s", plan)])
    assert {row.comparisons[AFTER].verdict for row in steady.rows} == {"higher"}


def drifting(boot: PlannedBoot, cell: Cell, rng: random.Random) -> Iterator[Point]:
    """A control that differs: something is wrong with the experiment."""
    for metric, value, unit, t in numbers(boot, cell, rng):
        yield metric, value * (1.5 if boot.control else 1), unit, t


def test_a_control_that_differs_is_said_first(tmp_path: Path) -> None:
    plan = make_plan("tcg", strange=False, boots=6)
    shaky = analyse([write(tmp_path / "r", plan, numbers=drifting)])
    assert "trust no difference of this size" in shaky.warnings[0]
    assert {line.kind for line in shaky.noise} == {"A/A control", "wall clock"}


def test_a_run_without_a_control_says_so(tmp_path: Path) -> None:
    alone = analyse([write(tmp_path / "r", make_plan("tcg", strange=False, control=False))])
    assert alone.notes[0].startswith("There is no A/A control")


def test_unknown_workloads_have_rows_and_verdicts(found: Analysis) -> None:
    rows = {(r.workload, r.cell, r.metric.name): r for r in found.rows}
    freed = rows["chunky", "chunky, chunk 64 KiB", "tables_freed"].comparisons[AFTER]
    assert (freed.verdict, freed.method) == ("higher", "exact")
    swap = rows["op-cost", "op-cost, swap_in", "instructions_per_page"]
    assert swap.comparisons[AFTER].verdict == "higher"
    assert rows["heap", "heap", "VmPTE"].comparisons[AFTER].verdict == "lower"


def test_the_findings_are_on_the_clock_that_can_tell(found: Analysis) -> None:
    assert len(found.findings) <= 7
    kinds = [line.kind for line in found.findings]
    assert kinds == sorted(kinds, reverse=True) and set(kinds) == {"memory", "cost"}
    costs = [line for line in found.findings if line.kind == "cost"]
    assert any(line.cell == "op-cost, 6 cells" for line in costs)
    assert not any("minute" in line.metric or "nanosec" in line.metric for line in costs)
    assert {line.kind for line in found.noise} == {"A/A control", "wall clock"}


def test_every_cell_is_in_a_plot_and_a_table(
    found: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theme, "to_png", lambda figure: b"")
    files = write_report(found, tmp_path)
    names = {path.stem for path in files.plots}
    assert {
        "answer", "change-cost-tcg", "change-cost-icount", "vmpte-tcg", "heap-vmpte-tcg",
        "chunky-vmpte-by-chunk-kib-tcg", "chunky-ns-per-page-by-chunk-kib-tcg",
        "multi-fault-faults-per-minute-by-threads-tcg", "change-chunky-tcg",
        "multi-fault-instructions-per-fault-by-threads-icount",
    } <= names
    html = files.html.read_text()
    said = html.split('id="change-cost-icount-desc">')[1].split("</desc>")[0]
    for op in OPS:
        assert f"op-cost, {op}" in said
        assert html.count(op) >= 2
    assert "chunk 4096 KiB" in html
    assert max(map(len, mail(found).splitlines()[1:])) <= 72


def test_a_spoilt_host_is_said_where_time_was_measured(tmp_path: Path) -> None:
    busy = HostState(others_pct=73.6, steal_pct=7.6, mhz=[1200.0, 2445.0])
    timed = analyse([write(tmp_path / "a", make_plan("tcg", strange=False), host=busy)])
    text = "\n".join(timed.warnings)
    assert "other processes took 74 % of the CPU time" in text
    assert "hypervisor took 8 % of the CPU time" in text
    assert "from 1200 to 2445 MHz" in text and "6 of 6 boots spoilt" in text
    counted = analyse([write(tmp_path / "b", make_plan("icount", strange=False), host=busy)])
    assert counted.warnings == ()


def test_runs_of_other_accels_merged_say_so(tmp_path: Path) -> None:
    runs = [write(tmp_path / name, make_plan(name, strange=False), name=name)
            for name in ("tcg", "icount")]
    assert "2 accels (icount, tcg)" in "\n".join(analyse(runs).warnings)


def test_parameters_that_tell_cells_apart_are_shown_the_others_not(found: Analysis) -> None:
    rows = [r for r in found.rows if r.workload == "chunky"]
    assert {r.cell for r in rows} == {f"chunky, chunk {k} KiB" for k in (4, 64, 1024, 4096)}
    assert {words.rest(r.params, r.telling) for r in rows} == {"size_mib 512"}
    assert OPS[0] in {r.cell.split(", ")[1] for r in found.rows if r.workload == "op-cost"}


def dead(boot: PlannedBoot, cell: Cell, rng: random.Random) -> Iterator[Point]:
    """A variant that crashes before it gives a number."""
    if boot.variant != "after":
        yield from numbers(boot, cell, rng)


def test_a_variant_without_a_number_leaves_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theme, "to_png", lambda figure: b"")
    plan = make_plan("tcg", strange=False, boots=6)
    half = analyse([write(tmp_path / "r", plan, numbers=dead)])
    assert "no result for 50 GiB loop of after." in "\n".join(half.warnings)
    assert all(side == CONTROL for row in half.rows for side in row.comparisons)
    assert half.findings == ()
    assert [one.verdict for one in half.answer] == ["not known"] * 3
    files = write_report(half, tmp_path / "out")
    assert "Read this first" in files.html.read_text()
    assert terminal_text(half) and mail(half)


def test_one_boot_of_each_has_no_verdict_on_either_clock(tmp_path: Path) -> None:
    found = analyse([write(tmp_path / "r", make_plan(strange=False, boots=1))])
    assert "One boot only of 'after'" in "\n".join(found.warnings)
    for row in found.rows:
        if row.is_cost:
            assert row.comparisons[AFTER].word == "cannot tell"


def test_a_run_cut_off_in_the_second_clock_says_what_is_missing(tmp_path: Path) -> None:
    run = write(tmp_path / "r", make_plan(strange=False))
    path = run / "samples.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    timed = [line for line in lines if '"accel":"tcg"' in line]
    path.write_text("".join(timed) + lines[-1][:30])
    warnings = "\n".join(analyse([run]).warnings)
    assert "1 line of samples.jsonl could not be read" in warnings
    assert "no result for 16 threads (icount) of before, after" in warnings
