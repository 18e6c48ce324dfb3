"""Four variants on two bases: each pair within its base, the pairs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.report.analysis.analyse import Analysis, analyse
from harness.report.pages import tabular
from harness.report.pages.mail import mail
from harness.report.pages.terminal import terminal_text
from harness.report.plots.drawing import draw
from tests.unit.report.make_run import MakeRun, edit_lines

FOUR = ("before", "after", "reclaim-off", "reclaim-on")
PAIRS = (("before", "after"), ("reclaim-off", "reclaim-on"))


def two_pairs(
    where: Path, names: tuple[str, ...] = FOUR, pairs: tuple[tuple[str, str], ...] = PAIRS
) -> Path:
    """A run whose reclaim variants stand on a base of their own."""
    bases = {name: "debian-7.3" for name in names if "reclaim" in name}
    return MakeRun(where, variants=names, pairs=pairs, boots=3, accel="icount", seeds=True,
                   bases=bases).write()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """The analysis of such a run."""
    return analyse([two_pairs(tmp_path_factory.mktemp("four") / "r")])


def test_each_pair_stands_beside_the_other_with_its_base(found: Analysis) -> None:
    (table,) = tabular.side_by_side(found)
    assert table.columns == [
        "cell", "metric", "after against before\ndebian-6.1", "verdict",
        "reclaim-on against reclaim-off\ndebian-7.3", "verdict",
    ]
    assert "Each pair within its base" in table.caption and "icount" in table.caption
    assert [row[1] for row in table.rows] == ["VmPTE (kB)", *["instructions per page fault"] * 3]
    assert all("not measured" not in cell for row in table.rows for cell in row)


def test_one_pair_needs_no_such_table(tmp_path: Path) -> None:
    assert tabular.side_by_side(analyse([two_pairs(tmp_path / "r", FOUR[:2], PAIRS[:1])])) == []


def test_a_cell_that_one_base_lacks_says_so(tmp_path: Path) -> None:
    run = two_pairs(tmp_path / "r")

    def drop(sample: dict[str, Any]) -> dict[str, Any] | None:
        lost = sample["params"].get("threads") == 8 and "reclaim" in sample["variant"]
        return None if lost else sample

    edit_lines(run / "samples.jsonl", drop)
    (table,) = tabular.side_by_side(analyse([run]))
    row = next(row for row in table.rows if row[0] == "8 threads")
    assert row[4:] == ["not measured", "-"] and row[3] != "-"


def test_what_no_pair_changes_is_left_out(tmp_path: Path) -> None:
    run = two_pairs(tmp_path / "r")
    edit_lines(run / "samples.jsonl",
               lambda s: {**s, "value": 64.0} if s["metric"] == "VmPTE" else s)
    (table,) = tabular.side_by_side(analyse([run]))
    assert all("VmPTE" not in row[1] for row in table.rows) and table.rows


def test_no_change_is_told_against_another_bases_kernel(found: Analysis) -> None:
    captions = [t.caption for of_one in tabular.result_tables(found).values() for t in of_one]
    assert captions
    for caption in captions:
        pair = "reclaim-on against reclaim-off" if "debian-7.3" in caption else (
            "after against before")
        assert pair in caption
    columns = [table.columns[4:6] for _, of_one in tabular.published_tables(found)
               for table in of_one]
    assert columns == [["ours: before", "ours: after"], ["ours: reclaim-off", "ours: reclaim-on"]]
    for plot in draw(found):
        text = plot.svg()
        if "base debian-7.3" in text and "base debian-6.1" not in text:
            assert "change against before" not in text
            assert "median of before" not in text


def test_every_output_names_the_pairs(found: Analysis) -> None:
    first, second = found.compared.split("; ")
    assert first.startswith("after (") and " against before (" in first
    assert second.startswith("reclaim-on (") and " against reclaim-off (" in second
    memory = [line for line in found.findings if line.kind == "memory"]
    assert [line.pair for line in memory] == [
        "after against before", "reclaim-on against reclaim-off",
    ]
    assert all("times less" in line.detail for line in memory)
    assert "reclaim-on against" in terminal_text(found)
    text = " ".join(mail(found).split())
    assert "Change against before [" in text and "Change against reclaim-off [" in text


def test_a_variant_that_is_also_a_baseline_is_named_with_its_own(tmp_path: Path) -> None:
    pairs = (("before", "after"), ("after", "canary"))
    text = analyse([two_pairs(tmp_path / "r", ("before", "after", "canary"), pairs)]).compared
    assert "; canary (" in text and "against after (" in text
