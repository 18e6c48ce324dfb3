"""docs/example.py does what it says, on a real guest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.records.store import load_boots, load_run
from tests.places import ROOT

pytestmark = pytest.mark.vm


def test_the_example_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "example.py"), str(tmp_path)], cwd=ROOT,
        capture_output=True, text=True, timeout=900, check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Linux guest 6.1." in done.stdout and "VmPTE [102" in done.stdout
    run = load_run(tmp_path / "run")
    assert run.status == "complete" and run.kernels["before"].release.startswith("6.1.")
    assert run.workloads["vmpte"].metric("VmPTE") is not None
    assert [boot.status for boot in load_boots(tmp_path / "run")[0]] == ["ok"]
