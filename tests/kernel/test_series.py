"""The series itself: applies, is on in `after`, and frees what `before` keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.guests import Harness

pytestmark = pytest.mark.kernel

# What vanilla gives back too, because the VMA or the huge page goes.
ALWAYS_FREED = {"munmap-halves", "thp-dontneed"}


@pytest.fixture(scope="module")
def after_kernel(harness: Harness) -> dict[str, Any]:
    """The `after` build, made if the cache is cold: minutes."""
    done = harness("build", "--variant", "after", "--json", timeout=3600)
    assert done.code == 0, done.err
    build: dict[str, Any] = json.loads(done.out)[0]
    return build


def piecewise(harness: Harness, variant: str, tmp_path: Path) -> dict[str, str]:
    out = tmp_path / variant
    harness("stability", "--suite", "piecewise", "--variants", variant, "--out", str(out))
    lines = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    assert not [line for line in lines if line["events"]]
    return {line["test"]: line["output"].get("verdict", line["reason"]) for line in lines}


def test_it_applies_without_fuzz(harness: Harness) -> None:
    done = harness("series", "check")
    assert "patches apply without fuzz" in done.out, done.err


def test_it_is_switched_on(after_kernel: dict[str, Any]) -> None:
    assert "CONFIG_FREE_USER_PTE=y" in Path(after_kernel["directory"], "config").read_text()


def test_the_guest_says_so_itself(harness: Harness, after_kernel: dict[str, Any]) -> None:
    done = harness("run", "--variant", "after", "--",
                   "zcat /proc/config.gz | grep -x CONFIG_FREE_USER_PTE=y; "
                   "grep pte_table_freed /proc/vmstat")
    assert done.code == 0 and "pte_table_freed" in done.out


def test_vmpte_after_the_letters_loop(
    harness: Harness, after_kernel: dict[str, Any], tmp_path: Path
) -> None:
    done = harness("bench", "--variants", "before,after", "--workload", "vmpte", "--boots", "1",
                   "--repeat", "1", "--out", str(tmp_path / "run"), "--json")
    assert done.code == 0, done.err
    row = next(r for r in json.loads(done.out)["rows"] if r["metric"] == "VmPTE")
    assert 102_400 <= row["variants"]["before"]["median"] <= 102_700
    assert row["variants"]["after"]["median"] <= 248
    (figure,) = row["published"]
    assert (figure["baseline"], figure["variant"]) == (102_640, 248)
    assert figure["delta_pct"] == pytest.approx(-99.76)


def test_tables_come_back_in_any_chunk_size(
    harness: Harness, after_kernel: dict[str, Any], tmp_path: Path
) -> None:
    after = piecewise(harness, "after", tmp_path)
    assert {case for case, verdict in after.items() if verdict == "kept"} == set()
    assert len([v for v in after.values() if v == "freed"]) >= 20


def test_vanilla_keeps_them(harness: Harness, tmp_path: Path) -> None:
    before = piecewise(harness, "before", tmp_path)
    freed = {case for case, verdict in before.items() if verdict == "freed"}
    assert freed <= ALWAYS_FREED
    assert len([v for v in before.values() if v == "kept"]) >= 15
