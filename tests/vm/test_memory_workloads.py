"""The workloads about memory of servers, each with parameters as small as they go."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.records.store import load_samples
from tests.guests import argv
from tests.places import ROOT

pytestmark = pytest.mark.vm

Bench = Callable[..., dict[str, float]]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """One boot of `before` with one workload; its results by metric.

    Parameters come from a profile, so the checkout is seen through links beside a
    harness.toml with one profile more.
    """

    def run(workload: str, **params: Any) -> dict[str, float]:
        for name in ("guest", "kernel", "tests"):
            (tmp_path / name).symlink_to(ROOT / name)
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in params.items())
        (tmp_path / "harness.toml").write_text(
            f'{(ROOT / "harness.toml").read_text()}\n[profiles.tiny]\nboots = 1\n'
            f'[[profiles.tiny.workloads]]\nname = "{workload}"\nrepeat = 1\n'
            f"[profiles.tiny.workloads.params]\n{lines}\n"
        )
        out = tmp_path / "run"
        done = subprocess.run(
            argv("bench", "--profile", "tiny", "--variants", "before", "--accel", "tcg",
                 "--out", str(out)),
            cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.returncode == 0, done.stderr
        samples, damaged = load_samples(out)
        assert damaged == 0
        assert any(s.metric == "VmPTE" and s.t is not None for s in samples)
        return {s.metric: s.value for s in samples if s.t is None}

    return run


def test_server_snapshot_stands_in_the_letters_ratio(bench: Bench) -> None:
    found = bench("server-snapshot", scale=2048)
    assert found["scale"] == 2048
    assert found["VmPTE_per_VmRSS"] == pytest.approx(100 * 110 / 590, rel=0.03)
    assert found["VmSize_per_VmRSS"] == pytest.approx(55 * 1024 / 590, rel=0.03)


@pytest.mark.parametrize("allocator", ["glibc", "jemalloc", "tcmalloc"])
def test_allocators_are_really_there(bench: Bench, allocator: str) -> None:
    found = bench("allocator", allocator=allocator, low_pct=0, workers=2, peak_mib=4, rounds=1,
                  idle_ms=200)
    assert found["live"] == 0
    assert found["operations_per_second"] > 100
    assert found["VmHWM"] > 4 * 1024


def test_redis_fills_and_empties(bench: Bench) -> None:
    found = bench("redis", keys=1000, value_bytes=4096, idle_ms=200)
    assert found["VmHWM"] > 4 * 1024
    assert found["us_per_fork_emptied"] > 0
    assert found["VmRSS_emptied"] < found["VmHWM"] - 2 * 1024
    assert found["operations_per_second"] > 10
