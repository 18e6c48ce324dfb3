"""A stability run for machines: JUnit XML and TAP for CI systems, JSON for programs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as xml

from harness.core.workspace import write_atomic
from harness.records.old_verdicts import BAD, Verdict
from harness.suites.compare import Difference
from harness.suites.triage import Bug

TAIL = 8000  # characters of a test's own output that go into JUnit
# XML 1.0 has no way to say these, escaped or not.
_UNSAYABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
Pair = tuple[str, str]


def write_all(
    directory: Path, verdicts: Sequence[Verdict], differences: dict[Pair, list[Difference]],
    bugs: Sequence[Bug],
) -> None:
    """``junit.xml``, ``results.tap`` and ``verdicts.json`` beside the run's own files."""
    write_atomic(directory / "junit.xml", junit(directory, verdicts, differences))
    write_atomic(directory / "results.tap", tap(verdicts, differences))
    record = as_record(verdicts, differences, bugs)
    write_atomic(directory / "verdicts.json", json.dumps(record, indent=1) + "\n")


def first_attempts(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """Per variant the planned executions, without the confirmations."""
    found: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.attempt == 0:
            found.setdefault(verdict.variant, []).append(verdict)
    return found


def junit(
    directory: Path, verdicts: Sequence[Verdict], differences: dict[Pair, list[Difference]]
) -> str:
    """One suite per variant, and one per comparison whose failures are regressions and crashes.

    A test that was not run is an error there, not a skip: a skip is the test's own word.
    """
    root = xml.Element("testsuites")
    for variant, tests in first_attempts(verdicts).items():
        cases = [_case(directory, verdict) for verdict in tests]
        _add_suite(root, f"{tests[0].suite}.{variant}", cases)
    for (before, after), found in differences.items():
        _add_suite(root, f"difference.{before}.{after}", [_difference_case(d) for d in found])
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
    if verdict.verdict == "pass":
        return case
    tag = {"skip": "skipped", "fail": "failure"}.get(verdict.verdict, "error")
    said = xml.SubElement(case, tag, message=_say(verdict.reason), type=verdict.verdict)
    said.text = _say("\n\n".join(verdict.splats))
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


def tap(verdicts: Sequence[Verdict], differences: dict[Pair, list[Difference]]) -> str:
    """TAP version 13: each planned test on each variant, then each comparison."""
    rows: list[str] = []
    for variant, tests in first_attempts(verdicts).items():
        rows += [_tap_row(f"{variant}: {_name(v)}", v.verdict, v.reason) for v in tests]
    for (before, after), found in differences.items():
        rows += [
            _tap_row(f"{before} v {after}: {d.test}", _tap_word(d), f"{d.kind}: {d.reason}")
            for d in found
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


def as_record(
    verdicts: Sequence[Verdict], differences: dict[Pair, list[Difference]], bugs: Sequence[Bug]
) -> dict[str, Any]:
    """All of it for programs; outputs and oopses of each verdict stay in verdicts.jsonl."""
    short = {"splats", "output", "parts", "command"}
    return {
        "counts": {
            variant: dict(Counter(v.verdict for v in tests))
            for variant, tests in first_attempts(verdicts).items()
        },
        "verdicts": [{"id": v.ident, **v.model_dump(exclude=short)} for v in verdicts],
        "differences": [
            {
                "variants": [before, after], "test": d.test, "seed": d.seed, "kind": d.kind,
                "confirmed": d.confirmed, "before": d.before, "after": d.after,
                "parts": d.parts, "reason": d.reason, "ids": d.idents,
            }
            for (before, after), found in differences.items() for d in found
        ],
        "bugs": [
            {
                "signature": bug.signature.ident, "kind": bug.signature.kind,
                "frames": bug.signature.frames, "title": bug.signature.title,
                "count": bug.count, "variants": bug.variants, "known": bug.known,
                "tests": sorted({v.test for v in bug.where}), "ids": sorted({
                    v.ident for v in bug.where}),
            }
            for bug in bugs
        ],
    }
