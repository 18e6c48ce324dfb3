"""A real computer from the outside: built, started by kexec, measured, and at home again.

A guest plays the computer (tests/computer.py). The first run builds two kernels and an image.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import labhost
from tests.guests import Harness
from tests.labhost import LabHost, before_kernel, lab

__all__ = ["before_kernel", "lab"]
pytestmark = [pytest.mark.vm, labhost.wanted, pytest.mark.timeout(3600)]


def test_two_kernels_on_a_computer(harness: Harness, lab: LabHost, tmp_path: Path) -> None:
    done = harness("machines", "lab1", "--check", cwd=lab.project)
    assert done.code == 0, done.out + done.err
    out = tmp_path / "run"
    done = harness(
        "bench", "--machine", "lab1", "--variants", "before,after", "--threads", "1",
        "--duration", "2", "--repeat", "1", "--boots", "1", "--no-control", "--out", str(out),
        cwd=lab.project, timeout=3000,
    )
    assert done.code == 0, done.err
    run = json.loads((out / "run.json").read_text())
    boots = [json.loads(line) for line in (out / "boots.jsonl").read_text().splitlines()]
    assert run["accels"][0]["name"] == "native" and run["plan"]["machine"] == "lab1"
    assert {boot["variant"] for boot in boots} == {"before", "after"}
    for boot in boots:
        kernel = run["kernels"][boot["variant"]]
        assert boot["status"] == "ok" and boot["machine"] == "lab1"
        assert kernel["release"].endswith(kernel["key"])
        assert kernel["release"] in boot["state"]["uname"]
        assert kernel["key"] in lab.computer.console
    samples = (out / "samples.jsonl").read_text()
    assert '"faults_per_minute"' in samples and '"VmPTE"' in samples
    assert "real machine" in (out / "report.md").read_text()
    lab.check_at_home(harness)
