"""A real computer from the outside: built, started by kexec, measured, and at home again.

A guest plays the computer (tests/computer.py). The first run builds two kernels and an image.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.core.workspace import Workspace
from tests import computer
from tests.computer import Computer
from tests.guests import Harness
from tests.places import ROOT

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(
        "HARNESS_HOST" not in os.environ,
        reason="needs HARNESS_HOST=1: builds an image and two kernels, tens of minutes when cold",
    ),
]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[Computer, Path]]:
    """A computer that is switched on, and a project that knows it as lab1."""
    if absent := computer.missing():
        pytest.skip(f"{absent} is not installed, without which no guest plays a computer")
    project = tmp_path / "project"
    project.mkdir()
    for name in ("harness.toml", "kernel", "guest", "tests/mutants", "tests/canary"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).symlink_to(ROOT / name)
    with computer.computer(tmp_path, computer.image(Workspace())) as one:
        (project / "harness.local.toml").write_text(f"[machines.lab1]\n{one.toml()}")
        computer.wait_until("login:", one)
        yield one, project


def test_two_kernels_on_a_computer(harness: Harness, lab: tuple[Computer, Path]) -> None:
    one, project = lab
    done = harness("machines", "lab1", "--check", cwd=project)
    assert done.code == 0, done.out + done.err
    out = project / "run"
    done = harness(
        "bench", "--machine", "lab1", "--variants", "before,after", "--threads", "1",
        "--duration", "2", "--repeat", "1", "--boots", "1", "--no-control", "--out", str(out),
        cwd=project, timeout=3000,
    )
    assert done.code == 0, done.err
    run = json.loads((out / "run.json").read_text())
    boots = [json.loads(line) for line in (out / "boots.jsonl").read_text().splitlines()]
    assert run["accels"][0]["name"] == "native" and run["plan"]["machine"] == "lab1"
    for boot in boots:
        kernel = run["kernels"][boot["variant"]]
        assert boot["status"] == "ok" and boot["machine"] == "lab1"
        assert kernel["release"].endswith(kernel["key"])
        assert kernel["release"] in boot["state"]["uname"]
        assert kernel["key"] in one.console
    samples = (out / "samples.jsonl").read_text()
    assert '"faults_per_minute"' in samples and '"VmPTE"' in samples
    assert "real machine" in (out / "report.md").read_text()
    done = harness("machines", "lab1", "--json", cwd=project)
    (status,) = json.loads(done.out)
    assert status["ours"] == "" and "cloud" in status["answers"] and status["lease"] == ""
    assert status["health"]["state"] == "healthy"
    shutil.rmtree(out)
