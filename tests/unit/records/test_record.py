"""The files of a run survive what kills their writer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.records.boots import BootRecord
from harness.records.plans import Plan
from harness.records.runs import Run
from harness.records.samples import Sample
from harness.records.store import RunWriter, load_boots, load_run, load_samples


def sample(value: float) -> Sample:
    return Sample(
        run="r", variant="before", boot=0, workload="vmpte", params={"size_gib": 50}, repeat=0,
        metric="VmPTE", value=value, unit="kB", accel="tcg",
    )


def empty_run() -> Run:
    return Run(run="r", plan=Plan(variants=["before"]))


def test_round_trip(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run", empty_run())
    writer.samples([sample(1)])
    writer.samples([sample(2), sample(3)])
    writer.boot(BootRecord(boot=0, variant="before", accel="tcg", status="ok", started=""))
    samples, damaged = load_samples(tmp_path / "run")
    assert [s.value for s in samples] == [1, 2, 3] and damaged == 0
    assert load_boots(tmp_path / "run")[0][0].status == "ok"
    assert load_run(tmp_path / "run").run == "r"


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, empty_run())
    writer.samples([sample(1)])
    with (tmp_path / "samples.jsonl").open("a") as stream:
        stream.write('{"run": "r", "vari')
    writer.samples([sample(2)])
    samples, damaged = load_samples(tmp_path)
    assert [s.value for s in samples] == [1, 2]
    assert damaged == 1


def test_unwritable_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--out"):
        RunWriter(tmp_path / "file" / "run", empty_run())


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        load_run(tmp_path)


def test_the_schema_is_read(tmp_path: Path) -> None:
    RunWriter(tmp_path, empty_run())
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 1}))
    with pytest.raises(UserError, match="schema 1"):
        load_run(tmp_path)
