"""What the guest prints is read without trust."""

from __future__ import annotations

from typing import Any

import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.measure import workloads
from harness.measure.workloads import multi_fault, perf
from harness.measure.workloads.workload import json_line
from tests.places import DATA


def run(faults: int = 512_000, **changes: Any) -> dict[str, Any]:
    return {"threads": 1, "warmup": 2, "faults": faults, "elapsed_ns": 10**9, **changes}


def perf_text(value: object) -> str:
    return f"{value},,page-faults,0.05%,1003214000,100.00,,\n"


def test_perf_as_captured_in_a_guest() -> None:
    counters = perf.parse((DATA / "perf-stat.csv").read_text())
    assert counters["page-faults"].value > 10_000
    assert perf.parse(perf_text(7))["page-faults"].spread_pct == 0.05


@pytest.mark.parametrize("raw", ["<not supported>", "<not counted>"])
def test_perf_never_reads_uncounted_as_zero(raw: str) -> None:
    with pytest.raises(InfrastructureError, match="page-faults"):
        perf.parse(f"{raw},,page-faults,,,,,\n")


def test_agreement_of_the_two_counts() -> None:
    own = 512_000 + 1024
    assert multi_fault.check(run(), perf_text(own + 90)) == own + 90


@pytest.mark.parametrize("counted", [512_000, 700_000])
def test_disagreement_is_an_error(counted: int) -> None:
    with pytest.raises(InfrastructureError, match="do not agree"):
        multi_fault.check(run(), perf_text(counted))


def test_perf_without_the_event_is_an_error() -> None:
    with pytest.raises(InfrastructureError, match="counted no page-faults"):
        multi_fault.check(run(), "")


def test_rate_and_instructions() -> None:
    found = {m.metric: m.value for m in multi_fault.measurements(run(), "tcg")}
    assert found["faults_per_minute"] == pytest.approx(60 * 512_000)
    found = {m.metric: m.value for m in multi_fault.measurements(run(), "icount")}
    assert found["instructions_per_fault"] == pytest.approx(1e9 / 512_000)


def test_a_burst_in_one_round_does_not_count() -> None:
    """Ten rounds of one thread: the shortest and the longest are left out."""
    rounds = [*[512 * 7000] * 8, 512 * 6000, 512 * 90_000]
    found = {m.metric: m.value for m in multi_fault.measurements(
        {**run(), "threads": 1, "round_ns": rounds}, "icount")}
    assert found["instructions_per_fault"] == pytest.approx(7000)


def test_rounds_of_several_threads_run_into_one_another_and_are_taken_together() -> None:
    """What the first took of the second, the last lacks: no round may be left out."""
    rounds = [8 * 512 * 10_000, *[8 * 512 * 7000] * 8, 8 * 512 * 5000]
    found = {m.metric: m.value for m in multi_fault.measurements(
        {**run(8 * 512 * 10), "threads": 8, "round_ns": rounds, "elapsed_ns": sum(rounds)},
        "icount")}
    assert found["instructions_per_fault"] == pytest.approx(7100)


def test_lists_become_cells() -> None:
    cells = workloads.get("multi-fault").cells({"threads": [1, 8], "seconds": 3})
    assert [c["threads"] for c in cells] == [1, 8]
    assert all(c["mode"] == "together" for c in cells)


@pytest.mark.parametrize(("params", "words"), [
    ({"thread": 1}, "did you mean 'threads'"), ({"threads": 0}, "threads"),
    ({"mode": "fast"}, "mode"),
])
def test_bad_parameters(params: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        workloads.get("multi-fault").cells(params)


def test_unknown_workload() -> None:
    with pytest.raises(UserError, match="did you mean 'vmpte'"):
        workloads.get("vmpt")


@pytest.mark.parametrize("line", ["", "{", "[1]", "Segmentation fault"])
def test_no_json(line: str) -> None:
    with pytest.raises(InfrastructureError, match="printed no JSON"):
        json_line(line, "vmpte")
