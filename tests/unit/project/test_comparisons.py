"""A run records what is compared, and on which base it was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.cli.common import Setup
from harness.cli.experiment import declared_pairs
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.project import config
from tests.places import ROOT


@pytest.fixture
def env(tmp_path: Path) -> Setup:
    project = config.load(ROOT)
    return Setup(project, Workspace(tmp_path), Progress(-1))


def test_two_designs_in_one_run(env: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    four = ["before", "after", "reclaim-off", "reclaim-on"]
    assert declared_pairs(env, four) == [["before", "after"], ["reclaim-off", "reclaim-on"]]
    assert capsys.readouterr().err == ""


def test_who_stands_alone_is_said(env: Setup, capsys: pytest.CaptureFixture[str]) -> None:
    assert declared_pairs(env, ["before", "after", "reclaim-on"]) == [["before", "after"]]
    assert "reclaim-on: no declared comparison" in capsys.readouterr().err
    assert declared_pairs(env, ["after"]) == []
    assert capsys.readouterr().err == "", "one variant alone is not meant to be compared"


def test_a_suite_compares_what_is_declared_too(env: Setup) -> None:
    """A broken kernel is held against the sound one, not against the base."""
    names = ["before-debug", "after-debug", "mutant-split-zero"]
    assert declared_pairs(env, names) == [
        ["before-debug", "after-debug"], ["after-debug", "mutant-split-zero"],
    ]
    mutants = [name for name in env.project.config.variants if name.startswith("mutant-")]
    sound = ["after-debug", "reclaim-after-debug"]
    assert {new for old, new in env.project.comparisons([*mutants, *sound])} == set(mutants)
