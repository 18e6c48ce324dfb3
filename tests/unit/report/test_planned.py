"""What bench plans, the report reads: control, repeated boot, two clocks, unknown workloads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.measure.schedule import Cell, PlannedBoot
from harness.records.old_runs import HostState
from harness.report.analysis import determinism
from harness.report.analysis import rows as tables
from harness.report.analysis.summary import summarize
from harness.report.data.load import load
from harness.report.data.rundata import RunData
from harness.report.pages.text import mail, terminal_summary
from harness.report.pages.write import write_report
from harness.report.plots import theme
from tests.unit.report import make_planned
from tests.unit.report.make_planned import OPS, Point, make_plan, numbers, write

CONTROL = "before (control)"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """A run of six boots with both clocks, a control, and workloads the report does not know."""
    return load([write(tmp_path_factory.mktemp("planned") / "r", make_plan(boots=6))])


def test_a_sound_run_of_both_clocks_has_no_warning(data: RunData) -> None:
    assert data.warnings == []
    assert data.accels == {"tcg": "asked for", "icount": "asked for"}


def test_the_control_comes_right_after_what_it_controls(data: RunData) -> None:
    assert data.variants == ["before", CONTROL, "after"]
    assert data.controls == {CONTROL}
    row = next(r for r in tables.build(data) if r.metric == "faults_per_minute")
    assert list(row.comparisons) == [CONTROL, "after"]
    assert row.main is row.comparisons["after"]
    assert len(row.boots(CONTROL)) == 4


def test_a_control_is_one_by_its_name_even_without_provenance(tmp_path: Path) -> None:
    run = write(tmp_path / "r", make_plan("tcg", boots=2, strange=False))
    (run / "run.json").write_text("{")
    assert load([run]).controls == {CONTROL}


def test_no_row_mixes_clocks(data: RunData) -> None:
    for row in tables.build(data):
        counted = row.metric.startswith("instructions")
        assert (row.accel == "icount") == counted
    captions = {(row.workload, row.accel) for row in tables.build(data)}
    assert ("multi-fault", "tcg") in captions and ("multi-fault", "icount") in captions


def test_the_repeated_boot_tells_of_determinism_and_is_no_sample(data: RunData) -> None:
    row = next(r for r in tables.build(data) if r.metric == "instructions_per_fault")
    assert {len(row.boots(name)) for name in row.values} == {6}
    found = determinism.residuals(data)
    assert len(found) == 3 + len(OPS)
    assert all(r.pct < r.limit_pct for r in found)
    assert "differs by at most 0.0" in summarize(data, tables.build(data)).determinism
    assert "A boot done again differs" in terminal_summary(data)


def unsteady(boot: PlannedBoot, cell: Cell, rng: random.Random) -> Iterator[Point]:
    """Counts that do not repeat: the boot done again is 2 % off, the effect is 0.6 %."""
    for metric, value, unit, t in numbers(boot, cell, rng):
        yield metric, value * (1.02 if boot.repeats is not None else 1), unit, t


def test_no_claim_below_what_a_repetition_differs_by(tmp_path: Path) -> None:
    plan = make_plan("icount", strange=False, boots=6)
    data = load([write(tmp_path / "r", plan, numbers=unsteady)])
    rows = tables.build(data)
    assert {row.comparisons["after"].verdict[:11] for row in rows} == {"same within"}
    warning = summarize(data, rows).warnings[0]
    assert warning.startswith("Counting did not repeat: the same boot twice differs by 2.0")
    steady = tables.build(load([write(tmp_path / "s", plan)]))
    assert {row.comparisons["after"].verdict for row in steady} == {"higher"}


def drifting(boot: PlannedBoot, cell: Cell, rng: random.Random) -> Iterator[Point]:
    """A control that differs: something is wrong with the experiment."""
    for metric, value, unit, t in numbers(boot, cell, rng):
        yield metric, value * (1.5 if boot.variant == CONTROL else 1), unit, t


def test_a_control_that_differs_is_said_first(tmp_path: Path) -> None:
    plan = make_plan("tcg", strange=False, boots=6)
    data = load([write(tmp_path / "r", plan, numbers=drifting)])
    assert "trust no difference of this size" in summarize(data, tables.build(data)).warnings[0]


def test_a_run_without_a_control_says_so(tmp_path: Path) -> None:
    data = load([write(tmp_path / "r", make_plan("tcg", strange=False, control=False))])
    assert summarize(data, tables.build(data)).control.startswith("There is no A/A control")


def test_unknown_metrics_have_rows_and_verdicts(data: RunData) -> None:
    rows = {(r.workload, r.cell, r.metric): r for r in tables.build(data)}
    freed = rows["chunky", "chunky, chunk 64 KiB", "tables_freed"]
    assert freed.comparisons["after"].verdict == "higher"
    assert freed.comparisons["after"].method == "exact"
    swap = rows["op-cost", "op-cost, swap_in", "instructions_per_page"]
    assert swap.comparisons["after"].verdict == "higher"
    assert rows["heap", "heap", "VmPTE"].comparisons["after"].verdict == "lower"


def test_the_summary_fits_a_screen(data: RunData) -> None:
    summary = summarize(data, tables.build(data))
    assert summary.lines[0].kind == "A/A control, TCG"
    assert len(summary.lines) <= 16
    kinds = [line.kind for line in summary.lines]
    assert kinds.index("memory, TCG") < kinds.index("cost, TCG") < kinds.index("cost, icount")
    assert any(line.what.startswith("op-cost, 6 cells") for line in summary.lines)


def test_every_cell_is_in_a_plot_and_a_table(
    data: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theme, "to_png", lambda figure: b"")
    files = write_report(data, tmp_path)
    names = {path.stem for path in files.plots}
    assert {
        "change-cost-tcg", "change-cost-icount", "vmpte-tcg", "heap-vmpte-tcg",
        "chunky-vmpte-by-chunk-kib-tcg", "chunky-ns-per-page-by-chunk-kib-tcg",
        "multi-fault-faults-per-minute-by-threads-tcg", "change-chunky-tcg",
        "multi-fault-instructions-per-fault-by-threads-icount",
    } <= names  # fmt: skip
    html = files.html.read_text()
    said = html.split('id="change-cost-icount-desc">')[1].split("</desc>")[0]
    for op in OPS:
        assert f"op-cost, {op}" in said
        assert html.count(op) >= 2
    assert "chunk 4096 KiB" in html
    assert max(map(len, mail(data).splitlines())) <= 72


def test_a_spoilt_host_is_said_where_time_was_measured(tmp_path: Path) -> None:
    busy = HostState(others_pct=73.6, steal_pct=7.5, mhz=[1200.0, 2445.0])
    timed = load([write(tmp_path / "a", make_plan("tcg", strange=False), host=busy)])
    text = "\n".join(timed.warnings)
    assert "other processes took 74 % of the CPU time" in text
    assert "hypervisor took 8 %" in text or "hypervisor took 7 %" in text
    assert "from 1200 to 2445 MHz" in text and "5 of 5 boots spoilt" in text
    counted = load([write(tmp_path / "b", make_plan("icount", strange=False), host=busy)])
    assert counted.warnings == []


def test_runs_of_other_accels_merged_say_so(tmp_path: Path) -> None:
    plans: list[Any] = [make_plan(name, strange=False) for name in ("tcg", "icount")]
    runs = [write(tmp_path / str(i), plan, name=f"r{i}") for i, plan in enumerate(plans)]
    assert "2 accels (icount, tcg)" in "\n".join(load(runs).warnings)


def test_parameters_that_tell_cells_apart_are_shown_the_others_not(data: RunData) -> None:
    rows = [r for r in tables.build(data) if r.workload == "chunky"]
    assert {r.cell for r in rows} == {f"chunky, chunk {k} KiB" for k in (4, 64, 1024, 4096)}
    assert {r.rest for r in rows} == {"size_mib 512"}
    assert make_planned.OPS[0] in {r.cell.split(", ")[1] for r in tables.build(data)
                                   if r.workload == "op-cost"}  # fmt: skip


def dead(boot: PlannedBoot, cell: Cell, rng: random.Random) -> Iterator[Point]:
    """A variant that crashes before it gives a number."""
    if boot.kernel != "after":
        yield from numbers(boot, cell, rng)


def test_a_variant_without_a_number_leaves_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theme, "to_png", lambda figure: b"")
    run = write(tmp_path / "r", make_plan("tcg", strange=False, boots=6), numbers=dead)
    data = load([run])
    warnings = "\n".join(data.warnings)
    assert "no result for vmpte" in warnings and "of after." in warnings
    rows = tables.build(data)
    assert all(name == CONTROL for row in rows for name in row.comparisons)
    lines = summarize(data, rows).lines
    assert {line.verdict for line in lines if not line.kind.startswith("A/A")} == {"-"}
    files = write_report(data, tmp_path / "out")
    assert "Read this first" in files.html.read_text()
    assert terminal_summary(data) and mail(data)


def test_one_boot_of_each_has_no_verdict_on_either_clock(tmp_path: Path) -> None:
    data = load([write(tmp_path / "r", make_plan(strange=False, boots=1))])
    assert "One boot only of 'after'" in "\n".join(data.warnings)
    for row in tables.build(data):
        if row.metric != "VmPTE":
            assert row.comparisons["after"].verdict.startswith("cannot tell")


def test_a_run_cut_off_in_the_second_clock_says_what_is_missing(tmp_path: Path) -> None:
    run = write(tmp_path / "r", make_plan(strange=False))
    path = run / "samples.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    timed = [line for line in lines if '"accel":"tcg"' in line]
    path.write_text("".join(timed) + lines[-1][:30])
    warnings = "\n".join(load([run]).warnings)
    assert "1 line of samples.jsonl could not be read" in warnings
    assert "no result for multi-fault threads=16" in warnings
