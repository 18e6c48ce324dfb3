"""Bad input: the report is made, says so on top, and counts only what may count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.records.old_runs import BootRecord, Crash, FalseStart, load_boots
from harness.report.analysis import rows as tables
from harness.report.data.find import newest_run
from harness.report.data.load import load
from harness.report.pages import provenance
from tests.unit.report.make_run import MakeRun


def text(warnings: list[str]) -> str:
    """All warnings as one string."""
    return "\n".join(warnings)


def test_a_sound_run_has_no_warning(tmp_path: Path) -> None:
    data = load([MakeRun(tmp_path / "r").write()])
    assert data.warnings == []
    assert data.variants == ["before", "after"]
    assert data.accels == {"tcg": "KVM did not boot a guest: MSR 0x10a"}
    assert len(data.series) == 4 * 40


def test_truncated_samples(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    path = run / "samples.jsonl"
    path.write_bytes(path.read_bytes()[:-40] + b"\xff\xfe")
    data = load([run])
    assert "1 line of samples.jsonl could not be read" in text(data.warnings)
    assert "has 1 of 2 repeats" in text(data.warnings)


def test_missing_cells(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", skip=lambda boot, s: s.params.get("threads") == 16)
    data = load([run.write()])
    assert "no result for multi-fault threads=16" in text(data.warnings)


def test_one_boot_only(tmp_path: Path) -> None:
    data = load([MakeRun(tmp_path / "r", boots=1).write()])
    assert "One boot only of 'before'" in text(data.warnings)
    for row in tables.rows(data):
        if row["metric"] == "faults_per_minute":
            assert row["verdict"].startswith("cannot tell")


def test_zero_variance(tmp_path: Path) -> None:
    data = load([MakeRun(tmp_path / "r", noise=0, effect=0, boots=6).write()])
    verdicts = {r["verdict"] for r in tables.rows(data) if r["metric"] == "faults_per_minute"}
    assert verdicts == {"same within 0 %"}


def test_a_boot_begun_again_is_said_and_its_console_linked(tmp_path: Path) -> None:
    folder = MakeRun(tmp_path / "r").write()
    lines = (folder / "boots.jsonl").read_text().splitlines()
    stalled = "boots/000/console-stalled-1.log"
    start = FalseStart(reason="silent", seconds=83.0, last_line="tsc", console=stalled)
    first = BootRecord.model_validate_json(lines[0])
    lines[0] = first.model_copy(update={"false_starts": [start]}).model_dump_json()
    (folder / "boots.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "boots" / "000").mkdir(parents=True, exist_ok=True)
    (folder / stalled).write_text("tsc\n")
    data = load([folder])
    assert "1 boot of 'before' came to nothing and was begun again (of 2)" in text(data.warnings)
    table = provenance.boot_table(data.runs[0])
    assert [row[3] for row in table.rows[:2]] == ["ok, after 1 false start", "ok"]
    assert stalled in [label for label, _ in provenance.raw_links(data, tmp_path)]


def test_a_crashed_variant_counts_finished_cells_only(tmp_path: Path) -> None:
    def skip(boot: int, sample: object) -> bool:
        threads, repeat = sample.params.get("threads", 0), sample.repeat  # type: ignore[attr-defined]
        return boot in (1, 2) and (threads == 16 or (threads == 8 and repeat == 1))

    run = MakeRun(tmp_path / "r", status={1: "crashed", 2: "crashed"}, skip=skip)
    data = load([run.write()])
    assert "2 boots of 'after' crashed (oops)" in text(data.warnings)
    assert "boot 1: multi-fault" in text(data.warnings)
    assert "has 1 of 2 repeats (the boot crashed) and does not count" in text(data.warnings)
    rows = {r["params"].get("threads"): r for r in tables.rows(data)
            if r["metric"] == "faults_per_minute"}  # fmt: skip
    assert rows[1]["variants"]["after"]["n"] == 2
    for threads in (8, 16):
        assert "after" not in rows[threads]["variants"]
        assert rows[threads]["delta_pct"] is None
        assert rows[threads]["verdict"] is None


def test_a_boot_whose_record_is_missing_counts_what_it_finished(tmp_path: Path) -> None:
    def skip(boot: int, sample: object) -> bool:
        threads, repeat = sample.params.get("threads", 0), sample.repeat  # type: ignore[attr-defined]
        return boot == 3 and (threads, repeat) in ((8, 1), (16, 0), (16, 1))

    data = load([MakeRun(tmp_path / "r", status={3: "missing"}, skip=skip).write()])
    assert "1 boot without a record (the harness was killed)" in text(data.warnings)
    assert "(the boot was killed) and does not count" in text(data.warnings)
    counts = {r["params"]["threads"]: r["variants"]["before"]["n"] for r in tables.rows(data)
              if r["metric"] == "faults_per_minute"}  # fmt: skip
    assert counts == {1: 2, 8: 1, 16: 1}


def test_a_repeated_attempt_replaces_the_first(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    lines = (run / "samples.jsonl").read_text().splitlines()
    again = [json.loads(line) for line in lines if json.loads(line)["boot"] == 3]
    for sample in again:
        sample["value"] += 1
        if sample["t"] is not None:
            sample["t"] += 0.001
    with (run / "samples.jsonl").open("a") as stream:
        stream.writelines(json.dumps(sample) + "\n" for sample in again)
    data = load([run])
    assert "measured again after a resume" in text(data.warnings)
    assert len(data.series) == 4 * 40
    assert len(data.results) == 4 * 9
    row = next(r for r in tables.rows(data) if r["metric"] == "VmPTE")
    assert row["values"]["before"] == [102_440, 102_441]


def test_mixed_accels_stand_apart(tmp_path: Path) -> None:
    runs = [
        MakeRun(tmp_path / "a", "a").write(),
        MakeRun(tmp_path / "b", "b", accel="kvm").write(),
    ]
    data = load(runs)
    assert "2 accels (kvm, tcg)" in text(data.warnings)
    rows = [r for r in tables.rows(data) if r["metric"] == "VmPTE"]
    assert [(r["accel"], r["variants"]["before"]["n"]) for r in rows] == [("kvm", 2), ("tcg", 2)]


def test_mixed_bases_are_not_compared(tmp_path: Path) -> None:
    runs = [
        MakeRun(tmp_path / "a", "a", variants=["before"]).write(),
        MakeRun(tmp_path / "b", "b", variants=["after"], base="next-20210812").write(),
    ]
    data = load(runs)
    assert "2 bases (debian-6.1, next-20210812)" in text(data.warnings)
    assert all(row["delta_pct"] is None for row in tables.rows(data))


def test_other_builds_under_one_name_get_columns_of_their_own(tmp_path: Path) -> None:
    runs = [
        MakeRun(tmp_path / "a", "a").write(),
        MakeRun(tmp_path / "b", "b", keys={"after": "another"}).write(),
    ]
    data = load(runs)
    assert data.variants == ["before", "after@a", "after@b"]
    assert "'after' is not the same build in every run" in text(data.warnings)
    row = next(r for r in tables.rows(data) if r["metric"] == "VmPTE")
    assert {name: side["n"] for name, side in row["variants"].items()} == {
        "before": 4, "after@a": 2, "after@b": 2,
    }  # fmt: skip


def test_merged_runs_pool_their_boots(tmp_path: Path) -> None:
    runs = [MakeRun(tmp_path / n, "same-name", seed=i).write() for i, n in enumerate("abc")]
    data = load([*runs, runs[0]])
    assert text(data.warnings) == f"{runs[0]} was named twice and counts once."
    assert {r["variants"]["before"]["n"] for r in tables.rows(data)} == {6}


def test_hosts_are_not_mixed(tmp_path: Path) -> None:
    runs = [
        MakeRun(tmp_path / "a", "a", variants=["before"]).write(),
        MakeRun(tmp_path / "b", "b", variants=["after"], cpu="AMD EPYC").write(),
    ]
    data = load(runs)
    assert "2 hosts" in text(data.warnings)
    assert all(row["delta_pct"] is None for row in tables.rows(data))


@pytest.mark.parametrize("content", [b'{"run": 5', b"", b"\xff\xfe\x00", b"[]"])
def test_damaged_run_json_still_gives_the_samples(tmp_path: Path, content: bytes) -> None:
    run = MakeRun(tmp_path / "r").write()
    (run / "run.json").write_bytes(content)
    data = load([run])
    assert "without their provenance" in text(data.warnings)
    assert len(tables.rows(data)) == 6


def test_no_samples_at_all(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    (run / "samples.jsonl").unlink()
    data = load([run])
    assert "no finished measurement at all" in text(data.warnings)
    assert tables.rows(data) == []


def test_numbers_that_are_none(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    path = run / "samples.jsonl"
    lines = path.read_text().splitlines()
    sample = json.loads(lines[-1])
    sample["value"] = float("nan")
    path.write_text("\n".join([*lines[:-1], json.dumps(sample)]))
    assert "1 sample without a finite number" in text(load([run]).warnings)


def test_thp_and_a_busy_host_are_said(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    path = run / "boots.jsonl"
    boots = [json.loads(line) for line in path.read_text().splitlines()]
    boots[0]["guest"]["thp"] = "[always] madvise never"
    boots[1]["host_load"] = [17.0, 9.0, 5.0]
    path.write_text("".join(json.dumps(boot) + "\n" for boot in boots))
    warnings = text(load([run]).warnings)
    assert "THP was not 'never'" in warnings
    assert "the host was busy (load up to 17.0 on 2 cores) at 1 boot" in warnings


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    record = json.loads((run / "run.json").read_text())
    record["status"] = "interrupted"
    record["plan"]["order"] += ["before"]
    (run / "run.json").write_text(json.dumps(record))
    warnings = text(load([run]).warnings)
    assert "status is 'interrupted'" in warnings
    assert "1 planned boot did not take place" in warnings


def test_an_oops_with_odd_line_ends_stays_one_record(tmp_path: Path) -> None:
    crash = Crash(kind="oops", text="BUG\u2028a\x85b\x1b[0m")
    record = BootRecord(boot=0, variant="after", status="crashed", started="", crash=crash)
    (tmp_path / "boots.jsonl").write_text(record.model_dump_json() + "\n")
    records, damaged = load_boots(tmp_path)
    assert damaged == 0
    assert records[0].crash.text == crash.text


def test_what_is_no_run_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        load([tmp_path])
    with pytest.raises(UserError):
        load([])


def test_newest_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run"):
        newest_run(tmp_path / "none")
    MakeRun(tmp_path / "reference").write()
    assert newest_run(tmp_path).name == "reference"
    MakeRun(tmp_path / "a", "a").write()
    (tmp_path / "stray").mkdir()
    assert newest_run(tmp_path).name == "a"


def test_a_boot_that_was_interrupted_and_done_again_is_no_warning(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", status={1: "interrupted"}).write()
    assert "interrupted" in text(load([run]).warnings)
    records, _ = load_boots(run)
    again = next(r for r in records if r.boot == 1).model_copy(update={"status": "ok"})
    with (run / "boots.jsonl").open("a") as stream:
        stream.write(again.model_dump_json() + "\n")
    assert "interrupted" not in text(load([run]).warnings)
