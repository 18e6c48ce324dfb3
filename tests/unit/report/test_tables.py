"""The JSON form of the rows, to the last key, and the letter's figures in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.report.analysis import letter
from harness.report.analysis import rows as tables
from harness.report.data.load import load
from tests.unit.report.make_run import MakeRun


def rows_of(tmp_path: Path, **options: Any) -> list[dict[str, Any]]:
    """The rows of a synthetic run, through JSON."""
    rows = tables.rows(load([MakeRun(tmp_path / "r", **options).write()]))
    plain: list[dict[str, Any]] = json.loads(json.dumps(rows, allow_nan=False))
    return plain


def test_golden_vmpte_row(tmp_path: Path) -> None:
    row = rows_of(tmp_path)[0]
    required = ("workload", "params", "metric", "unit", "accel", "variants", "delta_pct", "letter")
    assert {key: row[key] for key in required} == {
        "workload": "vmpte",
        "params": {"size_gib": 50, "touch": "page"},
        "metric": "VmPTE",
        "unit": "kB",
        "accel": "tcg",
        "variants": {
            "before": {"median": 102_440, "min": 102_440, "max": 102_440, "n": 2},
            "after": {"median": 248, "min": 248, "max": 248, "n": 2},
        },
        "delta_pct": -99.7579,
        "letter": {"before": 102_640, "after": 248, "delta_pct": -99.76},
    }
    assert row["verdict"] == "lower"
    assert row["accel_reason"] == "KVM did not boot a guest: MSR 0x10a"


def test_fault_rows(tmp_path: Path) -> None:
    rows = [r for r in rows_of(tmp_path) if r["metric"] == "faults_per_minute"]
    assert [r["params"]["threads"] for r in rows] == [1, 8, 16]
    assert [r["letter"]["delta_pct"] for r in rows] == [-0.64, -1.17, -0.36]
    assert rows[1]["letter"]["before"] == 101_674_967
    assert {side["n"] for r in rows for side in r["variants"].values()} == {2}
    row = rows[0]
    before, after = row["variants"]["before"]["median"], row["variants"]["after"]["median"]
    assert row["delta_pct"] == pytest.approx(100 * (after - before) / before, abs=1e-3)


def test_one_value_a_boot_is_the_median_of_its_repeats(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", repeat=3, boots=1).write()
    path = run / "samples.jsonl"
    values = iter([10.0, 1000.0, 20.0])
    lines = []
    for line in path.read_text().splitlines():
        sample = json.loads(line)
        if sample["params"].get("threads") == 8 and sample["variant"] == "before":
            sample["value"] = next(values)
        lines.append(json.dumps(sample))
    path.write_text("\n".join(lines))
    row = next(r for r in tables.rows(load([run])) if r["params"].get("threads") == 8)
    assert row["variants"]["before"] == {"median": 20, "min": 20, "max": 20, "n": 1}


def test_one_variant_has_no_delta(tmp_path: Path) -> None:
    for row in rows_of(tmp_path, variants=["before"]):
        assert list(row["variants"]) == ["before"]
        assert row["delta_pct"] is None
        assert row["comparisons"] == {}


def test_only_after_has_no_delta_either(tmp_path: Path) -> None:
    assert {row["delta_pct"] for row in rows_of(tmp_path, variants=["after"])} == {None}


def test_control_and_third_variant_pair_with_the_first(tmp_path: Path) -> None:
    names = ["before", "before-again", "after"]
    rows = rows_of(tmp_path, variants=names, boots=6, keys={"before-again": "key-before"})
    row = next(r for r in rows if r["metric"] == "faults_per_minute")
    assert list(row["comparisons"]) == names[1:]
    assert row["comparisons"]["before-again"]["control"] is True
    assert row["comparisons"]["after"]["control"] is False
    assert row["delta_pct"] == row["comparisons"]["after"]["delta_pct"]


def test_icount_rows_are_paired_by_seed(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, accel="icount", boots=4, seeds=True, noise=0.0)
    row = next(r for r in rows if r["metric"] == "instructions_per_fault")
    assert row["unit"] == "instructions"
    assert row["letter"] is None
    assert row["comparisons"]["after"]["method"] == "paired"
    assert row["delta_pct"] == pytest.approx(1.0, abs=0.01)
    assert row["verdict"] == "higher"


def test_correction_counts_the_cells(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, boots=6, effect=-0.2)
    of_faults = [r["comparisons"]["after"] for r in rows if r["metric"] == "faults_per_minute"]
    assert [c["p"] for c in of_faults] == [pytest.approx(2 / 924, abs=1e-6)] * 3
    assert [c["p_holm"] for c in of_faults] == [pytest.approx(6 / 924, abs=1e-6)] * 3
    assert {c["verdict"] for c in of_faults} == {"lower"}


@pytest.mark.parametrize(
    "workload, params, metric, expected",
    [
        ("vmpte", {"size_gib": 50, "touch": "all"}, "VmPTE", 102_640),
        ("vmpte", {"size_gib": 2}, "VmPTE", None),
        ("vmpte", {"size_gib": 50}, "nr_page_table_pages", None),
        ("multi-fault", {"threads": 16}, "faults_per_minute", 113_207_000),
        ("multi-fault", {"threads": 16, "mode": "independent"}, "faults_per_minute", None),
        ("multi-fault", {"threads": 4, "mode": "letter"}, "faults_per_minute", None),
        ("multi-fault", {"threads": 1, "mode": "letter"}, "page_faults", None),
    ],
)
def test_where_the_letter_has_a_figure(
    workload: str, params: dict[str, Any], metric: str, expected: float | None
) -> None:
    found = letter.figure(workload, params, metric)
    assert (found.before if found else None) == expected


def test_the_letters_own_arithmetic() -> None:
    """Two of its three percentages follow from its figures; the third does not, and we say so."""
    computed = {threads: round(f.computed_delta_pct, 2) for threads, f in letter.FAULTS.items()}
    assert computed == {1: -0.64, 8: -1.07, 16: -0.36}
    assert letter.FAULTS[8].delta_pct == -1.17
    assert "-1.07 %" in letter.NOTES[0]


def test_a_repeated_seed_pairs_with_its_own_repeat(tmp_path: Path) -> None:
    """One boot repeated to check determinism is a boot of its own and is lost nowhere."""
    run = MakeRun(tmp_path / "r", accel="icount", boots=4, seeds=True, noise=0.001).write()
    path = run / "boots.jsonl"
    boots = [json.loads(line) for line in path.read_text().splitlines()]
    for boot in boots:
        boot["seed"] = 0 if boot["seed"] == 3 else boot["seed"]
    path.write_text("".join(json.dumps(boot) + "\n" for boot in boots))
    rows = tables.rows(load([run]))
    row = next(r for r in rows if r["metric"] == "instructions_per_fault")
    assert {side["n"] for side in row["variants"].values()} == {4}
    assert row["comparisons"]["after"]["method"] == "paired"


def test_a_killed_boot_without_a_seed_does_not_stop_the_pairing(tmp_path: Path) -> None:
    status = {7: "missing"}
    rows = rows_of(tmp_path, accel="icount", boots=4, seeds=True, noise=0.001, status=status)
    row = next(r for r in rows if r["metric"] == "instructions_per_fault")
    assert row["variants"]["before"]["n"] == 4
    assert row["comparisons"]["after"]["method"] == "paired"
