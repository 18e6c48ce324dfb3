"""The files of a run survive what kills their writer."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.records.runs import (
    BootRecord,
    Run,
    RunWriter,
    Sample,
    load_boots,
    load_run,
    load_samples,
)


def sample(value: float) -> Sample:
    return Sample(
        run="r", variant="before", boot=0, workload="vmpte", params={"size_gib": 50}, repeat=0,
        metric="VmPTE", value=value, unit="kB", accel="tcg",
    )


def test_round_trip(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path / "run", Run(run="r"))
    writer.sample(sample(1))
    writer.samples([sample(2), sample(3)])
    writer.boot(BootRecord(boot=0, variant="before", status="ok", started=""))
    samples, damaged = load_samples(tmp_path / "run")
    assert [s.value for s in samples] == [1, 2, 3] and damaged == 0
    assert load_boots(tmp_path / "run")[0][0].status == "ok"
    assert load_run(tmp_path / "run").run == "r"


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    writer = RunWriter(tmp_path, Run(run="r"))
    writer.sample(sample(1))
    with (tmp_path / "samples.jsonl").open("a") as stream:
        stream.write('{"run": "r", "vari')
    writer.sample(sample(2))
    samples, damaged = load_samples(tmp_path)
    assert [s.value for s in samples] == [1, 2]
    assert damaged == 1


def test_unwritable_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--out"):
        RunWriter(tmp_path / "file" / "run", Run(run="r"))


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run"):
        load_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        load_run(tmp_path)
