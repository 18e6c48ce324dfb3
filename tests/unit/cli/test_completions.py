"""The shell is offered names of the project around it, and nothing where anything is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.records.store import RUN_FILE, VERDICTS_FILE
from harness.records.verdicts import Verdict

TOML = """
[bases.mine]
kind = "dir"
path = "linux"
[series.letter]
kind = "mbox"
path = "letter.mbx"
[variants.before]
[variants.after]
[variants.after-debug]
[profiles.small]
workloads = [{ name = "micro" }]
[workloads.my-bench]
run = "./mybench"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "harness.toml").write_text(TOML)
    run = tmp_path / "results/20260101-120000-races"
    run.mkdir(parents=True)
    (run / RUN_FILE).write_text("{}")
    verdict = Verdict(suite="races", test="race-fork", variant="after", verdict="fail")
    (run / VERDICTS_FILE).write_text(verdict.model_dump_json() + "\n{ damaged\n")
    return tmp_path


@pytest.fixture
def offered(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """What bash is offered for the last of some words."""
    from harness.cli.app import app

    monkeypatch.chdir(root)
    monkeypatch.setenv("_HARNESS_COMPLETE", "complete_bash")

    def ask(*words: str) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", " ".join(["harness", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        with pytest.raises(SystemExit):
            app([], prog_name="harness", standalone_mode=False)
        said = capsys.readouterr()
        assert said.err == ""
        return said.out.split()

    return ask


@pytest.mark.parametrize(("words", "values"), [
    (("build", "--variant", "af"), ["after", "after-debug"]),
    (("bench", "--variants", "before,af"), ["before,after", "before,after-debug"]),
    (("bench", "--variants", "after,af"), ["after,after-debug"]),
    (("run", "--variant", "be"), ["before"]),
    (("bench", "--base", "m"), ["mine"]),
    (("bases", "m"), ["mine"]),
    (("bench", "--profile", "sm"), ["small"]),
    (("compare", "--workload", "my"), ["my-bench"]),
    (("bisect", "--workload", "vm"), ["vmpte"]),
    (("stability", "--suite", "ra"), ["races"]),
    (("series", "fetch", "l"), ["letter"]),
    (("report", "res"), ["results/20260101-120000-races"]),
    (("stability", "--resume", ""), ["results/20260101-120000-races"]),
])
def test_values_are_offered(
    offered: Callable[..., list[str]], words: tuple[str, ...], values: list[str]
) -> None:
    assert offered(*words) == values


def test_ids_of_verdicts_are_offered(offered: Callable[..., list[str]]) -> None:
    ident = Verdict(suite="races", test="race-fork", variant="after", verdict="fail").ident
    assert offered("reproduce", ident[:2]) == [ident]


def test_a_broken_file_is_no_noise(offered: Callable[..., list[str]], root: Path) -> None:
    (root / "harness.toml").write_text("[bases\n")
    assert offered("build", "--variant", "af") == []
    assert offered("compare", "--workload", "vm") == []
    assert offered("reproduce", "0") == []


def test_outside_of_any_project_built_in_workloads_are_offered(
    offered: Callable[..., list[str]], root: Path
) -> None:
    (root / "harness.toml").unlink()
    assert offered("compare", "--workload", "comm") == ["common"]
    assert offered("build", "--variant", "") == []
