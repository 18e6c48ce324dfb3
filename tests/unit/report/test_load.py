"""Bad input: the report is made, says so on top, and counts only what may count."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.records.boots import BootRecord
from harness.records.events import Crash, FalseStart
from harness.records.plans import SuitePlan
from harness.records.runs import Run
from harness.records.samples import Sample
from harness.records.store import RunWriter, load_boots
from harness.report.analysis.analyse import Analysis, analyse
from harness.report.data.find import all_runs, newest_run
from harness.report.pages import origins
from tests.unit.report.make_run import MakeRun, compared, edit, edit_lines, rows_json


def said(analysis: Analysis) -> str:
    """All warnings as one string."""
    return "\n".join(analysis.warnings)


def faults(analysis: Analysis) -> dict[int, dict[str, Any]]:
    """The rows of the rates, by threads."""
    rows = rows_json(analysis)
    return {r["params"]["threads"]: r for r in rows if r["metric"] == "faults_per_minute"}


def labels(analysis: Analysis) -> list[str]:
    """The report's columns."""
    return [side.label for side in analysis.data.columns]


def test_a_sound_run_has_no_warning(tmp_path: Path) -> None:
    found = analyse([MakeRun(tmp_path / "r").write()])
    assert found.warnings == ()
    assert labels(found) == ["before", "after"]
    assert len(found.data.series) == 4 * 40


def test_truncated_samples(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    path = run / "samples.jsonl"
    path.write_bytes(path.read_bytes()[:-40] + b"\xff\xfe")
    found = analyse([run])
    assert "1 line of samples.jsonl could not be read" in said(found)
    assert "has 1 of 2 repeats" in said(found)


def test_missing_cells(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", skip=lambda boot, s: s.params.get("threads") == 16)
    assert "no result for 16 threads of before, after" in said(analyse([run.write()]))


def test_one_boot_only(tmp_path: Path) -> None:
    found = analyse([MakeRun(tmp_path / "r", boots=1).write()])
    assert "One boot only of 'before'" in said(found)
    for row in faults(found).values():
        assert compared(row)["verdict"].startswith("cannot tell")


def test_zero_variance(tmp_path: Path) -> None:
    found = analyse([MakeRun(tmp_path / "r", noise=0, effect=0, boots=6).write()])
    assert {compared(row)["verdict"] for row in faults(found).values()} == {"same within 0 %"}


def test_a_boot_begun_again_is_said_and_its_console_linked(tmp_path: Path) -> None:
    folder = MakeRun(tmp_path / "r").write()
    stalled = "boots/000/console-stalled-1.log"
    start = FalseStart(reason="silent", seconds=83.0, last_line="tsc", console=stalled)
    edit_lines(folder / "boots.jsonl", lambda boot: boot | (
        {"false_starts": [start.model_dump()]} if boot["boot"] == 0 else {}
    ))
    (folder / "boots" / "000").mkdir(parents=True, exist_ok=True)
    (folder / stalled).write_text("tsc\n")
    found = analyse([folder])
    assert "1 boot of 'before' stood still at the start and was repeated (of 2)" in said(found)
    table = origins.boot_table(found.data.runs[0])
    assert [row[3] for row in table.rows[:2]] == ["ok, after 1 false start", "ok"]
    assert stalled in [label for label, _ in origins.raw_links(found.data, tmp_path)]


def test_a_crashed_variant_counts_finished_cells_only(tmp_path: Path) -> None:
    def skip(boot: int, sample: Sample) -> bool:
        threads, repeat = sample.params.get("threads", 0), sample.repeat
        return boot in (1, 2) and (threads == 16 or (threads == 8 and repeat == 1))

    run = MakeRun(tmp_path / "r", status={1: "crashed", 2: "crashed"}, skip=skip)
    found = analyse([run.write()])
    assert "2 boots of 'after' crashed (oops)" in said(found)
    assert "boot 1: multi-fault" in said(found)
    assert "has 1 of 2 repeats (the boot crashed) and does not count" in said(found)
    rows = faults(found)
    assert rows[1]["variants"]["after"]["n"] == 2
    for threads in (8, 16):
        assert "after" not in rows[threads]["variants"]
        assert rows[threads]["comparisons"] == []


def test_a_boot_whose_record_is_missing_counts_what_it_finished(tmp_path: Path) -> None:
    def skip(boot: int, sample: Sample) -> bool:
        threads, repeat = sample.params.get("threads", 0), sample.repeat
        return boot == 3 and (threads, repeat) in ((8, 1), (16, 0), (16, 1))

    found = analyse([MakeRun(tmp_path / "r", status={3: "missing"}, skip=skip).write()])
    assert "1 boot without a record (the harness was killed)" in said(found)
    assert "(the boot was killed) and does not count" in said(found)
    counts = {threads: row["variants"]["before"]["n"] for threads, row in faults(found).items()}
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
    found = analyse([run])
    assert "measured again after a resume" in said(found)
    assert len(found.data.series) == 4 * 40
    assert len(found.data.results) == 4 * 9
    row = next(r for r in rows_json(found) if r["metric"] == "VmPTE")
    assert row["values"]["before"] == [102_440, 102_441]


def test_mixed_accels_stand_apart(tmp_path: Path) -> None:
    found = analyse([
        MakeRun(tmp_path / "a", "a").write(), MakeRun(tmp_path / "b", "b", accel="kvm").write(),
    ])
    assert "2 accels (kvm, tcg)" in said(found)
    rows = [r for r in rows_json(found) if r["metric"] == "VmPTE"]
    assert [(r["accel"], r["variants"]["before"]["n"]) for r in rows] == [("kvm", 2), ("tcg", 2)]


def halves(tmp_path: Path, **second: Any) -> Analysis:
    """Two runs of one variant each, of which the second is odd."""
    pairs = [("before", "after")]
    return analyse([
        MakeRun(tmp_path / "a", "a", variants=["before"], pairs=pairs).write(),
        MakeRun(tmp_path / "b", "b", variants=["after"], pairs=pairs, **second).write(),
    ])


def test_variants_of_two_runs_are_compared_when_all_else_agrees(tmp_path: Path) -> None:
    assert all(row.comparisons for row in halves(tmp_path).rows)


def test_mixed_bases_are_not_compared(tmp_path: Path) -> None:
    found = halves(tmp_path, base="next-20210812")
    assert "2 bases (debian-6.1, next-20210812)" in said(found)
    assert not any(row.comparisons for row in found.rows)


def test_hosts_are_not_mixed(tmp_path: Path) -> None:
    found = halves(tmp_path, cpu="AMD EPYC")
    assert "2 hosts" in said(found)
    assert not any(row.comparisons for row in found.rows)


def test_bases_that_somebody_wants_compared_are_and_it_is_said(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", bases={"after": "debian-7.3"}).write()
    assert not any(row.comparisons for row in analyse([run]).rows)

    def across(value: dict[str, Any]) -> None:
        value["plan"]["comparisons"][0]["across"] = True

    edit(run / "run.json", across)
    found = analyse([run])
    assert all(row.comparisons for row in found.rows)
    assert {row.place.base for row in found.rows} == {"debian-6.1 and debian-7.3"}
    assert "everything between them is in the difference" in said(found)


def test_other_builds_under_one_name_get_columns_of_their_own(tmp_path: Path) -> None:
    found = analyse([
        MakeRun(tmp_path / "a", "a").write(),
        MakeRun(tmp_path / "b", "b", keys={"after": "another"}).write(),
    ])
    assert labels(found) == ["before", "after@a", "after@b"]
    assert "'after' is not the same build in every run" in said(found)
    row = next(r for r in rows_json(found) if r["metric"] == "VmPTE")
    assert {name: side["n"] for name, side in row["variants"].items()} == {
        "before": 4, "after@a": 2, "after@b": 2,
    }


def test_merged_runs_pool_their_boots(tmp_path: Path) -> None:
    runs = [MakeRun(tmp_path / n, "same-name", seed=i).write() for i, n in enumerate("abc")]
    found = analyse([*runs, runs[0]])
    assert said(found) == f"{runs[0]} was named twice and counts once."
    assert {r["variants"]["before"]["n"] for r in rows_json(found)} == {6}


@pytest.mark.parametrize("content", [b'{"run": 5', b"", b"\xff\xfe\x00", b"[]"])
def test_a_damaged_run_json_is_a_user_error(tmp_path: Path, content: bytes) -> None:
    run = MakeRun(tmp_path / "r").write()
    (run / "run.json").write_bytes(content)
    with pytest.raises(UserError, match=r"run\.json"):
        analyse([run])


def test_no_samples_at_all(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    (run / "samples.jsonl").unlink()
    found = analyse([run])
    assert "no finished measurement at all" in said(found)
    assert found.rows == ()


def test_numbers_that_are_none(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()
    path = run / "samples.jsonl"
    lines = path.read_text().splitlines()
    sample = json.loads(lines[-1])
    sample["value"] = float("nan")
    path.write_text("\n".join([*lines[:-1], json.dumps(sample)]))
    assert "1 sample without a finite number" in said(analyse([run]))


def test_thp_and_a_busy_host_are_said(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()

    def change(boot: dict[str, Any]) -> dict[str, Any]:
        if boot["boot"] == 0:
            boot["state"]["thp"] = "[always] madvise never"
        if boot["boot"] == 1:
            boot["host_load"] = [17.0, 9.0, 5.0]
        return boot

    edit_lines(run / "boots.jsonl", change)
    text = said(analyse([run]))
    assert "Transparent huge pages were not 'never'" in text
    assert "the host was busy (load up to 17.0 on 2 cores) at 1 boot" in text


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").write()

    def change(value: dict[str, Any]) -> None:
        value["status"] = "interrupted"
        value["plan"]["boots"].append({**value["plan"]["boots"][-1], "index": 4})

    edit(run / "run.json", change)
    text = said(analyse([run]))
    assert f"was interrupted; `harness bench --resume {run}` goes on with it" in text
    assert "1 planned boot did not take place" in text


@pytest.mark.parametrize(
    "process, ended", [(os.getpid(), False), (0, True), (4_194_300, True)],
    ids=["alive", "none", "gone"],
)
def test_a_run_whose_process_is_gone_was_interrupted(
    tmp_path: Path, process: int, ended: bool
) -> None:
    """After kill -9 nobody wrote down the end; the record still says that the run goes on."""
    run = MakeRun(tmp_path / "r").write()
    edit(run / "run.json", lambda value: value.update(status="running", process=process))
    found = analyse([run])
    assert found.data.runs[0].interrupted == ended
    assert ("the process that conducted it is gone" in said(found)) == ended
    assert ("is still going on" in said(found)) != ended
    table = dict(origins.run_table(found.data.runs[0]).rows)
    assert table["status"] == ("interrupted (its process is gone)" if ended else "running")


def test_a_writer_notes_its_process_while_the_run_goes_on(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r").run()
    run.status = "running"
    writer = RunWriter(tmp_path / "r", run)
    assert json.loads((tmp_path / "r" / "run.json").read_text())["process"] == os.getpid()
    run.status = "complete"
    writer.save()
    assert json.loads((tmp_path / "r" / "run.json").read_text())["process"] == 0


def test_an_oops_with_odd_line_ends_stays_one_record(tmp_path: Path) -> None:
    crash = Crash(kind="oops", text="BUG\u2028a\x85b\x1b[0m")
    record = BootRecord(boot=0, variant="after", accel="tcg", status="crashed", started="",
                        crash=crash)
    (tmp_path / "boots.jsonl").write_text(record.model_dump_json() + "\n")
    records, damaged = load_boots(tmp_path)
    assert damaged == 0
    assert records[0].crash == crash


def test_what_is_no_run_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a run"):
        analyse([tmp_path])
    with pytest.raises(UserError, match="no run to report on"):
        analyse([])


def suite(directory: Path, started: str = "2027-01-01") -> Path:
    """A run of a suite, which is no measurement."""
    RunWriter(directory, Run(run=directory.name, status="complete", started=started,
                             plan=SuitePlan(suite="races", variants=["after"])))
    return directory


def test_the_newest_measurement_is_found_wherever_it_lies(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run"):
        newest_run(tmp_path / "none")
    suite(tmp_path / "stability")
    with pytest.raises(UserError, match="no run"):
        newest_run(tmp_path)
    MakeRun(tmp_path / "reference" / "quick", "late").write()
    edit(tmp_path / "reference" / "quick" / "run.json", lambda v: v.update(started="2026-12-01"))
    assert newest_run(tmp_path) == tmp_path / "reference" / "quick"
    MakeRun(tmp_path / "a", "a").write()
    MakeRun(tmp_path / "deep" / "b", "b").write()
    edit(tmp_path / "deep" / "b" / "run.json", lambda v: v.update(started="2026-11-24"))
    stub = MakeRun(tmp_path / "stub", "stub").write()
    edit(stub / "run.json", lambda v: v.update(started="2026-11-30"))
    (stub / "boots.jsonl").unlink()  # its kernels did not build
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "run.json").write_text('{"schema_version": 1}')
    assert newest_run(tmp_path) == tmp_path / "deep" / "b", "the committed one is not ours"
    assert [path.name for path in all_runs(tmp_path)] == ["a", "b", "stub", "quick"]


def test_a_boot_that_was_interrupted_and_done_again_is_no_trouble(tmp_path: Path) -> None:
    run = MakeRun(tmp_path / "r", status={1: "interrupted"}).write()
    found = analyse([run])
    assert "interrupted" in said(found) and len(origins.crashes(found.data)) == 1
    records, _ = load_boots(run)
    again = next(r for r in records if r.boot == 1).model_copy(update={"status": "ok"})
    with (run / "boots.jsonl").open("a") as stream:
        stream.write(again.model_dump_json() + "\n")
    found = analyse([run])
    assert "interrupted" not in said(found)
    assert origins.crashes(found.data) == []


