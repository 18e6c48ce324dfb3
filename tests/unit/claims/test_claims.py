"""What the pages claim is what claims.toml has, and that is what the record says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from harness.claims import claim_text, passages, remeasure, spelling
from harness.claims import judged as judging
from harness.claims.judged import ClaimVerdict, judge
from harness.claims.passages import uncovered_in
from harness.cli.app import app
from harness.core.errors import UserError
from harness.fleet.engine import FleetChoice
from harness.lab import Lab
from harness.measure.measuring import Making, MeasuredRun
from harness.project import reading
from harness.project.claims import Claim, ClaimBook, ClaimedFigure, Evidence, NoClaim, load_claims
from harness.records.plans import Plan, SuitePlan
from harness.records.runs import Run
from harness.records.store import load_run
from harness.report.analysis.analyse import Analysis, analyse
from harness.suites.outcome import SuiteOutcome
from harness.suites.suiteplan import SuiteOptions
from tests.places import ROOT

RUN = "results/reference/upstream-tcg-icount"
PAGE = "docs/pte-refcount.md"
ROW = "| fault, 1 thread | -0.28 % (-0.29, -0.27) | +0.52 % (+0.51, +0.56) | same within 0.054 % |"
FAULT = {
    "workload": "multi-fault", "params": {"threads": 1}, "metric": "instructions_per_fault",
    "variant": "after",
}


@pytest.fixture(autouse=True)
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each committed run takes a second or two to analyse."""
    monkeypatch.setattr(judging, "analyse", lambda runs: analysed(tuple(runs)))


@cache
def analysed(runs: tuple[Path, ...]) -> Analysis:
    return analyse(runs)


# -- this project's own


def test_no_claim_is_broken() -> None:
    """One that is: mend the sentence or the entry, or say in claims.toml why nothing shows it."""
    found = judge(reading.load(ROOT), load_claims(ROOT))
    broken = [f"{one.where}, {one.name}: {one.why}" for one in found if one.word == "broken"]
    assert not broken, "\n".join(broken)


def test_every_number_of_the_pages_is_in_an_entry() -> None:
    """A new number of a measurement needs a claim; any other a line in [[not_claims]]."""
    faults = passages.faults(load_claims(ROOT), ROOT)
    assert not faults, "\n".join(faults)


def test_what_is_cheap_is_planned_to_take_ten_minutes() -> None:
    plans = remeasure.plan_all(Lab(ROOT), load_claims(ROOT))
    chosen = remeasure.cheap(plans)
    assert {"quick", "fault-1"} <= {one.evidence for one in chosen}
    assert sum(one.minutes for one in chosen) <= remeasure.CHEAP_MINUTES


def test_every_page_of_docs_is_looked_at() -> None:
    pages = {str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")}
    assert pages - set(load_claims(ROOT).pages) == {"docs/records.md"}  # made from the models


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a clone")
def test_what_was_measured_is_in_the_history_or_said_to_be_lost() -> None:
    words = {
        word for one in load_claims(ROOT).evidence.values() if not one.lost
        for word in re.findall(r"\b[0-9a-f]{7,40}\b", one.revision)
    }
    asked = ["git", "cat-file", "--batch-check"]
    done = subprocess.run(
        asked, cwd=ROOT, input="\n".join(sorted(words)), text=True, capture_output=True, check=True,
    )
    gone = [line for line in done.stdout.splitlines() if line.endswith("missing")]
    assert not gone


class NoMachine(Lab):
    """A laboratory that only notes what it is asked to measure."""

    def measure(
        self, plan: Plan, directory: Path | None = None, making: Making | None = None,
        fleet: FleetChoice | None = None,
    ) -> MeasuredRun:
        asked.append(("measure", str(directory)))
        return MeasuredRun(Path(), Run(run="r", plan=plan))

    def resume(
        self, directory: Path, making: Making | None = None, fleet: FleetChoice | None = None
    ) -> MeasuredRun:
        asked.append(("resume", str(directory)))
        return MeasuredRun(directory, load_run(directory))

    def test(
        self, suite: str | SuitePlan, options: SuiteOptions | None = None, *,
        directory: Path | None = None, fleet: FleetChoice | None = None,
    ) -> SuiteOutcome:
        asked.append(("test", str(directory)))
        plan = suite if isinstance(suite, SuitePlan) else SuitePlan(suite=suite, variants=[])
        return SuiteOutcome(Run(run="r", plan=plan), [], {}, Path())


asked: list[tuple[str, str]] = []


def test_what_is_measured_again_gets_a_directory_of_its_own(tmp_path: Path) -> None:
    asked.clear()
    lab = NoMachine(ROOT)
    plans = {one.evidence: one for one in remeasure.plan_all(lab, load_claims(ROOT))}
    (tmp_path / "fault-1").symlink_to(ROOT / RUN)  # begun before
    found = remeasure.remeasure(
        lab, [plans["quick"], plans["fault-1"], plans["races-kasan"]], tmp_path,
    )
    assert list(found) == ["quick", "fault-1", "races-kasan"]
    assert asked == [
        ("measure", f"{tmp_path}/quick"), ("resume", f"{tmp_path}/fault-1"),
        ("test", f"{tmp_path}/races-kasan"),
    ]


# -- numbers of a page


@pytest.mark.parametrize(("text", "numbers"), [
    ("leaves 228 to 236 kB of 102,632", ["236", "102,632"]),
    ("+0.54 (+0.52, -0.57)", ["+0.54", "+0.52", "-0.57"]),
    ("in 21 boots: 8 minutes, 7 min 58 s", ["21", "8", "7", "58"]),
    ("Linux 6.14, debian-6.1, 6.1.192, canary-5, 26 November, 2 x AMD", []),
    ("`--boots 5 %` and\n\n    12 s in a block\n\n[1 s](docs/5%.md)", ["1"]),
    ("seeds 1101 and on, 4 KiB, 512 pages", []),
])
def test_numbers_of_measurements_are_known(text: str, numbers: list[str]) -> None:
    assert [one.number for one in uncovered_in("page", text, ())] == numbers


def test_a_passage_covers_its_numbers_across_line_breaks() -> None:
    text = "It takes 5 s\nand 6 %, or 7 %."
    assert [one.number for one in uncovered_in("page", text, ["takes 5 s and 6 %"])] == ["7"]
    assert str(next(uncovered_in("page", text, ()))).startswith("page:1: '5' in 'It takes")


def test_a_number_inside_a_longer_one_is_not_covered() -> None:
    assert [one.number for one in uncovered_in("page", "15 % more", ["5 % more"])] == ["15"]


@pytest.mark.parametrize(("value", "text", "good"), [
    (7249.87, "7,249.9", True), (7249.84, "7,249.9", False), (0.5379, "+0.54", True),
    (-0.003, "0.00", True), (0.125, "0.12", True), (0.125, "0.13", True), (234.0, "234", True),
    (-99.776, "-99.78", True), (99.776, "-99.78", False),
])
def test_numbers_agree_to_the_last_printed_digit(value: float, text: str, good: bool) -> None:
    assert spelling.agrees(value, text) is good


def test_what_is_no_number_is_said() -> None:
    with pytest.raises(UserError, match="not a number"):
        spelling.parse("about five")


def test_values_are_spelt_as_the_page_spells_them() -> None:
    assert spelling.spelt(7249.87, "7,249.9") == "7,249.9"
    assert spelling.spelt(0.5379, "+0.54") == "+0.54"


# -- verdicts


def book(claim: dict[str, object], runs: list[str] | None = None, missing: str = "") -> ClaimBook:
    """A book of one claim, of one line of this project's pages."""
    evidence = Evidence(
        command="harness bench", runs=[RUN] if runs is None else runs, missing=missing,
        date="2026-11-24", revision="e51138f", machine="2 x AMD EPYC", accel="icount",
    )
    whole = {"name": "one", "file": PAGE, "says": ROW, "evidence": "e", **claim}
    return ClaimBook(evidence={"e": evidence}, claims=[Claim.model_validate(whole)])


def judged(claims: ClaimBook, again: dict[str, Path] | None = None) -> ClaimVerdict:
    (found,) = judge(reading.load(ROOT), claims, again)
    return found


def test_a_figure_of_the_record_is_held_against_what_the_page_prints() -> None:
    prints = {"change": "-0.28", "low": "-0.29", "high": "-0.27"}
    found = judged(book({"figures": [{**FAULT, "prints": prints}]}))
    assert found.word in ("holds", "superseded")
    assert len(found.found) == len(prints)
    assert found.runs == [RUN]


def test_a_figure_that_the_record_does_not_give_breaks_the_claim() -> None:
    found = judged(book({"figures": [{**FAULT, "prints": {"change": "-0.29"}}]}))
    assert found.word == "broken"
    assert "change -0.29, record -0.28" in found.why


def test_bounds_are_held_as_well() -> None:
    good = judged(book({"figures": [{**FAULT, "most": {"high": 1.0}, "least": {"low": -0.4}}]}))
    bad = judged(book({"figures": [{**FAULT, "most": {"change": -0.4}}]}))
    assert good.word in ("holds", "superseded")
    assert bad.word == "broken" and "at most -0.4" in bad.why


def test_patches_that_have_changed_since_supersede(tmp_path: Path) -> None:
    """after was measured in an earlier state; before has no patches."""
    earlier = tmp_path / "earlier"
    shutil.copytree(ROOT / RUN, earlier)
    run = earlier / "run.json"
    run.write_text(re.sub(r'("sha256": ?")[0-9a-f]{8}', r"\g<1>00000000", run.read_text()))
    runs = [str(earlier)]
    after = judged(book({"figures": [{**FAULT, "most": {"high": 1.0}}]}, runs))
    before = judged(book({
        "figures": [{**FAULT, "variant": "before", "least": {"variant": 7000.0}}],
    }, runs))
    assert after.word == "superseded" and "after have changed since e51138f" in after.why
    assert before.word == "holds"


@pytest.mark.parametrize(("claim", "word", "why"), [
    ({"says": "A sentence that nobody wrote."}, "broken", "does not stand in"),
    ({}, "broken", "no figure or test"),
    ({"figures": [{**FAULT, "params": {}, "most": {"change": 1.0}}]}, "broken", "2 rows"),
    ({"figures": [{**FAULT, "metric": "us", "most": {"change": 1.0}}]}, "broken", "0 rows"),
    ({"missing": "weeks of it"}, "not shown", "weeks of it"),
    ({"evidence": "", "argued": "2 + 2"}, "argued", "2 + 2"),
    ({"evidence": "", "missing": "nobody looked"}, "not shown", "nobody looked"),
])
def test_each_word_says_why(claim: dict[str, object], word: str, why: str) -> None:
    whole = {"name": "one", "file": PAGE, "says": ROW, "evidence": "e", **claim}
    one = Claim.model_validate(whole)
    claims = book({}).model_copy(update={"claims": [one]})
    found = judged(claims)
    assert found.word == word
    assert why in found.why


def test_evidence_without_a_run_shows_nothing() -> None:
    found = judged(book({}, runs=[], missing="it was not kept"))
    assert (found.word, found.why) == ("not shown", "it was not kept")


def test_a_record_that_is_gone_breaks_the_claim() -> None:
    found = judged(book({"figures": [{**FAULT, "most": {"change": 1.0}}]}, runs=["results/none"]))
    assert found.word == "broken" and "cannot be read" in found.why


def test_what_is_measured_again_may_differ_a_little() -> None:
    near = {**FAULT, "prints": {"change": "-0.28", "low": "-0.29"}}
    claims = book({"figures": [near]})
    found = judged(claims, {"e": ROOT / RUN})
    assert len(found.found) == 1  # an interval's ends are of one run
    assert found.runs == [str(ROOT / RUN)]
    assert (found.date, found.machine) == ("2026-11-27", "2 x Intel(R) Xeon(R) Processor")
    assert not judge(reading.load(ROOT), claims, {"other": ROOT / RUN})


def test_what_cannot_be_compared_again_is_not_shown() -> None:
    claims = book({"figures": [{**FAULT, "prints": {"low": "-0.29"}}]})
    assert judged(claims, {"e": ROOT / RUN}).word == "not shown"


def test_tests_are_counted_by_verdict() -> None:
    races = "results/reference/races/after-kasan"
    right, wrong = (
        judged(book({"tests": [{"variant": "after-kasan", "count": count}]}, runs=[races]))
        for count in (62, 63)
    )
    assert right.word in ("holds", "superseded")
    assert wrong.word == "broken" and "63 tests pass, record 62" in wrong.why


# -- the file


def test_a_printed_number_must_be_in_the_passage() -> None:
    with pytest.raises(ValidationError, match=r"'9\.9' is not in what it says"):
        book({"figures": [{**FAULT, "prints": {"change": "9.9"}}]})


@pytest.mark.parametrize(("change", "message"), [
    ({"file": "", "source": ""}, "either file or source"),
    ({"evidence": ""}, "give evidence, argued or missing"),
    ({"evidence": "f"}, "unknown evidence"),
    ({"evidence": "", "argued": "x", "figures": [{**FAULT, "most": {"change": 1.0}}]}, "are of"),
])
def test_a_claim_that_is_not_whole_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        book(change)


def test_a_figure_says_something() -> None:
    with pytest.raises(ValidationError, match="no prints, least or most"):
        ClaimedFigure.model_validate(FAULT)


def test_evidence_has_a_run_or_a_reason() -> None:
    with pytest.raises(ValidationError, match="either runs or missing"):
        book({}, runs=[])


def test_a_project_without_claims_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no claims\.toml"):
        load_claims(tmp_path)


def test_a_wrong_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "claims.toml").write_text("[evidence.x]\ncomand = 'a'\n")
    with pytest.raises(UserError, match=r"evidence\.x"):
        load_claims(tmp_path)


def test_passages_that_are_gone_are_faults(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("It takes 5 s.\n")
    claims = ClaimBook(
        pages=["page.md"], not_claims=[NoClaim(file="page.md", why="w", says=["takes 6 s"])],
    )
    gone, number = passages.faults(claims, tmp_path)
    assert "page.md does not say: takes 6 s" in gone
    assert "page.md:1: '5'" in number


# -- the command


def test_the_command_prints_each_claim_and_the_counts() -> None:
    result = CliRunner().invoke(app, ["claims"])
    assert result.exit_code == 0, result.output
    assert "README.md\n" in result.stdout
    assert " not shown: no run in the record shows it" in result.stdout


def test_the_command_prints_json() -> None:
    result = CliRunner().invoke(app, ["claims", "--json"])
    found = json.loads(result.stdout)
    assert not found["faults"]
    assert {"name", "word", "why", "command", "runs", "says"} <= found["claims"][0].keys()


def test_dry_run_says_what_would_be_measured_again() -> None:
    result = CliRunner().invoke(app, ["claims", "--dry-run"])
    assert result.exit_code == 0
    assert "(with --all only)" in result.stdout and "quick: about" in result.stdout


def test_check_and_all_are_one_or_the_other() -> None:
    result = CliRunner().invoke(app, ["claims", "--check", "--all"])
    assert isinstance(result.exception, UserError)


def test_all_of_a_claim_is_shown_when_asked_for() -> None:
    one = judged(book({"figures": [{**FAULT, "prints": {"change": "-0.28"}}]}))
    text = claim_text.text([one], ["a fault"], whole=True)
    assert "harness bench" in text and RUN in text and "record -0.28" in text
    assert "broken: a fault" in text and "1 claim:" in text and "1 fault of the pages" in text
