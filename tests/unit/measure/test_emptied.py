"""Page tables kept after each way in which memory becomes empty: the program's line, read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import InfrastructureError
from harness.measure import workloads
from harness.measure.workloads import emptied
from harness.measure.workloads.workload import Context

ROOT = Path(__file__).parents[3]


def context(warned: list[str] | None = None) -> Context:
    warn = (warned if warned is not None else []).append
    return Context(Path(), 1, lambda _name, _text: None, lambda path: path, warn)


EMPTIED: dict[str, Any] = {
    "program": "piecewise", "case": "munmap-half", "size": 32 << 20, "chunk": 4096,
    "vmpte_before_kb": 32, "vmpte_touched_kb": 96, "vmpte_dropped_kb": 96,
    "pte_table_freed": None, "verdict": "kept", "reason": "",
}


def test_the_cases_are_those_of_the_program() -> None:
    source = (ROOT / "guest/piecewise.c").read_text()
    listed = re.findall(r'^\t\{ "([a-z-]+)", \w+, "', source, re.MULTILINE)
    assert listed.pop() == "zeropage-pageout", "the last is not in `list`"
    assert tuple(listed) == emptied.CASES and len(listed) == 25
    assert [c["case"] for c in workloads.get("emptied").cells({})] == listed


@pytest.mark.parametrize(("code", "change", "kept"), [
    (1, {}, 64.0), (0, {"verdict": "freed", "vmpte_dropped_kb": 32}, 0.0),
])
def test_tables_that_are_kept_are_a_result(
    code: int, change: dict[str, Any], kept: float
) -> None:
    line = emptied.outcome(code, json.dumps({**EMPTIED, **change}), "", context())
    assert line is not None
    found = {m.metric: m.value for m in emptied.measurements(line)}
    assert found == {"VmPTE_kept": kept, "VmPTE_touched": 64.0}


def test_a_case_that_cannot_be_done_is_left_out_and_said() -> None:
    said: list[str] = []
    line = {**EMPTIED, "verdict": "skip", "reason": "one node"}
    asked = context(said)
    assert emptied.outcome(77, json.dumps(line), "", asked) is None
    assert said == ["munmap-half cannot be measured in this guest: one node"]
    with pytest.raises(InfrastructureError, match="ended with 139"):
        emptied.outcome(139, "", "killed", asked)
    with pytest.raises(InfrastructureError, match="could not read VmPTE"):
        list(emptied.measurements({**EMPTIED, "vmpte_before_kb": -1}))
