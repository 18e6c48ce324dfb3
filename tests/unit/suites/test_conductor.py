"""A whole run of a suite in guests that only pretend: verdicts, repetitions, record, resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import GuestCrash, InfrastructureError, UserError
from harness.records.plans import Pair, PlannedTest, SuitePlan
from harness.records.store import load_boots, load_run, load_verdicts
from harness.suites import conductor
from harness.suites.conductor import conduct
from harness.suites.judgement import Judgement, Outcome
from harness.suites.suite import Suite
from tests.unit.suites.fakes import FakeLab, ListedSuite, Script, planned
from tests.unit.suites.projects import small_project

TESTS = [planned("one"), planned("two", seed=3), planned("three", skip="listed")]
PLAN = SuitePlan(
    suite="races", base="mine", variants=["before", "after"], smp=2, memory="1G",
    comparisons=[Pair(baseline="before", variant="after")],
)
Make = Callable[..., FakeLab]


@pytest.fixture
def lab_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A lab by the scripts of its variants, and a suite of three tests."""
    monkeypatch.setattr(conductor, "find_source", lambda *_: None)

    def make(suite: Suite | None = None, **scripts: Script) -> FakeLab:
        chosen = suite or ListedSuite(TESTS)
        monkeypatch.setattr(conductor, "find_suite", lambda name: chosen)
        return FakeLab(tmp_path, scripts, small_project(tmp_path))

    return make


def test_a_run_is_a_run(lab_of: Make, tmp_path: Path) -> None:
    lab = lab_of()
    outcome = conduct(lab, PLAN, tmp_path / "run")
    assert outcome.exit_code == 0 and outcome.page.exists()
    run = load_run(tmp_path / "run")
    assert run.status == "complete" and run.finished
    assert {name: kernel.key for name, kernel in run.kernels.items()} == {
        "before": "key-before", "after": "key-after",
    }
    assert run.accels[0].name == "tcg" and run.image is not None
    assert isinstance(run.plan, SuitePlan) and run.plan.tests == TESTS
    verdicts, torn = load_verdicts(tmp_path / "run")
    assert [(v.variant, v.test, v.verdict) for v in verdicts] == [
        ("before", "three", "skip"), ("before", "one", "pass"), ("before", "two", "pass"),
        ("after", "three", "skip"), ("after", "one", "pass"), ("after", "two", "pass"),
    ] and torn == 0
    boots, _ = load_boots(tmp_path / "run")
    assert [(b.variant, b.boot, b.status, b.console) for b in boots] == [
        ("before", 0, "ok", "boots/before-00/console.log"),
        ("after", 0, "ok", "boots/after-00/console.log"),
    ]
    assert boots[0].state.cpus == 2 and boots[0].state.cmdline == "root=/dev/vda"
    assert all(session.killed for session in lab.sessions)


def test_what_differs_is_repeated_three_times_on_both(lab_of: Make, tmp_path: Path) -> None:
    lab = lab_of(after=Script({"two": (1, "stale byte")}))
    outcome = conduct(lab, PLAN, tmp_path / "run")
    assert outcome.exit_code == 1 and outcome.regressions() == {"after": 1}
    again = [v for v in outcome.verdicts if v.attempt]
    assert [(v.variant, v.test, v.verdict) for v in again] == [
        ("before", "two", "pass"), ("after", "two", "fail"),
    ] * 3
    words = outcome.words()
    assert "regression two seed 3" in words and "stale byte" in words


def test_nothing_is_repeated_where_nobody_wants_it(lab_of: Make, tmp_path: Path) -> None:
    lab = lab_of(after=Script({"two": (1, "")}))
    plan = PLAN.model_copy(update={"confirm": False})
    assert not [v for v in conduct(lab, plan, tmp_path / "run").verdicts if v.attempt]


def test_a_crash_is_on_record_with_its_boot(lab_of: Make, tmp_path: Path) -> None:
    dead = GuestCrash("the guest's kernel crashed: BUG: x", kind="oops")
    plan = PLAN.model_copy(update={"variants": ["after"], "comparisons": []})
    outcome = conduct(lab_of(after=Script({"one": dead})), plan, tmp_path / "run")
    assert outcome.exit_code == 4 and load_run(tmp_path / "run").status == "crashed"
    boots, _ = load_boots(tmp_path / "run")
    assert [boot.status for boot in boots] == ["crashed", "ok"]
    assert boots[0].crash is not None and boots[0].crash.workload == "one"
    (oops,) = (tmp_path / "run/oopses").iterdir()
    assert "[" + outcome.bugs[0].where[0].ident + "]" in oops.read_text()


def test_a_kernel_that_never_boots_leaves_its_tests_not_run(lab_of: Make, tmp_path: Path) -> None:
    dead = GuestCrash("the guest's kernel crashed: panic", kind="panic")
    outcome = conduct(lab_of(after=Script(boots=[dead, dead])), PLAN, tmp_path / "run")
    assert outcome.exit_code == 4
    ends = [(v.test, v.verdict) for v in outcome.verdicts if v.variant == "after"]
    assert ends == [("three", "skip"), ("boot", "crash"), ("boot", "crash"), ("one", "not run"),
                    ("two", "not run")]


def test_a_run_that_was_killed_is_gone_on_with(lab_of: Make, tmp_path: Path) -> None:
    late = InfrastructureError("QEMU did not start")
    with pytest.raises(InfrastructureError):
        conduct(lab_of(after=Script(boots=[late, late])), PLAN, tmp_path / "run")
    assert load_run(tmp_path / "run").status == "failed"
    first, _ = load_verdicts(tmp_path / "run")
    assert {v.variant for v in first if v.verdict != "skip"} == {"before"}

    lab = lab_of()
    outcome = conduct(lab, conductor.resumed(tmp_path / "run"), tmp_path / "run")
    assert outcome.exit_code == 0
    assert [session.directory.name for session in lab.sessions] == ["after-02"]
    found, _ = load_verdicts(tmp_path / "run")
    assert found[:len(first)] == first and len(found) == 6


def test_a_finished_run_is_only_judged_again(lab_of: Make, tmp_path: Path) -> None:
    script = Script({"one": (127, "not found")})

    class Missing(ListedSuite):
        def judge(self, outcome: Outcome) -> Judgement:
            return Judgement("not run" if outcome.code == 127 else "pass", "no program")

    conduct(lab_of(Missing(TESTS), before=script, after=script), PLAN, tmp_path / "run")
    lab = lab_of(Missing(TESTS))
    again = conduct(lab, conductor.resumed(tmp_path / "run"), tmp_path / "run")
    assert lab.sessions == [] and len(again.verdicts) == 6 and again.exit_code == 1


def test_ctrl_c_leaves_an_interrupted_run(
    lab_of: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupted(ListedSuite):
        def judge(self, outcome: Outcome) -> Judgement:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conduct(lab_of(Interrupted(TESTS)), PLAN, tmp_path / "run")
    assert load_run(tmp_path / "run").status == "interrupted"
    assert load_boots(tmp_path / "run")[0][0].status == "interrupted"
    assert f"harness stability --resume {tmp_path / 'run'}" in capsys.readouterr().err


def test_a_run_is_not_gone_on_with_on_another_kernel(lab_of: Make, tmp_path: Path) -> None:
    conduct(lab_of(), PLAN, tmp_path / "run")
    lab = lab_of()
    lab.keys["after"] = "another"
    with pytest.raises(UserError, match="another build of 'after' \\(key-after, now another\\)"):
        conduct(lab, PLAN, tmp_path / "run")


def test_another_plan_does_not_go_into_a_runs_directory(lab_of: Make, tmp_path: Path) -> None:
    conduct(lab_of(), PLAN, tmp_path / "run")
    with pytest.raises(UserError, match="holds another run already"):
        conduct(lab_of(), PLAN.model_copy(update={"seed": 7}), tmp_path / "run")
    with pytest.raises(UserError, match="is not a run"):
        conductor.resumed(tmp_path)


def test_a_guest_is_asked_for_the_tests_that_the_host_does_not_know(
    lab_of: Make, tmp_path: Path
) -> None:
    class Asked(Suite):
        name = "races"
        title = "asks"

        def ask(self, session: object, plan: SuitePlan) -> list[PlannedTest]:
            return [planned("told")]

    lab = lab_of(Asked())
    outcome = conduct(lab, PLAN, tmp_path / "run")
    assert {v.test for v in outcome.verdicts} == {"told"}
    assert len(lab.sessions) == 3 and all(session.killed for session in lab.sessions)


def test_who_is_compared_with_nothing_is_said(
    lab_of: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = PLAN.model_copy(update={"variants": ["after"], "comparisons": []})
    outcome = conduct(lab_of(), plan, tmp_path / "run")
    assert "after is compared with nothing" in capsys.readouterr().err
    assert "after: compared with nothing" in outcome.words()
