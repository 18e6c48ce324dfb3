"""A run for CI systems, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as xml

from harness.records.boots import BootRecord
from harness.records.events import Event, FalseStart
from harness.records.plans import Pair, SuitePlan
from harness.records.runs import Run
from harness.records.store import RunWriter
from harness.records.verdicts import Verdict, Word
from harness.suites.outcome import SuiteOutcome
from harness.suites.suite_pages import write_page


def verdict(variant: str, test: str, word: Word, attempt: int = 0, **more: object) -> Verdict:
    return Verdict.model_validate({
        "suite": "s", "test": test, "variant": variant, "verdict": word,
        "reason": f"{word} #1 \x1b",
        "attempt": attempt, **more,
    })


def four(variant: str, test: str, word: Word) -> list[Verdict]:
    return [verdict(variant, test, word, n) for n in range(4)]


BUG = Event(kind="bug", title="BUG: x", text="BUG: x")
RUN = [
    verdict("before", "good", "pass"), verdict("after", "good", "pass"),
    verdict("before", "old", "fail"), verdict("after", "old", "fail"),
    verdict("before", "absent", "skip"), verdict("after", "absent", "skip"),
    *four("before", "broken", "pass"), *four("after", "broken", "fail"),
]


NOWHERE = Path("/nonexistent")


def outcome(
    verdicts: list[Verdict], known: dict[str, str] | None = None, directory: Path = NOWHERE,
    variants: tuple[str, ...] = ("before", "after"),
) -> SuiteOutcome:
    pairs = [Pair(baseline="before", variant="after")] if "after" in variants else []
    plan = SuitePlan(suite="s", variants=list(variants), comparisons=pairs)
    run = Run(run="r", started="then", plan=plan)
    return SuiteOutcome(run, verdicts, known or {}, directory)


def test_junit(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("said \x00 <this>\n")
    outcome([*RUN, verdict("after", "lonely", "not run"),
             verdict("after", "loud", "fail", log="log")], directory=tmp_path).write()
    root = xml.parse(tmp_path / "junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root}
    after = suites["s.after"]
    assert [after.get(k) for k in ("tests", "failures", "errors", "skipped")] == \
        ["6", "3", "1", "1"]
    assert after.findtext(".//system-out") == "said ? <this>\n"
    good = after.find("testcase[@name='good']")
    assert good is not None
    assert good.find(f"properties/property[@name='id'][@value='{RUN[1].ident}']") is not None
    difference = suites["difference.before.after"]
    assert [case.get("name") for case in difference.findall("testcase[failure]")] == ["broken"]
    assert {case.get("name") for case in difference.findall("testcase[error]")} == \
        {"lonely", "loud"}


def test_tap(tmp_path: Path) -> None:
    outcome(RUN, directory=tmp_path).write()
    lines = (tmp_path / "results.tap").read_text().splitlines()
    assert lines[:2] == ["TAP version 13", "1..12"]
    assert f"ok 1 - before: good [{RUN[0].ident}]" in lines
    assert f"ok 3 - before: absent [{RUN[4].ident}] # SKIP skip 1 \x1b" in lines
    assert any(line.startswith("not ok") and "before v after: broken" in line for line in lines)
    assert sum(line.startswith(("ok", "not ok")) for line in lines) == 12


def test_json(tmp_path: Path) -> None:
    outcome(RUN, directory=tmp_path).write()
    record = json.loads((tmp_path / "verdicts.json").read_text())
    assert record["counts"]["after"] == {"pass": 1, "fail": 2, "skip": 1}
    broken = next(d for d in record["differences"] if d["test"] == "broken")
    assert broken["kind"] == "regression" and broken["confirmed"]
    assert len(set(broken["ids"])) == 2


def test_exit_codes() -> None:
    assert outcome(RUN).exit_code == 1
    assert outcome(RUN[:6]).exit_code == 0  # what fails on both is no regression
    assert outcome([*RUN[:6], verdict("after", "x", "not run")]).exit_code == 1
    assert outcome([verdict("other", "x", "timeout")], variants=("other",)).exit_code == 1
    assert outcome([verdict("other", "x", "pass")], variants=("other",)).exit_code == 0
    crash = verdict("after", "x", "crash", events=[BUG])
    assert outcome([*RUN[:6], crash]).exit_code == 4


def test_a_known_crash_is_no_news() -> None:
    both = [
        verdict(variant, "x", "crash", events=[BUG])
        for variant in ("before", "after")
    ]
    mark = outcome(both).bugs[0].signature.ident
    assert outcome(both).exit_code == 4
    assert outcome(both, {mark: "vanilla"}).exit_code == 0
    assert "(known: vanilla)" in outcome(both, {mark: "vanilla"}).words()


def test_words_name_what_to_reproduce() -> None:
    words = outcome(RUN).words()
    assert "before v after: 3 same, 1 regression" in words
    assert f"regression broken [{RUN[-1].ident}]: pass, pass, pass, pass -> fail" in words


def test_the_terminal_lists_every_test_with_its_id() -> None:
    words = outcome(RUN).words()
    assert f"pass [{RUN[0].ident}]" in words and f"pass [{RUN[1].ident}]" in words
    many = [verdict("before", f"t{n}", "pass") for n in range(50)]
    assert outcome(many, variants=("before",)).words().endswith(
        "... and 10 more tests, all on the page")


def test_a_variant_that_is_compared_with_nothing_is_said_to_be() -> None:
    alone = outcome([verdict("before", "good", "pass")], variants=("before",))
    assert "before: compared with nothing" in alone.words()
    assert "compared with nothing" not in outcome(RUN).words()


def test_the_page_shows_tests_with_command_seed_log_and_id(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("said <this>\n")
    loud = verdict("after", "loud", "fail", log="log", seed=7, command="loud --seed 7")
    found = outcome([*RUN, loud], directory=tmp_path)
    RunWriter(tmp_path, found.run).boot(BootRecord(
        boot=0, variant="after", accel="tcg", status="ok", started="then",
        false_starts=[FalseStart(reason="stood <still>", seconds=3)],
    ))
    text = write_page(found).read_text()
    assert "said &lt;this&gt;\n</pre>" in text and "3 of 5 tests say the same" in text
    assert f"harness reproduce {RUN[6].ident}" not in text  # it passed before, and fails after
    assert f"harness reproduce {RUN[-1].ident}" in text
    assert f"<code>{RUN[0].ident}</code>" in text and "loud --seed 7" in text
    assert '<a href="log">log</a>' in text and '<td class="n">7</td>' in text
    assert "http" not in text and "stood &lt;still&gt;" in text


def test_the_page_says_what_is_compared_with_nothing(tmp_path: Path) -> None:
    found = outcome([verdict("before", "good", "pass")], variants=("before",), directory=tmp_path)
    assert "nothing: no <code>[[comparisons]]</code>" in write_page(found).read_text()
