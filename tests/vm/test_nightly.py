"""`harness nightly` killed in the middle and started again; `harness reproduce`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.guests import Ended, argv, guests, wait_for
from tests.places import ROOT

pytestmark = pytest.mark.vm

NIGHT = """
[nightly]
hours = 1
hook = "echo $NIGHTLY_VERDICT > verdict"

[[nightly.suites]]
suite = "ltp"
lists = ["other"]
variants = ["before"]
smp = 1

[[nightly.suites]]
suite = "ltp"
lists = ["ends"]
tests = ["passes", "fails", "panics", "behind"]
variants = ["before"]
smp = 1
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a plan of its own, so that results go elsewhere; the cache is shared."""
    for name in ("guest", "kernel", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    text = (ROOT / "harness.toml").read_text()
    text = text.replace("[settings.ltp]\n", f'[settings.ltp]\npath = "{ROOT}/tests/ltptree"\n')
    head, _, rest = text.partition("\n[nightly]\n")
    profiles = rest[rest.index("[profiles."):]
    (tmp_path / "harness.toml").write_text(f"{head}\n{NIGHT}\n{profiles}")
    return tmp_path


def run(checkout: Path, *words: str) -> Ended:
    done = subprocess.run(
        argv(*words), cwd=checkout, capture_output=True, text=True, timeout=900, check=False
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def guests_of(checkout: Path) -> list[int]:
    """The guests that write their console below the checkout."""
    mark = str(checkout).encode()
    return [pid for pid in guests() if mark in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_killed_night_is_gone_on_with(checkout: Path) -> None:
    process = subprocess.Popen(
        argv("nightly"), cwd=checkout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    second = "results/nightly/*/01-ltp/verdicts.jsonl"
    wait_for(lambda: any(path.stat().st_size for path in checkout.glob(second)), 600)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not guests_of(checkout), 10)
    (torn,) = checkout.glob(second)
    before = torn.read_text().splitlines()

    done = run(checkout, "nightly")
    assert done.code == 4, done.err
    (night,) = [path for path in (checkout / "results/nightly").iterdir() if path.is_dir()]
    lines = torn.read_text().splitlines()
    assert lines[:len(before)] == before
    assert sorted(json.loads(line)["test"] for line in lines) == \
        ["behind", "fails", "panics", "passes"]
    state = json.loads((night / "night.json").read_text())
    assert state["finished"]
    assert {part["key"]: part["code"] for part in state["parts"]} == {"00-ltp": 0, "01-ltp": 4}
    assert (checkout / "verdict").read_text() == "crash\n"
    rows = [json.loads(line) for line in
            (checkout / "results/nightly/history.jsonl").read_text().splitlines()]
    assert sum(row["crashes"] for row in rows) == 1
    assert "1 crash," in (checkout / "results/nightly/index.html").read_text()

    panics = next(json.loads(line) for line in lines if json.loads(line)["test"] == "panics")
    record = json.loads((torn.parent / "verdicts.json").read_text())
    ident = next(v["id"] for v in record["verdicts"] if v["test"] == panics["test"])
    again = run(checkout, "reproduce", ident, "--until-fail", "3")
    assert again.code == 4 and "sysrq triggered crash" in again.out, again.err
    rounds = [line for line in again.out.splitlines() if line.startswith(("1: ", "2: "))]
    assert len(rounds) == 1 and rounds[0].startswith("1: crash before panics")
    nothing = run(checkout, "reproduce", "00000000")
    assert nothing.code == 2 and "IDs stand in brackets" in nothing.err
