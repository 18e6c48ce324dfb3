"""Nights: what they plan, how they go on, what they keep, what their page says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.core.deadline import Deadline
from harness.core.errors import (
    EXIT_INFRASTRUCTURE,
    EXIT_REGRESSION,
    InfrastructureError,
    UserError,
)
from harness.project.config import NightlySuite, Project
from harness.project.reading import load
from harness.records.hosts import AccelChoice, Host
from harness.records.kernels import Kernel, SourceRecord
from harness.records.night import HISTORY_FILE, NIGHT_FILE, Night, NightPart, NightRow
from harness.records.plans import SuitePlan
from harness.records.runs import Run
from harness.records.verdicts import Verdict, Word
from harness.suites import history, nights, nightstats
from harness.suites.outcome import SuiteOutcome
from harness.suites.suite_pages import write_nights
from harness.suites.suiteplan import SuiteOptions, make_suite_plan
from tests.unit.suites.fakes import FakeLab
from tests.unit.suites.projects import small_project


def verdict(word: Word, hours: float, variant: str = "after") -> Verdict:
    return Verdict(suite="races", test="t", variant=variant, verdict=word, seconds=3600 * hours)


def row(
    night: str, hours: float, since: float, *, crashes: int = 0, suite: str = "races",
    part: str = "00-races",
) -> NightRow:
    return NightRow(
        night=night, part=part, suite=suite, variant="after", kernel="k", hours=hours,
        hours_since_crash=since, crashes=crashes, counts={"pass": 1},
    )


def run_of(*variants: str) -> Run:
    """A run of the suite races, begun here."""
    kernels = {
        name: Kernel(variant=name, key=f"key-{name}", base="debian-6.1", release="6.1.192",
                     source=SourceRecord(kind="debian", version="6.1.192-1", digest="d"))
        for name in variants
    }
    return Run(
        run="00-races", plan=SuitePlan(suite="races", variants=list(variants)), kernels=kernels,
        host=Host(cpu="EPYC", cores=2), accels=[AccelChoice(name="tcg")],
    )


def plans(*names: str) -> list[SuitePlan]:
    return [SuitePlan(suite=name, variants=["after"]) for name in names]


def test_hours_without_a_crash_begin_anew_after_one() -> None:
    verdicts = [verdict("pass", 2), verdict("crash", 1), verdict("fail", 0.5)]
    run = run_of("after")
    (found,) = history.rows_of("n", "00-races", run, nightstats.by_host(verdicts, run, []), {})
    assert (found.hours, found.hours_since_crash, found.crashes) == (3.5, 0.5, 1)
    totals = history.summarize_nights([row("1", 5, 5), row("2", 4, 1, crashes=1), row("3", 6, 6)])
    total = totals["races", "after", ""]
    assert (total.hours, total.clean_hours, total.crashes) == (15, 7, 1)


def test_a_night_gone_on_with_counts_once(tmp_path: Path) -> None:
    history.append_history(tmp_path, [row("1", 1, 1)])
    with (tmp_path / HISTORY_FILE).open("a") as stream:
        stream.write('{"night": "1", "su')
    history.append_history(tmp_path, [row("1", 2, 2), row("2", 1, 1)])
    assert [(r.night, r.hours) for r in history.load_history(tmp_path)] == [("1", 2), ("2", 1)]


def test_what_found_bugs_comes_first() -> None:
    rows = [row("1", 1, 1, crashes=2, suite="stress-ng"), row("2", 1, 1, crashes=2, suite="ltp"),
            row("2", 1, 1)]
    ordered = nights.in_order(plans("races", "stress-ng", "ltp", "trinity"), history.yields(rows))
    assert [plan.suite for plan in ordered] == ["ltp", "stress-ng", "races", "trinity"]


def test_a_shorter_night_runs_shorter_where_it_can(tmp_path: Path) -> None:
    lab = FakeLab(tmp_path, project=small_project(tmp_path))
    timed, untimed = (
        nights.part_plan(lab, part, "mine", 1 / 3, None)
        for part in (NightlySuite(suite="races", minutes=30), NightlySuite(suite="selftests"))
    )
    assert timed.seconds == 600 and untimed.seconds == 0
    with pytest.raises(UserError, match="--minutes means nothing to the suite selftests"):
        nights.part_plan(
            lab, NightlySuite(suite="selftests", minutes=3), "mine", 1.0, None)


def test_what_found_bugs_on_one_base_comes_first_there() -> None:
    found = [row("1", 1, 1, crashes=1), row("1", 1, 1).model_copy(update={"base": "new"})]
    found[0].base = "old"
    on = [SuitePlan(suite=name, variants=["after"], base=base)
          for name in ("ltp", "races") for base in ("new", "old")]
    ordered = nights.in_order(on, history.yields(found))
    assert [(plan.suite, plan.base) for plan in ordered] == \
        [("races", "old"), ("ltp", "new"), ("ltp", "old"), ("races", "new")]
    assert len(history.summarize_nights(found)) == len(nightstats.groups(found)) == 2


def test_a_night_is_planned_from_the_project(tmp_path: Path) -> None:
    lab = FakeLab(tmp_path, project=small_project(tmp_path))
    night = nights.plan_night(lab, hours=1)
    assert [(plan.suite, plan.variants, plan.seconds) for plan in night] == [
        ("races", ["before", "after"], 300), ("selftests", ["after"], 0),
    ]
    assert night[0].comparisons[0].variant == "after" and night[0].smp == 2
    assert night[0].cmdline == "numa=fake=2"


def test_a_night_tests_kernels_of_several_bases(tmp_path: Path) -> None:
    lab = FakeLab(tmp_path, project=two_bases(tmp_path, "theirs"))
    found = [(plan.suite, plan.base) for plan in nights.plan_night(lab)]
    assert found == [("races", "mine"), ("races", "theirs"), ("selftests", "mine")]
    said = nights.describe(lab).splitlines()
    assert "races on before, after, 10 guest minutes each, of theirs" in said
    assert "after of theirs" in said[-1]


def test_a_base_that_there_is_not_is_said_before_the_night(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown base 'thiers'") as caught:
        two_bases(tmp_path, "thiers")
    assert "theirs" in caught.value.hint


def test_a_variant_of_another_base_is_not_run_under_a_wrong_name(tmp_path: Path) -> None:
    project = two_bases(tmp_path, "theirs")
    place = project.root / "harness.toml"
    place.write_text(place.read_text().replace(
        '[variants.before]\n', '[variants.before]\nbase = "mine"\n'
    ))
    with pytest.raises(UserError, match="variant before is of mine") as caught:
        nights.plan_night(FakeLab(tmp_path, project=load(project.root)))
    assert "on theirs" in caught.value.message


def two_bases(root: Path, second: str) -> Project:
    """The small project with another base of the same tree. Races run on both."""
    place = small_project(root).root / "harness.toml"
    text = place.read_text()
    table = text[text.index("[bases.mine]"):text.index("[variants.before]")]
    place.write_text(text.replace(
        'suite = "races"\n', f'suite = "races"\nbases = ["mine", "{second}"]\n'
    ) + table.replace("mine", "theirs"))
    return load(place.parent)


def test_ltp_is_planned_where_its_tree_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = FakeLab(tmp_path, project=small_project(tmp_path))
    entries = [NightlySuite(suite="ltp"), NightlySuite(suite="races")]
    assert nights.possible(lab, entries, Path("/opt/ltp")) == entries
    assert capsys.readouterr().err == ""
    assert nights.possible(lab, entries, None) == entries[1:]
    assert "--ltp DIR" in capsys.readouterr().err
    plan = nights.part_plan(lab, entries[0], "mine", 1.0, Path("/opt/ltp"))
    assert plan.ltp == "/opt/ltp" and plan.lists == ["mm"]


def test_each_part_of_each_night_has_seeds_of_its_own() -> None:
    seeds = [nights.first_seed(night, key) for night in ("20261101-220000", "20261102-220000")
             for key in ("00-races", "01-races")]
    assert len(set(seeds)) == 4
    assert nights.first_seed("20261101-220000", "01-races") == seeds[1]


def test_a_night_that_was_begun_is_gone_on_with_as_it_was(tmp_path: Path) -> None:
    night = nights.begin(tmp_path, plans("races", "selftests"), 2.0)
    assert night.parts[0].plan.seed == nights.first_seed(night.night, "00-races")
    assert night.parts[1].plan.seed == 0
    assert nights.unfinished(tmp_path) == night
    night.finished = "now"
    nights.save(tmp_path, night)
    assert nights.unfinished(tmp_path) is None


def test_a_night_that_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "20261101-220000").mkdir()
    (tmp_path / "20261101-220000" / NIGHT_FILE).write_text("{")
    with pytest.raises(UserError, match="--new"):
        nights.unfinished(tmp_path)


class Conducted:
    """Stands for the conductor: codes by suite, one a call."""

    def __init__(self, codes: dict[str, list[int]]) -> None:
        self.codes, self.calls = codes, list[str]()

    def __call__(self, plan: SuitePlan, directory: Path) -> SuiteOutcome:
        self.calls.append(plan.suite)
        code = self.codes[plan.suite][self.calls.count(plan.suite) - 1]
        if code == EXIT_INFRASTRUCTURE:
            raise InfrastructureError("the guest did not boot")
        return ended(plan, directory, code)


def ended(plan: SuitePlan, directory: Path, code: int) -> SuiteOutcome:
    from harness.records.runs import Run

    words: dict[int, Word] = {0: "pass", 1: "fail", 4: "crash"}
    verdicts = [Verdict(suite=plan.suite, test="t", variant="after", verdict=words[code])]
    return SuiteOutcome(Run(run="r", plan=plan), verdicts, {}, directory)


def test_what_ended_for_want_of_a_guest_is_tried_once_more(tmp_path: Path) -> None:
    lab = FakeLab(tmp_path)
    conduct = Conducted({"races": [3, 0], "ltp": [3, 3], "trinity": [1, 0]})
    night = nights.begin(tmp_path / "nights", plans("races", "ltp", "trinity"), 1.0)
    code = nights.run_parts(lab, tmp_path / "nights", night, Deadline(60), conduct)
    assert code == EXIT_REGRESSION
    assert conduct.calls == ["races", "ltp", "trinity", "races", "ltp"]
    state = Night.model_validate_json(
        (tmp_path / "nights" / night.night / NIGHT_FILE).read_text())
    assert {part.key: part.code for part in state.parts} == {
        "00-races": 0, "01-ltp": EXIT_INFRASTRUCTURE, "02-trinity": 1,
    }
    assert state.finished and state.parts[1].error == "the guest did not boot"
    rows = history.load_history(tmp_path / "nights")
    assert [row.part for row in rows] == ["02-trinity", "00-races"]


def test_what_the_time_does_not_suffice_for_is_no_pass(tmp_path: Path) -> None:
    night = nights.begin(tmp_path, plans("races"), 1.0)
    conduct = Conducted({})
    code = nights.run_parts(FakeLab(tmp_path), tmp_path, night, Deadline(-1), conduct)
    assert code == EXIT_REGRESSION and conduct.calls == []
    assert night.parts[0].error == nights.NO_TIME


def test_the_hook_is_told(tmp_path: Path) -> None:
    night = Night(night="n", started="now", hours=1.0, parts=[
        NightPart(key="00-races", plan=plans("races")[0], code=4),
    ])
    lab = FakeLab(tmp_path, project=small_project(tmp_path))
    hook = 'echo "$NIGHTLY_VERDICT $NIGHTLY_EXIT $(cat)" > said'
    nights.call_hook(lab, hook, tmp_path, night, 4)
    said = (lab.project.root / "said").read_text().split(maxsplit=2)
    assert said[:2] == ["crash", "4"] and json.loads(said[2]) == {"00-races": 4}


def test_the_first_night_says_what_it_builds_first(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    lab = FakeLab(tmp_path, project=project)
    plan = make_suite_plan(project, "races", SuiteOptions(variants=["before", "after"]))
    text = nights.announce(lab, [plan])
    assert text.startswith("to be built first, about") and "before" in text and "after" in text


def test_the_trend_page_says_all_of_it(tmp_path: Path) -> None:
    rows = [row("20261101-000000", 5, 5), row("20261102-000000", 4, 1, crashes=1)]
    page = tmp_path / "20261101-000000/00-races/report.html"
    page.parent.mkdir(parents=True)
    page.touch()
    text = write_nights(tmp_path, rows).read_text()
    assert '<td class="n">1.00</td>' in text and '<td class="n">9.00</td>' in text
    assert text.count("<rect class") == 2 and text.count('<rect class="grave"') == 1
    assert '<h2 id="20261102-000000">' in text
    assert 'href="20261101-000000/00-races/report.html"' in text
    assert 'href="20261102-000000' not in text  # its page is not there


def test_the_parts_of_a_night_are_one_bar(tmp_path: Path) -> None:
    parts = [row("1", 3, 3), row("1", 1, 1, crashes=1, part="01-races"), row("2", 2, 2)]
    text = write_nights(tmp_path, parts).read_text()
    assert text.count("<rect class") == 2 and "1: 4.00 h, 1 crash, 0 regressions" in text


def test_retention_keeps_verdicts(tmp_path: Path) -> None:
    for night in ("1", "2", "3"):
        (tmp_path / night / "00-races/boots/b").mkdir(parents=True)
        (tmp_path / night / "00-races/tests-after").mkdir()
        (tmp_path / night / "00-races/verdicts.jsonl").touch()
        (tmp_path / night / NIGHT_FILE).touch()
    nights.retain(tmp_path, 2)
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.glob("*/00-races/*")}
    assert {"1/00-races/verdicts.jsonl", "2/00-races/boots", "3/00-races/tests-after"} <= left
    assert not {"1/00-races/boots", "1/00-races/tests-after"} & left


def test_the_time_table_has_the_commands_words() -> None:
    """contrib/ names options that there are."""
    from tests.places import ROOT

    text = (ROOT / "contrib/nightly/crontab").read_text()
    help_text = subprocess.run(
        [str(ROOT / ".venv/bin/harness"), "nightly", "--help"], capture_output=True, text=True,
        check=True, cwd=ROOT,
    ).stdout
    for word in text.split():
        if word.startswith("--"):
            assert word in help_text


def test_a_night_that_is_interrupted_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(plan: SuitePlan, directory: Path) -> SuiteOutcome:
        raise KeyboardInterrupt

    night = nights.begin(tmp_path, plans("races"), 1.0)
    with pytest.raises(KeyboardInterrupt):
        nights.run_parts(FakeLab(tmp_path), tmp_path, night, Deadline(60), interrupted)
    assert "harness nightly" in capsys.readouterr().err
    assert nights.unfinished(tmp_path) == night
