"""One test of an earlier run again: found by its ID, run alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.records.plans import Pair, SuitePlan
from harness.records.store import load_run, load_verdicts
from harness.records.verdicts import Verdict
from harness.suites import conductor
from harness.suites import reproduce as again
from harness.suites.conductor import conduct
from tests.unit.suites.fakes import Answer, FakeLab, ListedSuite, Script, planned
from tests.unit.suites.projects import small_project

TESTS = [planned("good"), planned("bad", seed=3)]
PLAN = SuitePlan(
    suite="races", base="mine", variants=["before", "after"], smp=2, memory="1G", confirm=False,
    comparisons=[Pair(baseline="before", variant="after")], cmdline="numa=fake=2", jobs=1,
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run in which the test ``bad`` fails on ``after``."""
    for module in (conductor, again):
        monkeypatch.setattr(module, "find_suite", lambda name: ListedSuite(TESTS))
    monkeypatch.setattr(conductor, "find_source", lambda *_: None)
    scripts = {"after": Script({"bad": (1, "stale byte")})}
    conduct(FakeLab(tmp_path, scripts, small_project(tmp_path)), PLAN, tmp_path / "results/run")
    return tmp_path / "results/run"


def verdict_of(run: Path, test: str, variant: str = "after") -> Verdict:
    return next(v for v in load_verdicts(run)[0] if (v.test, v.variant) == (test, variant))


def repeat(run: Path, test: str, answer: Answer, times: int = 1) -> again.Reproduction:
    root = run.parents[1]
    found = again.find_verdict(root / "results", verdict_of(run, test).ident)
    lab = FakeLab(root, {"after": Script({test: answer})}, small_project(root))
    said: list[str] = []
    done = again.reproduce(lab, found, root / "results/again", say=said.append, until_fail=times)
    assert len(said) == done.attempts
    return done


def test_it_runs_alone_until_it_fails(run: Path) -> None:
    done = repeat(run, "bad", (1, "stale again"), times=5)
    assert done.attempts == 1 and done.exit_code == 1 and "stale again" in done.words()
    recorded = load_run(done.directory)
    assert isinstance(recorded.plan, SuitePlan)
    assert [(t.name, t.seed, t.command) for t in recorded.plan.tests] == [("bad", 3, "bad")]
    assert recorded.plan.cmdline == "numa=fake=2" and recorded.status == "complete"
    assert [v.test for v in load_verdicts(done.directory)[0]] == ["bad"]


def test_what_is_not_reproduced_is_said_as_such(run: Path) -> None:
    done = repeat(run, "bad", (0, ""), times=3)
    assert done.exit_code == 0
    assert done.words().startswith("not reproduced in 3 attempts (it ended with: pass)")


def test_a_pass_that_passes_again_is_no_failure_to_reproduce(run: Path) -> None:
    done = repeat(run, "good", (0, ""))
    assert done.exit_code == 0
    assert done.words().startswith("1 attempt ended as the run's own did: pass")


def test_an_id_of_nothing(run: Path) -> None:
    with pytest.raises(UserError, match="IDs stand in brackets"):
        again.find_verdict(run, "00000000")


def test_a_test_that_was_not_run_can_be_run(run: Path) -> None:
    lines = (run / "verdicts.jsonl").read_text().splitlines(keepends=True)
    missing = verdict_of(run, "bad").ident
    (run / "verdicts.jsonl").write_text("".join(line for line in lines if '"bad"' not in line))
    found = again.find_verdict(run, missing)
    assert found.verdict.verdict == "not run" and found.verdict.command == "bad"


def test_an_id_that_two_bases_share_is_not_guessed(run: Path) -> None:
    ident = verdict_of(run, "bad").ident
    other = run.parent / "on-another-base"
    shutil.copytree(run, other)
    record = other / "run.json"
    text = json.loads(record.read_text())
    text["plan"]["base"] = "theirs"
    record.write_text(json.dumps(text))
    with pytest.raises(UserError, match="several bases") as caught:
        again.find_verdict(run.parent, ident)
    assert "--run" in caught.value.hint and str(other) in caught.value.message
    assert again.find_verdict(other, ident).run.plan.base == "theirs"


def test_gdb_gets_a_guest_that_waits_for_it(run: Path) -> None:
    found = again.find_verdict(run, verdict_of(run, "bad").ident)
    lab = FakeLab(run.parents[1], {}, small_project(run.parents[1]))
    done = again.reproduce(lab, found, run.parent / "gdb", say=lambda _: None, gdb=True)
    recorded = load_run(done.directory)
    assert isinstance(recorded.plan, SuitePlan)
    assert recorded.plan.cmdline == "numa=fake=2 panic=0"
