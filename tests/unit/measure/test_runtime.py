"""Runtimes whose load comes and goes: plans, what is left out, and the programs on this host."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest

from harness.core.errors import UserError
from harness.machine.session import Session
from harness.measure import workloads
from harness.measure.plan_words import describe
from harness.measure.planning import Overrides, Where, make_plan
from harness.measure.workloads.runtime import NEEDS, RuntimeLoad
from harness.measure.workloads.workload import Context
from harness.project import reading

ROOT = Path(__file__).parents[3]


class Without:
    """A guest in which no command is found."""

    code = 1

    def __init__(self) -> None:
        self.asked: list[str] = []

    def run(self, command: str, *, check: bool) -> Without:
        self.asked.append(command)
        return self


@pytest.mark.parametrize(("runtime", "words"), [
    ("go", "go, 5 % left"), ("java", "java, 5 % left"), ("postgres", "postgres"),
])
def test_a_runtime_that_is_not_there_is_left_out_and_said(runtime: str, words: str) -> None:
    load, said, guest = RuntimeLoad(), list[str](), Without()
    cell = load.parse({"runtime": runtime, "keep_pct": 5})
    context = Context(Path(), 1, lambda _name, _text: None, lambda path: path, said.append)
    assert list(load.run(cast("Session", guest), cell, context)) == []
    assert load.words(cell) == words
    assert said == [
        f"{runtime} cannot be measured here: install {NEEDS[runtime][1]}"
    ]
    assert guest.asked == [f"command -v {NEEDS[runtime][0]}"]


def test_parameters() -> None:
    assert [c["runtime"] for c in workloads.get("runtime").cells({})] == [*NEEDS]
    with pytest.raises(UserError, match="keep_pct"):
        workloads.get("runtime").cells({"runtime": "go", "keep_pct": 100})
    with pytest.raises(UserError, match="runtime"):
        workloads.get("runtime").cells({"runtime": "ruby"})


def test_a_plan_brings_what_it_measures_and_nothing_else() -> None:
    project = reading.load(ROOT)
    plan = make_plan(
        project, profile="demand", variants=["before"], accel="tcg",
        where=Where(smp=2, memory="2G"), overrides=Overrides(workloads=["runtime"]),
    )
    assert plan.packages == sorted(package for _, package in NEEDS.values())
    ours, theirs = project.settings.image, project.with_packages(plan.packages).settings.image
    assert theirs.packages == [*ours.packages, *plan.packages]
    assert project.with_packages(ours.packages[:2]) is project
    assert "guests' image: with default-jdk-headless, golang-go, postgresql of Debian besides " \
        "the usual" in describe(plan)
    real = make_plan(
        project, profile="demand", variants=["before"], accel="tcg",
        where=Where(smp=2, machine="rack", memory=""), overrides=Overrides(workloads=["runtime"]),
    )
    assert real.packages == []


@pytest.mark.parametrize("runtime", [
    pytest.param(name, marks=pytest.mark.skipif(
        not shutil.which(NEEDS[name][0]), reason=f"{NEEDS[name][1]} is not installed here",
    )) for name in ("go", "java")
])
def test_the_programs_say_what_is_read(runtime: str) -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "guest/runtime-life.sh"), runtime, "8", "50", "100", "1"],
        input="", capture_output=True, text=True, timeout=300, check=True,
    )
    lines: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["program"] == runtime and lines[0]["pid"] > 1
    phases = [line.get("phase", line.get("mark")) for line in lines[1:-1]]
    assert phases == [*["fill"] * 5, "idle", "emptied", *["fill"] * 5, "idle"]
    assert lines[-1]["done"] > 2 * 8 * 128 and 0 < lines[-1]["kept"] < lines[-1]["done"]


@pytest.mark.parametrize("words", [
    [], ["ruby", "8", "0", "100", "1"], ["go", "8", "0", "x", "1"], ["go", "8", "0", "100"],
])
def test_wrong_words_are_refused(words: list[str]) -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "guest/runtime-life.sh"), *words],
        input="", capture_output=True, text=True, timeout=30, check=False,
    )
    assert done.returncode == 2 and done.stderr.startswith("usage: runtime-life ")
