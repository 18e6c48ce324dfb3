"""The computer that a guest plays, in a project that knows it as lab1; for tests from outside."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.core.workspace import Workspace
from tests import computer
from tests.computer import Computer
from tests.guests import Harness
from tests.places import ROOT

wanted = pytest.mark.skipif(
    "HARNESS_HOST" not in os.environ,
    reason="needs HARNESS_HOST=1: builds an image and two kernels, tens of minutes when cold",
)


@dataclass(frozen=True)
class LabHost:
    """A computer that is switched on, and the directory of the project that knows it."""

    computer: Computer
    project: Path

    def describe(self, **keys: str) -> None:
        """Write its table of harness.toml, with some keys other than usual."""
        table = f"[machines.lab1]\n{self.computer.toml(**keys)}"
        (self.project / "harness.local.toml").write_text(table)

    def check_at_home(self, harness: Harness) -> None:
        """Its own kernel answers, nobody has it, and nothing is wrong with it."""
        done = harness("machines", "lab1", "--json", cwd=self.project)
        assert done.code == 0, done.err
        (status,) = json.loads(done.out)
        assert status["ours"] == "" and "cloud" in status["answers"] and status["lease"] == ""
        assert status["health"]["state"] == "healthy" and status["health"]["token"] == ""


@pytest.fixture(scope="session", autouse=True)
def before_kernel() -> str:
    """Instead of that of tests/guests.py: no ordinary guest is needed here."""
    return ""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHost]:
    """One for all tests of a module."""
    if absent := computer.missing():
        pytest.skip(f"{absent} is not installed, without which no guest plays a computer")
    folder = tmp_path_factory.mktemp("lab")
    project = folder / "project"
    for name in ("harness.toml", "kernel", "guest", "tests/mutants", "tests/canary"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).symlink_to(ROOT / name)
    with computer.computer(folder, computer.image(Workspace())) as one:
        found = LabHost(one, project)
        found.describe()
        computer.wait_until("login:", one)
        yield found
