"""Whatever a crash or an editor did to the files: words, never a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.report.analysis import rows as tables
from harness.report.data.load import load
from harness.report.pages.text import mail, terminal_summary
from tests.unit.report.make_run import MakeRun

ODD: list[Any] = [None, "", "x", 0, -1, 1e300, [], ["a"], {}, {"a": {"b": []}}, True, "\u2028\x00"]


def spoil_line(line: bytes, rng: random.Random) -> bytes:
    """Cut, double, garble or blank one line."""
    cut = rng.randrange(len(line) + 1)
    return rng.choice([line[:cut], line + line, b"", line[:cut] + b"\xff\x00" + line[cut:], b"[]",
                       line.replace(b"0", b"null", 1), line.replace(b'"', b"", 1)])  # fmt: skip


def spoil_value(value: Any, rng: random.Random) -> Any:
    """Replace something inside a JSON value by something odd."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        key = rng.choice(list(value) if isinstance(value, dict) else list(range(len(value))))
        value[key] = spoil_value(value[key], rng)
        return value
    return rng.choice(ODD)


@pytest.mark.parametrize("seed", range(25))
def test_spoilt_files_never_raise(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    run = MakeRun(tmp_path / "r", status={1: "crashed"}, accel=rng.choice(["tcg", "icount"]),
                  seeds=rng.random() < 0.5, boots=3).write()  # fmt: skip
    record = json.loads((run / "run.json").read_text())
    for _ in range(rng.randrange(4)):
        part = rng.choice(["plan", "variants", "accel", "host", "harness", "qemu", "image"])
        if record[part]:
            key = rng.choice(list(record[part]))
            record[part][key] = spoil_value(record[part][key], rng)
    (run / "run.json").write_text(json.dumps(record))
    for name in ("samples.jsonl", "boots.jsonl"):
        lines = (run / name).read_bytes().split(b"\n")
        for _ in range(rng.randrange(6)):
            place = rng.randrange(len(lines))
            lines[place] = spoil_line(lines[place], rng)
        (run / name).write_bytes(b"\n".join(lines))
    try:
        data = load([run])
    except UserError:
        return
    json.dumps(tables.rows(data), allow_nan=False)
    assert terminal_summary(data)
    assert max(map(len, mail(data).splitlines())) <= 72
