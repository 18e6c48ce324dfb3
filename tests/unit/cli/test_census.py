"""``harness census``: the program, asked about this very process."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.app import app

GUEST = Path(__file__).resolve().parents[3] / "guest"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one program of guest/ that is asked for."""
    target = tmp_path / "pte-census"
    subprocess.run(["make", "-s", "-C", GUEST, f"OUT={tmp_path}", str(target)], check=True)
    monkeypatch.setattr("harness.image.programs.build_programs", lambda *_: tmp_path)
    return target


@pytest.mark.usefixtures("program")
def test_the_parts_are_the_whole() -> None:
    """What is in use, above it and empty adds up to VmPTE, unless tables came meanwhile."""
    done = CliRunner().invoke(app, ["census", str(os.getpid()), "--json", "-q"])
    assert done.exit_code == 0, done.output
    seen = json.loads(done.output.splitlines()[-1])
    assert seen["pid"] == os.getpid()
    assert seen["how"] in ("PAGEMAP_SCAN", "pagemap")
    parts = seen["in_use_kb"] + seen["upper_kb"] + seen["empty_kb"]
    assert parts == pytest.approx(seen["vmpte_kb"], rel=0.1)
    assert seen["shared_kb"] <= seen["in_use_kb"]


@pytest.mark.usefixtures("program")
def test_no_such_process() -> None:
    """A process that is not there is an error of the user's."""
    done = CliRunner().invoke(app, ["census", "4194304"])
    assert "there is no process 4194304" in str(done.exception)
    done = CliRunner().invoke(app, ["census", "2"])
    assert "kernel thread" in str(done.exception)


def test_bad_usage(program: Path) -> None:
    """It says what it wants when it is asked for nothing."""
    done = subprocess.run([program], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "PID" in done.stderr
