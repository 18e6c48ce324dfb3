"""The JSON form of the rows, to the last key, and published figures in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.records.record import AccelName, Params
from harness.report.analysis.analyse import analyse
from harness.report.pages import tabular
from harness.report.pages.exports import as_json
from tests.unit.report.make_run import MakeRun, compared, edit_lines, rows_json


def rows_of(tmp_path: Path, **options: Any) -> list[dict[str, Any]]:
    """The rows of a synthetic run, through JSON."""
    return rows_json(analyse([MakeRun(tmp_path / "r", **options).write()]))


def test_golden_row(tmp_path: Path) -> None:
    assert rows_of(tmp_path)[0] == {
        "workload": "vmpte",
        "params": {"size_gib": 50, "touch": "page"},
        "cell": "50 GiB loop",
        "metric": "VmPTE",
        "unit": "kB",
        "accel": "tcg",
        "base": "debian-6.1",
        "machine": "2 x Intel(R) Xeon(R) Processor",
        "kind": "memory",
        "better": "less",
        "variants": {
            "before": {"median": 102_440, "min": 102_440, "max": 102_440, "n": 2},
            "after": {"median": 248, "min": 248, "max": 248, "n": 2},
        },
        "comparisons": [{
            "baseline": "before", "variant": "after", "control": False, "delta_pct": -99.7579,
            "difference": -102_192.0, "interval_pct": None, "interval_kind": None, "p": None,
            "p_holm": None, "method": "exact", "verdict": "lower", "layouts": None,
        }],
        "published": [{"name": "letter", "baseline": 102_640.0, "variant": 248.0,
                       "delta_pct": -99.76}],
        "values": {"before": [102_440, 102_440], "after": [248, 248]},
    }


def test_the_whole_form(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", control=True).write()
    content = json.loads(json.dumps(as_json(analyse([run])), allow_nan=False))
    assert set(content) == {"schema_version", "warnings", "answer", "compared", "rows", "profile",
                            "runs", "crashes", "determinism"}
    assert [one["kind"] for one in content["answer"]] == ["memory", "cost", "stability"]
    row = next(row for row in content["rows"] if row["metric"] == "faults_per_minute")
    assert [(c["variant"], c["baseline"], c["control"]) for c in row["comparisons"]] == [
        ("before (control)", "before", True), ("after", "before", False),
    ]


def test_fault_rows(tmp_path: Path) -> None:
    rows = [r for r in rows_of(tmp_path) if r["metric"] == "faults_per_minute"]
    assert [r["params"]["threads"] for r in rows] == [1, 8, 16]
    assert [r["published"][0]["delta_pct"] for r in rows] == [-0.64, -1.17, -0.36]
    assert {side["n"] for r in rows for side in r["variants"].values()} == {2}
    row = rows[0]
    before, after = row["variants"]["before"]["median"], row["variants"]["after"]["median"]
    assert compared(row)["delta_pct"] == pytest.approx(100 * (after - before) / before, abs=1e-3)
    assert compared(row)["difference"] == pytest.approx(after - before)


def test_one_value_a_boot_is_the_median_of_its_repeats(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", repeat=3, boots=1).write()
    values = iter([10.0, 1000.0, 20.0])

    def change(sample: dict[str, Any]) -> dict[str, Any]:
        if sample["params"].get("threads") == 8 and sample["variant"] == "before":
            sample["value"] = next(values)
        return sample

    edit_lines(run / "samples.jsonl", change)
    row = next(r for r in rows_json(analyse([run])) if r["params"].get("threads") == 8)
    assert row["variants"]["before"] == {"median": 20, "min": 20, "max": 20, "n": 1}


@pytest.mark.parametrize("variant", ["before", "after"])
def test_one_variant_is_compared_with_nothing(tmp_path: Path, variant: str) -> None:
    for row in rows_of(tmp_path, variants=[variant]):
        assert list(row["variants"]) == [variant]
        assert row["comparisons"] == []


def test_icount_rows_are_paired_by_seed(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, accel="icount", boots=4, seeds=True, noise=0.0)
    row = next(r for r in rows if r["metric"] == "instructions_per_fault")
    assert (row["unit"], row["published"]) == ("instructions", [])
    one = compared(row)
    assert (one["method"], one["verdict"]) == ("paired", "higher")
    assert one["delta_pct"] == pytest.approx(1.0, abs=0.01)
    assert one["difference"] == pytest.approx(6680 * 1.02 / 100, abs=0.01)


def test_correction_counts_the_cells(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, boots=6, effect=-0.2)
    of_faults = [compared(r) for r in rows if r["metric"] == "faults_per_minute"]
    assert [c["p"] for c in of_faults] == [pytest.approx(2 / 924, abs=1e-6)] * 3
    assert [c["p_holm"] for c in of_faults] == [pytest.approx(6 / 924, abs=1e-6)] * 3
    assert {c["verdict"] for c in of_faults} == {"lower"}


def test_resident_memory_within_its_slack_is_the_same(tmp_path: Path) -> None:
    """772 against 768 kB in every boot is the batch in which a kernel counts, not a saving."""
    accels: tuple[AccelName, ...] = ("tcg", "icount")
    for number, accel in enumerate(accels):
        run = MakeRun(tmp_path / str(number), accel=accel, seeds=True, boots=3).write()

        def change(sample: dict[str, Any]) -> dict[str, Any]:
            if sample["metric"] == "VmRSS":
                sample["value"] = 768.0 if sample["variant"] == "after" else 772.0
            return sample

        edit_lines(run / "samples.jsonl", change)
        row = next(r for r in rows_json(analyse([run])) if r["metric"] == "VmRSS")
        assert compared(row)["verdict"] == "same within 4 kB"


@pytest.mark.parametrize(
    "params, metric, figures",
    [
        ({"size_gib": 50, "touch": "all"}, "VmPTE", 1),
        ({"size_gib": 2, "touch": "page"}, "VmPTE", 0),
        ({"size_gib": 50, "touch": "page"}, "VmRSS", 0),
    ],
)
def test_published_figures_stand_beside_cells_that_were_measured_for_them(
    tmp_path: Path, params: Params, metric: str, figures: int
) -> None:
    run = MakeRun(tmp_path / "r").write()

    def change(sample: dict[str, Any]) -> dict[str, Any]:
        return sample | ({"params": params} if sample["workload"] == "vmpte" else {})

    edit_lines(run / "samples.jsonl", change)
    row = next(r for r in rows_json(analyse([run])) if r["metric"] == metric)
    assert len(row["published"]) == figures


def test_the_table_beside_published_figures_prints_in_their_units(tmp_path: Path) -> None:
    ((one, (table,)),) = tabular.published_tables(analyse([MakeRun(tmp_path / "r").write()]))
    assert one.name == "letter"
    assert table.columns[1:5] == ["published: before", "published: after", "published: change",
                                  "ours: before"]
    lines = {row[0].split("\n")[0]: row for row in table.rows}
    assert lines["VmPTE"][1:5] == ["102640 kB", "248 kB", "-99.76 %", "102440 kB"]
    assert lines["VIRT"][4] == "50.0 GB"
    assert lines["page faults a minute"][3] == "-0.36 %", "the last of three"


def test_a_plan_without_published_figures_has_no_such_table(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", published=False).write()
    assert tabular.published_tables(analyse([run])) == []


def test_a_repeated_seed_pairs_with_its_own_repeat(tmp_path: Path) -> None:
    """One boot repeated to check determinism is a boot of its own and is lost nowhere."""
    run = MakeRun(tmp_path / "r", accel="icount", boots=4, seeds=True, noise=0.001).write()
    edit_lines(run / "boots.jsonl", lambda b: b | ({"seed": 0} if b["seed"] == 3 else {}))
    row = next(r for r in rows_json(analyse([run])) if r["metric"] == "instructions_per_fault")
    assert {side["n"] for side in row["variants"].values()} == {4}
    assert compared(row)["method"] == "paired"


def test_a_killed_boot_without_a_seed_does_not_stop_the_pairing(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, accel="icount", boots=4, seeds=True, noise=0.001,
                   status={7: "missing"})
    row = next(r for r in rows if r["metric"] == "instructions_per_fault")
    assert row["variants"]["before"]["n"] == 4
    assert compared(row)["method"] == "paired"
