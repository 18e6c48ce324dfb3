"""`harness ltp` with a tree in which tests end in every way there is."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

import pytest

from tests.guests import Harness, wait_for
from tests.places import ROOT

pytestmark = pytest.mark.vm

TREE = ROOT / "tests/ltptree"
ENDS = {
    "passes": "pass", "fails": "fail", "breaks": "broken", "warns": "broken", "skips": "skip",
    "listed": "skip", "missing": "not run", "segfaults": "broken", "environment": "pass",
    "sleeps": "timeout", "spins": "timeout", "floods": "fail", "drops_sshd": "lost",
    "kills_listener": "pass", "fills_disk": "pass", "room_again": "pass", "warning": "fail",
    "oopses": "crash", "panics": "crash", "behind": "pass",
}


@pytest.fixture(scope="module")
def run(harness: Harness, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The verdicts of one run over all of them, by test."""
    out = tmp_path_factory.mktemp("ltp") / "run"
    done = harness("ltp", "--ltp", str(TREE), "--suite", "ends", "--variants", "before",
                   "--skip-file", str(TREE / "skip"), "--test-seconds", "2", "--smp", "2",
                   "--memory", "1G", "--out", str(out), "--json")
    assert done.code == 4, done.err
    record = json.loads(done.out)
    return {"directory": out, "record": record, **{v["test"]: v for v in record["verdicts"]}}


@pytest.mark.parametrize(("test", "word"), ENDS.items())
def test_each_end_has_its_verdict(run: dict[str, Any], test: str, word: str) -> None:
    assert run[test]["verdict"] == word, run[test]["reason"]


def test_nothing_planned_is_absent(run: dict[str, Any]) -> None:
    assert set(run) - {"directory", "record"} == {*ENDS, "lkdtm"}


def test_a_guest_that_is_no_longer_fit_gets_no_further_test(run: dict[str, Any]) -> None:
    order = list(ENDS)
    for test in ("sleeps", "spins", "drops_sshd", "kills_listener", "fills_disk", "warning"):
        follower = order[order.index(test) + 1]
        assert run[follower]["boot"] == run[test]["boot"] + 1, test


def test_reasons_are_the_tests_own(run: dict[str, Any]) -> None:
    reasons = {
        "fails": "1 is not 2", "breaks": "no memory", "skips": "no such hardware",
        "listed": "skip: known to fail here", "segfaults": "killed by signal 11",
        "floods": "said after the flood",
    }
    assert {test: run[test]["reason"] for test in reasons} == reasons
    assert "zap_pte_range" in run["warning"]["reason"]
    assert "sysrq triggered crash" in run["panics"]["reason"]


def test_outputs_are_kept_within_reason(run: dict[str, Any]) -> None:
    directory: Path = run["directory"]
    assert 4_000_000 < (directory / run["floods"]["log"]).stat().st_size < 4_500_000
    timeout = (directory / run["spins"]["log"]).read_text()
    assert "processes of the guest" in timeout and "spins.sh" in timeout


def test_each_bug_is_one_entry_with_its_oops(run: dict[str, Any]) -> None:
    bugs = {bug["tests"][0]: bug for bug in run["record"]["bugs"]}
    assert {"warning", "oopses", "panics"} <= set(bugs)
    assert bugs["panics"]["frames"][0] == "sysrq_handle_crash"
    text = (run["directory"] / "oopses" / f"{bugs['panics']['signature']}.txt").read_text()
    assert "sysrq_handle_crash+0x" in text and f"[{run['panics']['id']}]" in text


def test_the_console_names_the_running_test(run: dict[str, Any]) -> None:
    log = run["directory"] / "boots" / f"before-{run['panics']['boot']:02d}" / "console.log"
    lines = log.read_text().splitlines()
    named = [line.partition("pte-harness: test ")[2] for line in lines if ": test " in line]
    assert named[-1] == "panics"


def test_ci_systems_can_read_it(run: dict[str, Any]) -> None:
    suite = xml.parse(run["directory"] / "junit.xml").getroot()[0]
    assert suite.get("tests") == str(len(ENDS) + 1)
    assert (run["directory"] / "results.tap").read_text().startswith("TAP version 13\n1..")


def test_a_crash_is_reproduced_under_gdb(
    run: dict[str, Any], spawn: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    if shutil.which("gdb") is None:
        pytest.skip("no gdb (apt-get install gdb)")
    process = spawn("reproduce", run["panics"]["id"], "--run", str(run["directory"]), "--gdb",
                    "--out", str(tmp_path / "again"))
    assert process.stderr is not None
    printed = shlex.split(next(line for line in process.stderr if line.startswith("gdb ")))
    wait_for((tmp_path / "again/boots/before-00/gdb.sock").exists, 60)
    steps = ["break panic", "continue", "bt 3", "detach"]
    said = subprocess.run(
        ["gdb", "-batch", *printed[1:4], *(word for step in steps for word in ("-ex", step))],
        capture_output=True, text=True, timeout=300, check=False,
    )
    assert any("stays for gdb" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert "sysrq_handle_crash" in said.stdout, said.stdout + said.stderr
    assert process.returncode == 4, out + err


def test_without_a_tree(harness: Harness, tmp_path: Path) -> None:
    done = harness("ltp", "--ltp", str(tmp_path))
    assert done.code == 2 and done.err.count("\n") == 1
    assert "is no installed LTP tree" in done.err and "make install" in done.err
    done = harness("ltp", "--ltp", str(TREE), "--suite", "end", "--variants", "before")
    assert done.code == 2 and "did you mean 'ends'?" in done.err
