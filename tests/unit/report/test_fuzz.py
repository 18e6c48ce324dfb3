"""Whatever a crash or an editor did to the files: words, never a traceback."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.report.analysis.analyse import analyse
from harness.report.pages.exports import as_json
from harness.report.pages.mail import mail
from harness.report.pages.terminal import terminal_text
from tests.unit.report.make_run import MakeRun

ODD: list[Any] = [None, "", "x", 0, -1, 1e300, [], ["a"], {}, {"a": {"b": []}}, True, "\u2028\x00"]


def spoil_line(line: bytes, rng: random.Random) -> bytes:
    """Cut, double, garble or blank one line."""
    cut = rng.randrange(len(line) + 1)
    return rng.choice([line[:cut], line + line, b"", line[:cut] + b"\xff\x00" + line[cut:], b"[]",
                       line.replace(b"0", b"null", 1), line.replace(b'"', b"", 1)])


def spoil_value(value: Any, rng: random.Random) -> Any:
    """Replace something inside a JSON value by something odd."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        if isinstance(value, dict):
            key = rng.choice(list(value))
            value[key] = spoil_value(value[key], rng)
        else:
            place = rng.randrange(len(value))
            value[place] = spoil_value(value[place], rng)
        return value
    return rng.choice(ODD)


def spoil_lines(path: Path, rng: random.Random, most: int) -> None:
    """Spoil a few lines: as bytes, or a value within, which may stay a valid record."""
    lines = path.read_bytes().split(b"\n")
    for _ in range(rng.randrange(most)):
        place = rng.randrange(len(lines))
        if rng.random() < 0.5 and lines[place].startswith(b"{"):
            try:
                value = spoil_value(json.loads(lines[place]), rng)
            except ValueError:
                continue
            lines[place] = json.dumps(value).encode()
        else:
            lines[place] = spoil_line(lines[place], rng)
    path.write_bytes(b"\n".join(lines))


@pytest.mark.parametrize("seed", range(30))
def test_spoilt_files_never_raise(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    run = MakeRun(tmp_path / "r", status={1: "crashed"}, seeds=rng.random() < 0.5, boots=3,
                  accel="tcg" if rng.random() < 0.5 else "icount").write()
    if rng.random() < 0.4:
        record = json.loads((run / "run.json").read_text())
        part = rng.choice(["plan", "kernels", "accels", "host", "harness", "workloads", "emulator"])
        record[part] = spoil_value(record[part], rng)
        (run / "run.json").write_text(json.dumps(record))
    for name in ("samples.jsonl", "boots.jsonl"):
        spoil_lines(run / name, rng, 8)
    try:
        found = analyse([run])
    except UserError:
        return
    json.dumps(as_json(found), allow_nan=False)
    assert max(map(len, terminal_text(found, 100).splitlines())) <= 100
    lines = mail(found).splitlines()
    assert lines[0].startswith("Subject: ")
    assert max(map(len, lines[1:])) <= 72
