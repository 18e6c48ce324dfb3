"""The commands with suites: what they refuse, in one line, before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.records.plans import SuitePlan
from harness.records.runs import Run
from harness.records.store import RunWriter
from tests.unit.cli.test_cli import harness


@pytest.mark.parametrize(("words", "says"), [
    (["stability", "--suite", "rases"], "did you mean 'races'"),
    (["stability", "--suite", "selftests", "--minutes", "5"],
     "--minutes means nothing to the suite selftests"),
    (["stability", "--suite", "stress-ng", "--threads", "4"], "--threads means nothing"),
    (["stability", "--variants", ""], "an empty list was given"),
    (["stability", "--variants", "before,before"], "'before' stands twice"),
    (["stability", "--smp", "0"], "'--smp'"),
    (["stability", "--memory", "lots"], "--memory 'lots' is not a size"),
    (["stability", "--resume", "/nonexistent"], "is not a run"),
    (["stability", "--resume", "/nonexistent", "--seed", "0", "--minutes", "5"],
     "plan, --minutes, --seed would change it; leave them out"),
    (["ltp", "--resume", "RUN"], "is a run of the suite races; go on with it by `harness stab"),
    (["stability", "--out", "RUN"], "holds a run already; go on with it by --resume"),
    (["ltp", "--ltp", "/nonexistent"], "/nonexistent does not exist"),
    (["nightly", "--hours", "0"], "'--hours'"),
    (["reproduce", "00000000", "--run", "RUN"], "IDs stand in brackets"),
])
def test_one_line_and_exit_2(tmp_path: Path, words: list[str], says: str) -> None:
    run = Run(run="run", plan=SuitePlan(suite="races", variants=["before"]))
    RunWriter(tmp_path / "RUN", run)
    words = [str(tmp_path / "RUN") if word == "RUN" else word for word in words]
    code, out, err = harness(*words, "--workspace", str(tmp_path / "w"))
    assert code == 2, err
    assert len(err.splitlines()) == 1 and says in err and out == ""
    assert not (tmp_path / "w" / "builds").exists()


def test_a_nights_plan_says_what_is_built_first(tmp_path: Path) -> None:
    code, out, err = harness("nightly", "--dry-run", "--workspace", str(tmp_path / "w"))
    assert code == 0, err
    assert "races on before-debug, after-debug, 40 guest minutes each" in out
    assert "of debian-7.3" in out
    assert "to be built first, about" in out


def test_a_runs_plan_without_doing(tmp_path: Path) -> None:
    code, out, err = harness(
        "stability", "--suite", "piecewise", "--variants", "before,after,after-debug",
        "--dry-run", "--workspace", str(tmp_path / "w"),
    )
    assert code == 0, err
    lines = out.splitlines()
    assert lines[:3] == [
        "piecewise on before, after, after-debug", "compared: after with before",
        "compared with nothing: after-debug",
    ]
    assert lines[3].startswith("to be built first, about")
    assert not (tmp_path / "w" / "builds").exists()


@pytest.mark.parametrize("command", ["stability", "ltp", "nightly", "reproduce"])
def test_help_has_an_example(command: str) -> None:
    code, out, _ = harness(command, "--help", env={"COLUMNS": "200"})
    assert code == 0 and f"Example: harness {command} " in out
