"""A run for CI systems, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as xml

from harness.records.old_verdicts import StabilityRun, Verdict, Word
from harness.suites.outcome import RunOutcome
from harness.suites.suite_page import write_report


def verdict(variant: str, test: str, word: Word, attempt: int = 0, **more: object) -> Verdict:
    return Verdict.model_validate({
        "suite": "s", "test": test, "variant": variant, "verdict": word,
        "reason": f"{word} #1 \x1b",
        "attempt": attempt, **more,
    })


def four(variant: str, test: str, word: Word) -> list[Verdict]:
    return [verdict(variant, test, word, n) for n in range(4)]


RUN = [
    verdict("before", "good", "pass"), verdict("after", "good", "pass"),
    verdict("before", "old", "fail"), verdict("after", "old", "fail"),
    verdict("before", "absent", "skip"), verdict("after", "absent", "skip"),
    *four("before", "broken", "pass"), *four("after", "broken", "fail"),
]


def outcome(verdicts: list[Verdict], known: dict[str, str] | None = None) -> RunOutcome:
    return RunOutcome(verdicts, [("before", "after")], known or {})


def test_junit(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("said \x00 <this>\n")
    outcome([*RUN, verdict("after", "lonely", "not run"),
             verdict("after", "loud", "fail", log="log")]).write(tmp_path)
    root = xml.parse(tmp_path / "junit.xml").getroot()
    suites = {suite.get("name"): suite for suite in root}
    after = suites["s.after"]
    assert [after.get(k) for k in ("tests", "failures", "errors", "skipped")] == \
        ["6", "3", "1", "1"]
    assert after.findtext(".//system-out") == "said ? <this>\n"
    difference = suites["difference.before.after"]
    assert [case.get("name") for case in difference.findall("testcase[failure]")] == ["broken"]
    assert {case.get("name") for case in difference.findall("testcase[error]")} == \
        {"lonely", "loud"}


def test_tap(tmp_path: Path) -> None:
    outcome(RUN).write(tmp_path)
    lines = (tmp_path / "results.tap").read_text().splitlines()
    assert lines[:2] == ["TAP version 13", "1..12"]
    assert "ok 1 - before: good" in lines and "ok 3 - before: absent # SKIP skip 1 \x1b" in lines
    assert any(line.startswith("not ok") and "before v after: broken" in line for line in lines)
    assert sum(line.startswith(("ok", "not ok")) for line in lines) == 12


def test_json(tmp_path: Path) -> None:
    outcome(RUN).write(tmp_path)
    record = json.loads((tmp_path / "verdicts.json").read_text())
    assert record["counts"]["after"] == {"pass": 1, "fail": 2, "skip": 1}
    broken = next(d for d in record["differences"] if d["test"] == "broken")
    assert broken["kind"] == "regression" and broken["confirmed"]
    assert len(set(broken["ids"])) == 2


def test_exit_codes() -> None:
    assert outcome(RUN).exit_code == 1
    assert outcome(RUN[:6]).exit_code == 0  # what fails on both is no regression
    assert outcome([*RUN[:6], verdict("after", "x", "not run")]).exit_code == 1
    assert outcome([*RUN[:6], verdict("other", "x", "timeout")]).exit_code == 1
    crash = verdict("after", "x", "crash", splats=["BUG: x"], kinds=["bug"])
    assert outcome([*RUN[:6], crash]).exit_code == 4


def test_a_known_crash_is_no_news() -> None:
    both = [
        verdict(variant, "x", "crash", splats=["BUG: x"], kinds=["bug"])
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


def test_the_report_shows_a_failing_tests_own_output(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("said <this>\n")
    found = outcome([*RUN, verdict("after", "loud", "fail", log="log")])
    run = StabilityRun(started="then", suite="s", false_starts=["after-00: stood <still>"])
    text = write_report(
        tmp_path, run, found.verdicts, found.differences, found.bugs
    ).read_text()
    assert "<pre>said &lt;this&gt;\n</pre>" in text and "3 of 5 tests say the same" in text
    assert f"harness reproduce {RUN[-1].ident}" in text and "<td>absent</td><td>skip #1" in text
    assert "http" not in text
    assert "<li>after-00: stood &lt;still&gt;</li>" in text
