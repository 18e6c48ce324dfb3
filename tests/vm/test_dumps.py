"""A guest that panics leaves its memory, which drgn reads: task, stack, page table, a prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.guests import Harness
from tests.places import ROOT

pytestmark = pytest.mark.vm
pytest.importorskip("drgn", reason="drgn is not installed: pip install 'pte-harness[dumps]'")


def test_a_panic_is_dumped_and_read(harness: Harness, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = harness(
        "ltp", "--ltp", str(ROOT / "tests/ltptree"), "--suite", "ends", "--tests", "panics,passes",
        "--variants", "before", "--smp", "2", "--memory", "1G", "--dump", "--no-confirm",
        "--out", str(run), timeout=1800,
    )
    assert done.code == 4, done.err
    verdicts = [json.loads(line) for line in (run / "verdicts.jsonl").read_text().splitlines()]
    dumps = {one["test"]: one["dump"] for one in verdicts}
    assert dumps["passes"] == ""
    dump = run / dumps["panics"]
    assert 2**20 < dump.stat().st_size < 2**29  # of a guest of 1 GiB
    text = dump.with_suffix(".txt").read_text()
    assert "Kernel panic - not syncing: sysrq triggered crash" in text
    assert "(panics.sh) on CPU" in text and "sysrq_handle_crash" in text
    assert "page table of the address of the last page fault" in text and "PTE " in text
    assert "so it is mapped" in text and "(swapper/" in text

    record = json.loads((run / "verdicts.json").read_text())
    ident = next(one["id"] for one in record["verdicts"] if one["test"] == "panics")
    shown = harness("reproduce", ident, "--drgn", "--run", str(run))
    assert shown.code == 0, shown.err
    assert "in a terminal this opens it:" in shown.out and str(dump) in shown.out
    assert "sysrq_handle_crash" in (run / "report.html").read_text()
