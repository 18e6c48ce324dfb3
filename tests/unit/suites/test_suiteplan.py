"""What a run of a suite is going to do: options, and harness.toml where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.project import reading
from harness.suites.registry import SUITES, find_suite
from harness.suites.suiteplan import SuiteOptions, alone, make_suite_plan
from tests.places import ROOT
from tests.unit.suites.projects import small_project


def test_what_nobody_says_is_harness_tomls(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    plan = make_suite_plan(project, "races", SuiteOptions())
    assert plan.variants == ["after"] and plan.smp == 2 and plan.cmdline == "numa=fake=2"
    assert plan.memory == "4G" and plan.seconds == 300 and plan.seed == 1 and plan.confirm
    plan = make_suite_plan(project, "stress-ng", SuiteOptions())
    assert plan.variants == ["before", "after"] and plan.smp == 4 and plan.cmdline == ""


def test_what_somebody_says_counts_zero_and_empty_included(tmp_path: Path) -> None:
    plan = make_suite_plan(small_project(tmp_path), "races", SuiteOptions(
        variants=["before", "after"], seed=0, append="", smp=3, memory="1G", minutes=0.5,
        confirm=False,
    ))
    assert (plan.seed, plan.cmdline, plan.smp, plan.memory) == (0, "", 3, "1G")
    assert plan.seconds == 30 and not plan.confirm
    assert [(p.baseline, p.variant) for p in plan.comparisons] == [("before", "after")]
    assert alone(plan) == []


def test_who_is_compared_with_nothing(tmp_path: Path) -> None:
    plan = make_suite_plan(small_project(tmp_path), "races", SuiteOptions(
        variants=["before", "other", "after"],
    ))
    assert alone(plan) == ["other"]


@pytest.mark.parametrize(("suite", "options", "says"), [
    ("selftests", SuiteOptions(minutes=5), "--minutes means nothing to the suite selftests"),
    ("selftests", SuiteOptions(seed=0), "--seed means nothing"),
    ("stress-ng", SuiteOptions(threads=4), "--threads means nothing"),
    ("races", SuiteOptions(ltp=Path("/opt/ltp")), "--ltp means nothing"),
    ("races", SuiteOptions(memory="lots"), "--memory 'lots' is not a size"),
    ("races", SuiteOptions(memory="1M"), "--memory 1M is too small"),
    ("races", SuiteOptions(variants=["befor"]), "did you mean 'before'"),
    ("race", SuiteOptions(), "did you mean 'races'"),
])
def test_what_would_be_ignored_or_cannot_be_is_refused(
    tmp_path: Path, suite: str, options: SuiteOptions, says: str
) -> None:
    with pytest.raises(UserError) as caught:
        make_suite_plan(small_project(tmp_path), suite, options)
    assert says in caught.value.line()


def test_a_suite_of_harness_toml_that_names_no_variant_there_is(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    path = project.root / "harness.toml"
    path.write_text(path.read_text().replace('[suites.selftests]\nvariants = ["after"]',
                                             '[suites.selftests]\nvariants = ["aftr"]'))
    with pytest.raises(UserError, match=r"suites\.selftests: unknown variant 'aftr'"):
        reading.load(project.root)


def test_every_suite_of_this_project_can_be_planned() -> None:
    project = reading.load(ROOT)
    for name in SUITES:
        plan = make_suite_plan(project, name, SuiteOptions())
        assert plan.variants and plan.suite == name and find_suite(name).title
    assert set(project.config.suites) <= set(SUITES)


def test_the_command_lines_help_names_every_suite() -> None:
    text = (ROOT / "harness/cli/stability_command.py").read_text()
    (line,) = [line for line in text.splitlines() if 'help=f"races' in line]
    assert all(name in line for name in SUITES)
