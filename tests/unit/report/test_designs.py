"""Four variants on two bases: each pair within its base, the two designs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.report.analysis import designs
from harness.report.analysis import rows as tables
from harness.report.analysis.summary import summarize
from harness.report.data.load import load
from harness.report.data.rundata import RunData
from harness.report.pages import view
from harness.report.pages.text import mail, terminal_summary
from harness.report.plots.plots import draw
from tests.unit.report.make_run import MakeRun

FOUR = ["before", "after", "reclaim-off", "reclaim-on"]
PAIRS = [["before", "after"], ["reclaim-off", "reclaim-on"]]


def two_designs(where: Path, names: list[str], pairs: list[list[str]]) -> Path:
    """A run whose reclaim variants stand on a base of their own."""
    run = MakeRun(where, variants=names, boots=3, accel="icount", seeds=True).write()
    path = run / "run.json"
    record = json.loads(path.read_text())
    record["plan"]["comparisons"] = pairs
    for name in names:
        record["variants"][name]["base"] = "debian-7.3" if "reclaim" in name else "debian-6.1"
    path.write_text(json.dumps(record))
    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return load([two_designs(tmp_path_factory.mktemp("four") / "r", FOUR, PAIRS)])


def test_each_pair_stands_beside_the_other_with_its_base(data: RunData) -> None:
    (table,) = designs.tables(data, tables.build(data))
    assert table.columns == [
        "cell", "metric", "after against before\ndebian-6.1", "verdict",
        "reclaim-on against reclaim-off\ndebian-7.3", "verdict",
    ]
    assert "Each pair within its base" in table.caption and "icount" in table.caption
    metrics = [row[1].partition(" (")[0] for row in table.rows]
    assert metrics[0] == "VmPTE" and metrics[-1] == "instructions per page fault"
    assert all("not measured" not in cell for row in table.rows for cell in row)


def test_one_design_needs_no_such_table(tmp_path: Path) -> None:
    data = load([two_designs(tmp_path / "r", FOUR[:2], PAIRS[:1])])
    assert designs.tables(data, tables.build(data)) == []


def test_a_cell_that_one_base_lacks_says_so(tmp_path: Path) -> None:
    run = two_designs(tmp_path / "r", FOUR, PAIRS)
    path = run / "samples.jsonl"
    samples = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(
        json.dumps(s) + "\n" for s in samples
        if s["params"].get("threads") != 8 or "reclaim" not in s["variant"]
    ))
    data = load([run])
    (table,) = designs.tables(data, tables.build(data))
    row = next(row for row in table.rows if row[0] == "8 threads")
    assert row[4:] == ["not measured", "-"] and row[3] != "-"


def test_what_no_pair_changes_is_left_out(tmp_path: Path) -> None:
    run = two_designs(tmp_path / "r", FOUR, PAIRS)
    path = run / "samples.jsonl"
    samples = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(
        json.dumps({**s, "value": 64.0} if s["metric"] == "VmPTE" else s) + "\n" for s in samples
    ))
    data = load([run])
    (table,) = designs.tables(data, tables.build(data))
    assert all("VmPTE" not in row[1] for row in table.rows) and table.rows


def test_no_change_is_told_against_another_bases_kernel(data: RunData) -> None:
    rows = tables.build(data)
    captions = [t.caption for of_one in view.result_tables(data, rows).values() for t in of_one]
    assert captions
    for caption in captions:
        pair = "reclaim-on against reclaim-off" if "debian-7.3" in caption else (
            "after against before")  # fmt: skip
        assert pair in caption
    columns = [table.columns for table in view.letter_tables(data, rows)]
    assert ["ours: before", "ours: after"] in [c[4:6] for c in columns]
    assert ["ours: reclaim-off", "ours: reclaim-on"] in [c[4:6] for c in columns]
    for plot in draw(data, rows):
        text = plot.svg()
        if "base debian-7.3" in text:
            assert "change against before" not in text
            assert "median of before" not in text


def test_the_summary_names_the_pairs(data: RunData) -> None:
    summary = summarize(data, tables.build(data))
    first, second = summary.compared.split("; ")
    assert first.startswith("before (") and " against after (" in first
    assert second.startswith("reclaim-off (") and " against reclaim-on (" in second
    memory = [line for line in summary.lines if line.kind == "memory"]
    assert [line.what.rpartition(", ")[2] for line in memory] == [
        "after against before", "reclaim-on against reclaim-off",
    ]
    assert all("times less" in line.change for line in memory)
    assert "reclaim-on against reclaim-off" in terminal_summary(data)
    text = " ".join(mail(data).split())
    assert "Change against before [" in text and "Change against reclaim-off [" in text


def test_a_variant_that_is_also_a_baseline_is_named_with_its_own(tmp_path: Path) -> None:
    names = ["before", "after", "canary"]
    pairs = [["before", "after"], ["after", "canary"]]
    data = load([two_designs(tmp_path / "r", names, pairs)])
    text = summarize(data, tables.build(data)).compared
    assert "before (" in text and "; after (" in text and "against canary (" in text
