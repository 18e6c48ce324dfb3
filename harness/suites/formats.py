"""A suite's run for machines: JUnit XML and TAP for CI systems, JSON for programs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as xml

from pydantic import Field

from harness.core.workspace import write_atomic
from harness.records.plans import Pair
from harness.records.record import Record
from harness.records.verdicts import BAD, Verdict, Word
from harness.suites.compare import Class, Difference
from harness.suites.triage import Bug

JUNIT_FILE = "junit.xml"
TAIL = 8000  # characters of a test's own output that go into JUnit
# XML 1.0 has no way to say these, escaped or not.
_UNSAYABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
TestKey = tuple[str, int]
"""A test's name and its seed."""


@dataclass(frozen=True)
class Compared:
    """A pair of variants and what differs between them."""

    pair: Pair
    found: list[Difference]


class TestSummary(Record):
    """One execution of one test, without its output: those are in verdicts.jsonl."""

    __test__ = False  # pytest must not collect it

    id: str
    """What `harness reproduce` takes."""
    test: str
    variant: str
    verdict: Word
    reason: str
    seed: int
    attempt: int
    seconds: float
    boot: int
    command: str
    log: str


class DifferenceSummary(Record):
    """One test on two variants."""

    variants: tuple[str, str]
    test: str
    seed: int
    kind: Class
    confirmed: bool
    before: list[Word]
    after: list[Word]
    parts: list[str]
    reason: str
    ids: tuple[str, str]


class BugSummary(Record):
    """One signature of trouble and where it was seen."""

    signature: str
    kind: str
    frames: list[str]
    title: str
    count: int
    variants: list[str]
    known: str
    tests: list[str]
    ids: list[str]


class SuiteSummary(Record):
    """``verdicts.json``: a run of a suite for programs, made from the run's own files."""

    counts: dict[str, dict[Word, int]] = Field(default_factory=dict)
    """Variant -> planned tests by verdict."""
    verdicts: list[TestSummary] = Field(default_factory=list)
    differences: list[DifferenceSummary] = Field(default_factory=list)
    bugs: list[BugSummary] = Field(default_factory=list)


def write_all(
    directory: Path, verdicts: Sequence[Verdict], differences: Sequence[Compared],
    bugs: Sequence[Bug],
) -> None:
    """``junit.xml``, ``results.tap`` and ``verdicts.json`` beside the run's own files."""
    write_atomic(directory / JUNIT_FILE, junit(directory, verdicts, differences))
    write_atomic(directory / "results.tap", tap(verdicts, differences))
    summary = summarize_run(verdicts, differences, bugs)
    write_atomic(directory / "verdicts.json", summary.model_dump_json(indent=1) + "\n")


def first_attempts(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """Per variant the planned executions, without the confirmations."""
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.attempt == 0:
            found.setdefault(verdict.variant, []).append(verdict)
    return found


def by_test(verdicts: Sequence[Verdict]) -> dict[TestKey, dict[str, Verdict]]:
    """The planned executions by test, then by variant, in the order of the run."""
    found: dict[TestKey, dict[str, Verdict]] = {}
    for verdict in verdicts:
        if verdict.attempt == 0:
            found.setdefault((verdict.test, verdict.seed), {})[verdict.variant] = verdict
    return found


def junit(
    directory: Path, verdicts: Sequence[Verdict], differences: Sequence[Compared]
) -> str:
    """One suite per variant, and one per comparison whose failures are regressions and crashes.

    A test that was not run is an error there, not a skip: a skip is the test's own word.
    """
    root = xml.Element("testsuites")
    for variant, tests in first_attempts(verdicts).items():
        cases = [_case(directory, verdict) for verdict in tests]
        _add_suite(root, f"{tests[0].suite}.{variant}", cases)
    for compared in differences:
        cases = [_difference_case(d) for d in compared.found]
        _add_suite(root, f"difference.{compared.pair.baseline}.{compared.pair.variant}", cases)
    xml.indent(root)
    return _UNSAYABLE.sub("?", xml.tostring(root, encoding="unicode")) + "\n"


def _add_suite(root: xml.Element, name: str, cases: list[xml.Element]) -> None:
    suite = xml.SubElement(root, "testsuite", name=name, tests=str(len(cases)))
    for key, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(key, str(sum(case.find(tag) is not None for case in cases)))
    suite.extend(cases)


def _case(directory: Path, verdict: Verdict) -> xml.Element:
    case = xml.Element(
        "testcase", classname=f"{verdict.suite}.{verdict.variant}", name=_name(verdict),
        time=str(verdict.seconds),
    )
    properties = xml.SubElement(case, "properties")
    for name, value in (("id", verdict.ident), ("command", verdict.command), ("log", verdict.log)):
        if value:
            xml.SubElement(properties, "property", name=name, value=_say(value))
    if verdict.verdict == "pass":
        return case
    tag = {"skip": "skipped", "fail": "failure"}.get(verdict.verdict, "error")
    said = xml.SubElement(case, tag, message=_say(verdict.reason), type=verdict.verdict)
    said.text = _say("\n\n".join(event.text for event in verdict.events))
    if verdict.verdict in BAD and verdict.log:
        xml.SubElement(case, "system-out").text = _say(own_words(directory, verdict))
    return case


def own_words(directory: Path, verdict: Verdict) -> str:
    """The end of a test's own output; empty when there is none."""
    try:
        return (directory / verdict.log).read_text(errors="replace")[-TAIL:] if verdict.log else ""
    except OSError:
        return ""


def _difference_case(found: Difference) -> xml.Element:
    name = f"{found.test} seed {found.seed}" if found.seed else found.test
    case = xml.Element("testcase", classname="difference", name=name)
    message = _say(f"{', '.join(found.before) or '-'} -> {', '.join(found.after) or '-'}"
                   f": {found.reason}")
    if found.kind in ("regression", "crash"):
        xml.SubElement(case, "failure", message=message, type=found.kind)
    elif found.kind == "incomparable":
        xml.SubElement(case, "error", message=message, type=found.kind)
    elif found.kind != "same":
        xml.SubElement(case, "system-out").text = f"{found.kind}: {message}"
    return case


def _say(text: str) -> str:
    return _UNSAYABLE.sub("?", text)


def tap(verdicts: Sequence[Verdict], differences: Sequence[Compared]) -> str:
    """TAP version 13: each planned test on each variant, then each comparison.

    The ID that `harness reproduce` takes stands in brackets behind the test's name.
    """
    rows: list[str] = []
    for variant, tests in first_attempts(verdicts).items():
        rows += [
            _tap_row(f"{variant}: {_name(v)} [{v.ident}]", v.verdict, v.reason) for v in tests
        ]
    for compared in differences:
        title = f"{compared.pair.baseline} v {compared.pair.variant}"
        rows += [
            _tap_row(f"{title}: {d.test}", _tap_word(d), f"{d.kind}: {d.reason}")
            for d in compared.found
        ]
    numbered = [row.replace("ok -", f"ok {n} -", 1) for n, row in enumerate(rows, 1)]
    return "\n".join(["TAP version 13", f"1..{len(rows)}", *numbered]) + "\n"


def _tap_word(found: Difference) -> str:
    return "pass" if found.kind in ("same", "fixed", "flaky") else "fail"


def _tap_row(name: str, word: str, reason: str) -> str:
    clean, why = (" ".join(text.replace("#", "").split()) for text in (name, reason))
    if word == "pass":
        return f"ok - {clean}"
    if word == "skip":
        return f"ok - {clean} # SKIP {why}"
    return f"not ok - {clean}\n  # {word}: {why}"


def _name(verdict: Verdict) -> str:
    return f"{verdict.test} seed {verdict.seed}" if verdict.seed else verdict.test


def summarize_run(
    verdicts: Sequence[Verdict], differences: Sequence[Compared], bugs: Sequence[Bug]
) -> SuiteSummary:
    """All of it for programs; outputs and oopses of each verdict stay in verdicts.jsonl."""
    return SuiteSummary(
        counts={
            variant: dict(Counter(v.verdict for v in tests))
            for variant, tests in first_attempts(verdicts).items()
        },
        verdicts=[
            TestSummary(
                id=v.ident, test=v.test, variant=v.variant, verdict=v.verdict, reason=v.reason,
                seed=v.seed, attempt=v.attempt, seconds=v.seconds, boot=v.boot,
                command=v.command, log=v.log,
            )
            for v in verdicts
        ],
        differences=[
            DifferenceSummary(
                variants=(compared.pair.baseline, compared.pair.variant), test=d.test,
                seed=d.seed, kind=d.kind, confirmed=d.confirmed, before=list(d.before),
                after=list(d.after), parts=list(d.parts), reason=d.reason, ids=d.idents,
            )
            for compared in differences for d in compared.found
        ],
        bugs=[_bug(bug) for bug in bugs],
    )


def _bug(bug: Bug) -> BugSummary:
    return BugSummary(
        signature=bug.signature.ident, kind=bug.signature.kind, frames=list(bug.signature.frames),
        title=bug.signature.title, count=bug.count, variants=bug.variants, known=bug.known,
        tests=sorted({v.test for v in bug.where}), ids=sorted({v.ident for v in bug.where}),
    )
