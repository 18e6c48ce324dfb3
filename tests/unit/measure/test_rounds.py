"""Programs that do rounds: parameters, and what they print, read without trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.measure import workloads
from harness.measure.workloads import page_fault, piecewise, rounds
from harness.measure.workloads.micro import OPS
from harness.measure.workloads.workload import Context, begin_on_its_cpu

LINE: dict[str, Any] = {
    "program": "micro", "op": "fork_exit", "unit": "page", "units": 262144,
    "median_ns": 89813358, "verdict": "ok", "reason": "",
}


def outcome(line: object, code: int = 0, warned: list[str] | None = None) -> dict[str, Any] | None:
    warn = (warned if warned is not None else []).append
    context = Context(Path(), 1, lambda _name, _text: None, lambda path: path, warn)
    return rounds.outcome("micro", code, json.dumps(line), "its last words", context)


def test_cost_is_named_after_unit_and_clock() -> None:
    counted = rounds.cost(LINE, "icount", 3)
    assert (counted.metric, counted.unit) == ("instructions_per_page", "instructions")
    assert counted.value == pytest.approx(342.6, abs=0.1) and counted.repeat == 3
    assert rounds.cost(LINE, "tcg", 0).metric == "ns_per_page"
    part = rounds.cost({**LINE, "drop_ns": 262144}, "kvm", 0, median="drop_ns", what="_dropped")
    assert (part.metric, part.value) == ("ns_per_page_dropped", 1.0)


@pytest.mark.parametrize("change", [
    {"median_ns": 0}, {"units": 0}, {"units": None}, {"median_ns": "fast"}, {"unit": None},
])
def test_a_cost_of_nothing_is_an_error(change: dict[str, Any]) -> None:
    line = {k: v for k, v in {**LINE, **change}.items() if v is not None}
    with pytest.raises(InfrastructureError, match="micro"):
        rounds.cost(line, "icount", 0)


def test_failed_check_is_an_error() -> None:
    with pytest.raises(InfrastructureError, match="a page lost its content"):
        outcome({**LINE, "verdict": "fail", "reason": "a page lost its content"}, 1)
    with pytest.raises(InfrastructureError, match="failed its own check"):
        outcome({**LINE, "verdict": "fail"}, 0)


@pytest.mark.parametrize("code", [2, 134, 139])
def test_death_is_an_error_with_its_words(code: int) -> None:
    with pytest.raises(InfrastructureError, match=f"ended with {code}") as caught:
        outcome({}, code)
    assert "its last words" in caught.value.excerpt


def test_skip_is_said_and_gives_no_number() -> None:
    warned: list[str] = []
    skipped = {**LINE, "verdict": "skip", "reason": "no swap area"}
    assert outcome(skipped, rounds.EXIT_SKIP, warned) is None
    assert warned == ["micro cannot be measured in this guest: no swap area"]


def test_micro_is_every_operation_by_default() -> None:
    cells = workloads.get("micro").cells({})
    assert tuple(c["op"] for c in cells) == OPS
    assert {c["size_mib"] for c in cells if c["op"] == "fork_exit"} == {1024}


def test_micro_takes_chosen_operations() -> None:
    cells = workloads.get("micro").cells({"op": ["munmap", "swap_in"], "size_mib": 4, "rounds": 3})
    found = [(c["op"], c["size_mib"], c["rounds"]) for c in cells]
    assert found == [("munmap", 4, 3), ("swap_in", 4, 3)]


@pytest.mark.parametrize(("name", "params", "words"), [
    ("micro", {"op": "vfork"}, "micro: op"),
    ("micro", {"size_mib": 3}, "size_mib.*multiple"),
    ("micro", {"rounds": 0}, "rounds"),
    ("micro", {"ops": "munmap"}, "did you mean 'op'"),
    ("churn", {"pattern": "dense"}, "churn: pattern"),
    ("churn", {"pattern": "shared", "threads": [8, 256], "pages": 4}, "do not share 2 MiB"),
    ("churn", {"pattern": "neighbour", "threads": 2, "pages": 256}, "must be at most 511"),
    ("piecewise", {"chunk_kib": [4, 6]}, "chunk_kib.*multiple"),
    ("piecewise", {"size_mib": 1}, "size_mib"),
    ("page-fault", {"kind": 4}, "page-fault: kind"),
    ("page-fault", {"threads": 0}, "threads"),
])
def test_bad_parameters(name: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        workloads.get(name).cells(params)


def test_churn_is_one_thread_and_many_in_one_table() -> None:
    cells = workloads.get("churn").cells({})
    assert [(c["pattern"], c["threads"]) for c in cells] == [
        ("sparse", 1), ("refault", 1), ("shared", 8), ("shared", 16),
        ("whole", 8), ("whole", 16), ("neighbour", 1),
    ]
    cells = workloads.get("churn").cells({"pattern": "sparse", "threads": [2, 4]})
    assert [c["threads"] for c in cells] == [2, 4]


def test_piecewise_goes_from_a_page_to_two_tables() -> None:
    chunks = [c["chunk_kib"] for c in workloads.get("piecewise").cells({})]
    assert chunks[0] == 4 and chunks[-1] == 4096 and chunks == sorted(chunks)


CHUNKS: dict[str, Any] = {
    "program": "chunks", "size": 32 << 20, "unit": "page", "units": 8192, "median_ns": 89467232,
    "drop_ns": 26193507, "vmpte_before_kb": 32, "page_tables_before": 48, "vmpte_touched_kb": 96,
    "page_tables_touched": 64, "vmpte_dropped_kb": 96, "page_tables_dropped": 64,
}  # as captured from `before`


def test_piecewise_numbers() -> None:
    found = {m.metric: m.value for m in piecewise.measurements(CHUNKS, "icount")}
    assert (found["VmPTE_touched"], found["VmPTE_kept"]) == (64, 64)
    assert found["nr_page_table_pages_kept"] == 16
    assert found["instructions_per_page"] == pytest.approx(10_921, abs=1)
    assert found["instructions_per_page_dropped"] == pytest.approx(3_197, abs=1)


@pytest.mark.parametrize("change", [
    {"vmpte_touched_kb": 32}, {"vmpte_before_kb": -1}, {"page_tables_dropped": -1},
])
def test_tables_that_were_never_made_are_not_freed(change: dict[str, Any]) -> None:
    with pytest.raises(InfrastructureError, match="chunks"):
        list(piecewise.measurements({**CHUNKS, **change}, "icount"))


def test_page_faults_are_a_rate_or_a_count() -> None:
    line = {"program": "page-fault", "unit": "fault", "units": 32768, "median_ns": 10**9}
    rate = page_fault.rate(line, "tcg")
    assert rate.metric == "faults_per_second" and rate.value == pytest.approx(32768)
    assert page_fault.rate(line, "icount").metric == "instructions_per_fault"


def test_page_fault_is_each_kind_by_threads() -> None:
    cells = workloads.get("page-fault").cells({"threads": [1, 2]})
    assert [(c["kind"], c["threads"]) for c in cells] == [
        (1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2),
    ]


def test_one_counted_thread_begins_on_its_cpu() -> None:
    assert begin_on_its_cpu("icount", 1) == ["taskset", "-c", "0"]
    assert begin_on_its_cpu("icount", 8) == begin_on_its_cpu("tcg", 1) == []
