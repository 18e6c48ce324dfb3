"""A balloon that takes a machine's memory away: parameters, and the program on this host."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from harness.core.errors import UserError
from harness.machine.session import Session
from harness.measure import workloads
from harness.measure.workloads.balloon import QEMU, BalloonLoad
from harness.measure.workloads.workload import Context
from tests.places import ROOT
from tests.unit.measure.test_runtime import Without

PROGRAM = ROOT / "guest/balloon.py"


def test_parameters() -> None:
    load = workloads.get("balloon")
    assert [load.label(cell) for cell in load.cells({"left_pct": 5})] == [
        "4 KiB at a time, 5 % left", "2 MiB at a time, 5 % left",
    ]
    assert load.packages(load.cells({})[0]) == ("qemu-system-x86",)
    with pytest.raises(UserError, match="unit"):
        load.cells({"unit": "huge"})


def test_without_qemu_it_is_left_out_and_said() -> None:
    load, said = BalloonLoad(), list[str]()
    context = Context(Path(), 1, lambda _name, _text: None, lambda path: path, said.append)
    cell = load.parse({"unit": "page"})
    assert list(load.run(cast("Session", Without()), cell, context)) == []
    assert said == ["a balloon cannot be measured here: install qemu-system-x86"]


@pytest.mark.parametrize("unit", ["page", "block"])
def test_what_is_in_the_balloon_is_not_resident(unit: str) -> None:
    """The program checks by itself that a page which it gave away reads as zero."""
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), unit, "64", "50"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as child:
        assert child.stdin and child.stdout
        lines = [json.loads(child.stdout.readline())]
        assert lines[0]["program"] == "balloon"
        status = Path(f"/proc/{lines[0]['pid']}/status")
        assert QEMU[:15] in status.read_text()
        found: dict[str, str] = {}
        while "done" not in lines[-1]:
            lines.append(json.loads(child.stdout.readline()))
            if "mark" in lines[-1]:
                found = dict(re.findall(r"^(Vm\w+):\s+(\d+) kB$", status.read_text(), re.M))
                child.stdin.write("\n")
                child.stdin.flush()
        child.stdin.close()
        assert child.wait(20) == 0
    assert not status.exists(), "QEMU lives on"
    steps = [line.get("phase", line.get("mark")) for line in lines[1:-1]]
    life = [*["fill"] * 3, *["give"] * 2]
    assert steps == [*life, "emptied", *life]
    assert lines[-1]["done"] == 2 * 24 * 256
    assert int(found["VmHWM"]) - int(found["VmRSS"]) > 23 * 1024


@pytest.mark.parametrize("words", [[], ["page", "64"], ["huge", "64", "0"], ["page", "x", "0"]])
def test_wrong_words_are_refused(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), *words], input="", capture_output=True, text=True,
        timeout=30, check=False,
    )
    assert done.returncode == 2 and done.stderr.startswith("usage: balloon ")
