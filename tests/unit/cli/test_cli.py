"""Bad input ends in one line, with the right exit code, and nothing done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT


def harness(
    *words: str, env: dict[str, str] | None = None, cwd: Path = ROOT
) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words], cwd=cwd, capture_output=True, text=True,
        timeout=120, check=False, env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(("words", "says"), [
    (["build", "--variant", "befor"], "did you mean 'before'"),
    (["build", "--base", "debian-61"], "did you mean 'debian-6.1'"),
    (["bench", "--threads", "0,foo"], "'0' in '0,foo' is not a number of threads"),
    (["bench", "--variants", "before", "--workload", "vmpt"], "did you mean 'vmpte'"),
    (["bench", "--profile", "quik"], "did you mean 'quick'"),
    (["bench", "--memory", "lots", "--variants", "before"], "--memory 'lots' is not a size"),
    (["bench", "--memory", "1M", "--dry-run"], "--memory 1M is too small"),
    (["bench", "--threads", "1,1"], "'1' stands twice in '1,1'"),
    (["bench", "--threads", ""], "an empty list was given"),
    (["bench", "--variants", ""], "an empty list was given"),
    (["bench", "--boots", "0"], "'--boots'"),
    (["bench", "--repeat", "0"], "'--repeat'"),
    (["bench", "--smp", "0"], "'--smp'"),
    (["bench", "-j", "0"], "'--jobs'"),
    (["bench", "--base", ""], "unknown base ''"),
    (["bench", "--profile", ""], "unknown profile ''"),
    (["bench", "--accel", ""], "unknown accel ''"),
    (["bench", "--workload", "micro", "--threads", "4"], "micro takes no threads"),
    (["bench", "--variants", "before,reclaim-on", "--dry-run"], "compared with nothing"),
    (["bench", "--resume", "/nonexistent", "--boots", "3"], "drop --boots"),
    (["bench", "--resume", "/nonexistent"], "is not a run"),
    (["bench", "--no-such-flag"], "--no-such-flag"),
    (["report", "/nonexistent"], "is not a run"),
    (["cache", "eat"], "unknown action 'eat'"),
    (["run", "--variant", "befor", "--", "true"], "did you mean 'before'"),
    (["series", "check", "--variant", "before"], "has no series"),
    (["bench", "--variants", "before", "--variants", "after"], "--variants is given 2 times"),
    (["build", "--variant", "before", "--variant", "after"], "in one, comma-separated"),
    (["bench", "--threads", "1", "--threads", "8"], "--threads is given 2 times"),
    (["stability", "--base", "debian-61"], "did you mean 'debian-6.1'"),
    (["stability", "--base", "debian-6.1", "--variants", "reclaim-on"], "not debian-6.1"),
    (["ltp", "--base", "debian-6.1", "--variants", "reclaim-on"], "not debian-6.1"),
    (["nonsense"], "nonsense"),
])
def test_one_line_and_exit_2(tmp_path: Path, words: list[str], says: str) -> None:
    sub = words[0] in ("series",)
    flags = ["--workspace", str(tmp_path / "w")] if words[0] != "nonsense" else []
    where = 2 if sub else 1
    code, out, err = harness(*words[:where], *flags, *words[where:])
    lines = [line for line in err.splitlines() if not line.startswith("warning:")]
    assert code == 2, err
    assert len(lines) == 1 and lines[0].startswith("harness: ") and says in lines[0]
    assert out == ""


def test_unwritable_results_cost_no_build(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, _, err = harness(
        "bench", "--variants", "before", "--workspace", str(tmp_path / "w"), "--out",
        str(tmp_path / "file" / "run"),
    )
    assert code == 2 and "cannot write the run" in err.splitlines()[-1]
    assert not (tmp_path / "w" / "builds").exists()


def test_no_qemu(tmp_path: Path) -> None:
    # The build is looked up first; --dry-run needs none, so ask the doctor.
    code, out, _ = harness(
        "doctor", "--json", "--workspace", str(tmp_path), env={"PATH": str(tmp_path)}
    )
    found = {f["what"]: f for f in json.loads(out)}
    assert code == 2
    assert found["QEMU"]["state"] == "missing" and "qemu-system-x86" in found["QEMU"]["remedy"]


def test_plan_without_doing(tmp_path: Path) -> None:
    code, out, err = harness(
        "bench", "--dry-run", "--variants", "before", "--boots", "2", "--threads", "1,8",
        "--workspace", str(tmp_path),
    )
    assert code == 0, err
    assert "2 boots: before, before" in out and "multi-fault, 8 threads" in out
    assert "to be built first, about" in out and "before" in out.splitlines()[0]
    assert not (tmp_path / "builds").exists()


def test_a_guest_that_is_only_planned_builds_nothing(tmp_path: Path) -> None:
    code, out, err = harness("run", "--dry-run", "--workspace", str(tmp_path), "--", "true")
    assert code == 0, err
    assert "compile bzImage" in out and "boot before" in out.splitlines()[-1]
    assert not (tmp_path / "builds").exists() and not (tmp_path / "sources").exists()


def test_flags_and_lists_may_be_given_again(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ["--push", str(tmp_path / "file"), "--push", str(tmp_path / "none"), "-q", "-q",
             "--variant", "before"]  # of which the last counts
    code, _, err = harness(
        "run", *words, "--variant", "befor", "--workspace", str(tmp_path / "w"), "--", "-v", "-v"
    )
    assert code == 2 and "did you mean 'before'" in err


def test_outside_of_a_project_nothing_is_guessed(tmp_path: Path) -> None:
    code, _, err = harness("bench", "--dry-run", "--variants", "before", "--workspace",
                           str(tmp_path / "w"), cwd=tmp_path)
    assert code == 2 and "no harness.toml in" in err and err.count("\n") == 1


def test_every_command_has_help_with_an_example() -> None:
    _, out, _ = harness("--help", env={"COLUMNS": "200"})
    for command in ("build", "boot", "run", "bench", "report", "doctor", "cache", "series",
                    "bases"):
        assert command in out
    for words in (["build"], ["boot"], ["run"], ["bench"], ["report"], ["doctor"], ["cache"],
                    ["series", "status"], ["series", "edit"], ["series", "save"],
                    ["series", "check"], ["series", "bisect"], ["series", "fetch"], ["bases"]):
        code, out, _ = harness(*words, "--help", env={"COLUMNS": "200"})
        assert code == 0 and "Example: " in out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_no_regression() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "--help"], stdout=full, stderr=subprocess.PIPE,
            text=True, check=False, timeout=120,
        )
    assert done.returncode == 3
    assert done.stderr == "harness: cannot write: No space left on device\n"
