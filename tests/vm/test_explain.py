"""`harness explain`: canaries are named and sized, and one history gives one profile.

Three patches put 7, 12 and 3 nops into functions of the fault, fork and unmap paths
(tests/canary/place-*.patch). What is asserted comes from the profiles alone.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.records.profiles import CellProfile
from harness.records.store import load_profiles, load_samples
from harness.report.profiles.difference import compare
from tests.guests import Harness

pytestmark = [pytest.mark.vm, pytest.mark.kernel]

RESIDUAL = 0.5
"""Instructions per operation that a function may differ by between two boots of one history."""
TOTAL = 0.0005  # what a profile's total may differ by from the sample, as a share


@pytest.fixture(scope="module")
def run(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`before` twice with one history, and the kernel with the canaries."""
    out = tmp_path_factory.mktemp("explain") / "run"
    done = harness(
        "bench", "--profile", "explain", "--variants", "before,canary-places", "--boots", "1",
        "--out", str(out),
    )
    assert done.code == 0, done.err
    return out


def cell(profile: CellProfile) -> str:
    return str(profile.params.get("op", profile.workload))


def test_canaries_are_named_and_sized(run: Path) -> None:
    found, damaged = load_profiles(run)
    assert damaged == 0
    sizes = {
        ("multi-fault", "handle_mm_fault"): 7, ("multi-fault", "page_remove_rmap"): 3,
        ("fork_exit", "copy_page_range"): 12,
        ("fork_exit", "page_remove_rmap"): 3, ("munmap", "page_remove_rmap"): 3,
        ("mmap_munmap", "handle_mm_fault"): 7, ("mmap_munmap", "page_remove_rmap"): 3,
    }
    for one in compare(found, "before", "canary-places"):
        name = str(one.params.get("op", one.workload))
        expected = {function: n for (where, function), n in sizes.items() if where == name}
        first = one.functions[:len(expected)]
        assert {change.name for change in first} == set(expected), name
        for change in first:
            assert change.delta == pytest.approx(expected[change.name], abs=1), change
        assert sum(change.delta for change in one.functions) == pytest.approx(one.total.delta)


def test_totals_are_those_of_the_samples(run: Path) -> None:
    samples = {
        (s.boot, json.dumps(s.params, sort_keys=True)): s.value for s in load_samples(run)[0]
        if s.metric.startswith("instructions_per_")
    }
    found, _ = load_profiles(run)
    assert found
    for one in found:
        value = samples[one.boot, json.dumps(one.params, sort_keys=True)]
        assert one.total / one.units == pytest.approx(value, rel=TOTAL)
        assert one.paths is not None
        assert sum(one.paths.instructions) == pytest.approx(one.kernel, rel=0.01)


def test_what_else_was_counted(run: Path) -> None:
    found, _ = load_profiles(run)
    (fault, *_) = [one for one in found if one.workload == "multi-fault"]
    table = fault.functions
    clear = table.function.index("clear_page_erms")
    pages = table.string_operations[clear] / fault.units
    assert pages == pytest.approx(1, abs=0.01)  # and now and then one for a table
    # One that is under way when a window begins or ends is counted in part.
    assert table.string_bytes[clear] / fault.units == pytest.approx(4096 * pages, rel=0.001)
    assert table.stores[clear] == pytest.approx(table.string_bytes[clear], rel=0.001)
    assert table.string_instructions[clear] / fault.units == pytest.approx(4097 * pages, rel=0.001)
    for column in ("loads", "stores", "branches", "calls", "locked"):
        assert sum(getattr(table, column)) / fault.units > 1, column


def test_one_history_gives_one_profile(run: Path) -> None:
    found, _ = load_profiles(run)
    before = [one for one in found if one.variant == "before"]
    boots = sorted({one.boot for one in before})
    assert len(boots) == 2
    again = [
        one.model_copy(update={"variant": "again"}) if one.boot == boots[1] else one
        for one in before
    ]
    for one in compare(again, "before", "again"):
        worst = max(one.functions, key=lambda change: abs(change.delta))
        assert abs(worst.delta) <= RESIDUAL, worst


def test_the_command(harness: Harness, run: Path) -> None:
    done = harness("explain", str(run), "--json", "--guard", "handle_mm_fault <= +0")
    assert done.code == 1
    assert "broken: handle_mm_fault <= +0" in done.err
    rows = json.loads(done.out)
    assert set(rows[0]) == {
        "workload", "params", "function", "file", "before", "after", "delta", "counts"
    }
    deltas = [abs(row["delta"]) for row in rows]
    assert deltas == sorted(deltas, reverse=True)
    told = json.loads((run / "report.json").read_text())["profile"]
    assert [row for row in rows if row["delta"]] == told
    assert list((run / "explain").glob("flame-*.html"))
    assert list((run / "explain").glob("callgrind.out.*"))
    held = harness("explain", str(run), "--guard", "multi-fault: group:rcu <= 0")
    assert held.code == 0, held.err
    assert "Where the differences are" in (run / "report.html").read_text()
