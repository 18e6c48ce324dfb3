"""The kernel's selftests: what their output and exit codes mean, which of them are run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.records.plans import PlannedTest
from harness.suites import selftests
from harness.suites import selftests_tree as compiled
from harness.suites.choose import choose
from harness.suites.judgement import Outcome
from tests.places import ROOT

SCRIPT = """\
#!/bin/bash
mnt=$PWD/huge
mkdir "$mnt" && echo mounted
run_test() {
	"$@"
	if [ $? -eq 0 ]; then echo "[PASS]"; else echo "[FAIL]"; fi
}
run_test ./one
if [ -d "$mnt" ]; then run_test ./two "$mnt" 16; fi
CATEGORY="new" run_test sudo -u nobody ./three
rmdir "$mnt"
exit 1
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "run_vmtests.sh").write_text(SCRIPT)
    for name in ("one", "two"):
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\nls huge && echo "ran {name} $@ $BASH_ENV"; exit 4\n')
        path.chmod(0o755)
    return tmp_path


def bash(place: Path, **variables: str) -> str:
    hook = ROOT / "guest/suites" / selftests.HOOK
    return subprocess.run(
        ["bash", "./run_vmtests.sh"], cwd=place, text=True, capture_output=True, check=False,
        env={"PATH": "/usr/bin:/bin", "BASH_ENV": str(hook), **variables},
    ).stdout


def test_the_script_lists_its_tests_without_running_one(place: Path) -> None:
    out = bash(place, HARNESS_LIST=str(place / "list"))
    assert "ran" not in out
    assert (place / "list").read_text().splitlines() == [
        "./one", f"./two {place}/huge 16", "sudo -u nobody ./three",
    ]


def test_one_test_runs_within_the_scripts_own_set_up(place: Path) -> None:
    line = f"./two {place}/huge 16"
    out = bash(place, HARNESS_TEST=line, HARNESS_CODE=str(place / "code"))
    assert f"ran two {place}/huge 16" in out and "ran one" not in out
    assert selftests.own_output(out) == f"ran two {place}/huge 16 \n"
    assert (place / "code").read_text() == "4\n" and not (place / "huge").exists()


def test_verdicts() -> None:
    def word(code: int, text: str = "") -> str:
        return selftests.judge(Outcome(code, f"[harness] begin\n{text}[harness] end\n")).word

    assert [word(0), word(1), word(4), word(127), word(250)] == [
        "pass", "fail", "skip", "not run", "not run",
    ]
    assert word(0, "ok 1 a\nnot ok 2 b\n") == "fail"  # whatever its exit code says


def test_reasons() -> None:
    skipped = selftests.judge(Outcome(4, "setting up\nneeds CONFIG_X, skipping\nbye\n"))
    assert skipped.reason == "needs CONFIG_X, skipping"
    tap = "ok 2 # SKIP memfd_secret is not supported\n# Totals: pass:0 skip:1\n"
    assert selftests.judge(Outcome(4, tap)).reason == "memfd_secret is not supported"
    failed = selftests.judge(Outcome(1, "TAP version 13\nok 1 a\nnot ok 2 b here\n# Totals: 1\n"))
    assert failed.reason == "1 of 2 sub-tests: b here"
    early = selftests.judge(Outcome(250, "Not enough huge pages available (0 < 128)\n"))
    assert early.reason == "the script's set-up failed: Not enough huge pages available (0 < 128)"


def test_subtests() -> None:
    text = """\
ok 1 MADV_POPULATE_READ
# not ok 2 - second thing
ok 3 uffd # SKIP no kernel support
ok 4 # SKIP alone
ok 5 MADV_POPULATE_READ
okay 6 is no verdict
"""
    assert selftests.subtests(text) == {
        "MADV_POPULATE_READ": "pass", "second thing": "fail", "uffd": "skip",
        "# SKIP alone": "skip", "MADV_POPULATE_READ (2)": "pass",
    }


def test_choosing() -> None:
    tests = [PlannedTest(name=name) for name in ("ksm -M", "ksm -U", "gup -a")]

    def names(*only: str) -> list[str]:
        return [test.name for test in choose(tests, only)]

    assert names() == ["ksm -M", "ksm -U", "gup -a"]
    assert names("gup", "ksm") == names()
    assert names("ksm -U") == ["ksm -U"]
    assert names("*-a") == ["gup -a"]
    with pytest.raises(UserError, match="did you mean"):
        names("ksm -X")


def test_a_lookalike_tree_leaves_the_original_alone(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    place = tree / "tools/testing/selftests/vm"
    place.mkdir(parents=True)
    (tree / "include").mkdir()
    (tree / "tools/include").mkdir()
    (place / "Makefile").write_text("all:\n\techo 1 > local_config.h\n")
    compiled.lookalike(tree, tmp_path / "copy")
    copy = tmp_path / "copy/tools/testing/selftests/vm"
    subprocess.run(["make", "-s", "-C", str(copy)], check=True)
    assert (copy / "local_config.h").exists() and not (place / "local_config.h").exists()
    assert (tmp_path / "copy/include").resolve() == tree / "include"
    shutil.rmtree(tmp_path / "copy")
    assert (tree / "include").is_dir()
