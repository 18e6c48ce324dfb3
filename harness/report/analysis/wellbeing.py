"""Whether the kernels that were measured also survive: crashes while measuring, suites of tests.

A reader who sees what a change saves and costs must see beside it whether it breaks anything, or
that nobody looked. A suite's run says something of a measured kernel only when it ran the same
build.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from harness.records.verdicts import BAD, Verdict
from harness.report.analysis import words
from harness.report.data.identity import plural
from harness.report.data.rundata import RunData, SuiteRun

UNKNOWN = (
    "nothing more is known of the kernels' stability: no run of a suite was given "
    "(`harness report RUN SUITE_RUN` adds one)"
)
MOST_NAMES = 3


@dataclass(frozen=True)
class RunHealth:
    """What is known of the measured kernels' stability."""

    boots: int
    crashes: int
    """Boots of the measurement that crashed."""
    suites: tuple[str, ...] = ()
    """What each suite's run on the same builds found."""
    others: tuple[str, ...] = ()
    """Runs that were given and are of other builds: they do not count."""
    worse: int = 0
    """Tests that a variant failed and its baseline did not, over all suites."""
    troubled: int = 0
    """Tests that ended badly in suites that compared nothing."""

    @property
    def known(self) -> bool:
        """Whether any suite's run counts."""
        return bool(self.suites)


def health(data: RunData) -> RunHealth:
    """The health of the kernels that were measured."""
    builds = {kernel.key for run in data.runs for kernel in run.run.kernels.values()}
    records = [record for run in data.runs for record in run.last_records().values()]
    suites, others, worse, troubled = [], [], 0, 0
    for suite in data.suites:
        mine = [v for v, kernel in suite.run.kernels.items() if kernel.key in builds]
        strange = [v for v in suite.plan.variants if v not in mine]
        if strange:
            others.append(
                f"{suite.plan.suite} ({suite.name}) ran on {words.listed(strange)}, "
                f"{'a build' if len(strange) == 1 else 'builds'} that this report has not "
                "measured: it says nothing of the kernels above."
            )
        if not mine:
            continue
        text, bad, fallen = _suite(suite, mine)
        suites.append(text)
        worse, troubled = worse + bad, troubled + fallen
    return RunHealth(
        len(records), sum(record.status == "crashed" for record in records), tuple(suites),
        tuple(others), worse, troubled,
    )


def sentence(found: RunHealth) -> str:
    """The health in one sentence, without a full stop's worth of detail missing."""
    if not found.boots:
        first = "no boot was recorded"
    elif found.crashes:
        first = f"{plural(found.crashes, 'crash', 'crashes')} in {plural(found.boots, 'boot')}"
    else:
        first = f"no crash in {plural(found.boots, 'boot')} of the measurement"
    return f"{first}; {'; '.join(found.suites) if found.known else UNKNOWN}."


def _suite(suite: SuiteRun, variants: Sequence[str]) -> tuple[str, int, int]:
    """What a suite found in words, tests that got worse, tests that ended badly uncompared."""
    end = "" if suite.run.status == "complete" else " (not finished)"
    head = f"{suite.plan.suite}{end}"
    pairs = [
        (pair.baseline, pair.variant) for pair in suite.plan.comparisons
        if pair.baseline in variants and pair.variant in variants
    ]
    if not pairs:
        counts = [_counts(suite, variant) for variant in variants]
        bad = sum(v.verdict in BAD for v in suite.verdicts if v.variant in variants)
        return f"{head}: {', '.join(counts)}, compared with nothing", 0, bad
    texts, worse = [], 0
    for baseline, variant in pairs:
        before, after = (_tests(suite, name) for name in (baseline, variant))
        both = [test for test in after if test in before]
        fallen = [t for t in both if _always_bad(after[t]) and not _ever_bad(before[t])]
        mended = [t for t in both if _always_bad(before[t]) and not _ever_bad(after[t])]
        alike = [t for t in both if {v.verdict for v in before[t]} == {v.verdict for v in after[t]}]
        worse += len(fallen)
        parts = [f"{plural(len(both), 'test')} on both", f"{len(alike)} the same"]
        parts += [f"{len(mended)} better"] if mended else []
        parts += [f"{len(fallen)} worse{_names([test for test, _ in fallen])}"]
        lost = len(suite.plan.tests) - len(both)
        parts += [f"{lost} not run on both"] if lost > 0 else []
        texts.append(f"{variant} against {baseline}: {', '.join(parts)}")
    return f"{head}: {'; '.join(texts)}", worse, 0


def _tests(suite: SuiteRun, variant: str) -> dict[tuple[str, int], list[Verdict]]:
    """Test and seed to every execution on a variant."""
    found: dict[tuple[str, int], list[Verdict]] = {}
    for one in suite.verdicts:
        if one.variant == variant and one.verdict != "not run":
            found.setdefault((one.test, one.seed), []).append(one)
    return found


def _always_bad(verdicts: Sequence[Verdict]) -> bool:
    return all(one.verdict in BAD for one in verdicts)


def _ever_bad(verdicts: Sequence[Verdict]) -> bool:
    return any(one.verdict in BAD for one in verdicts)


def _names(names: Sequence[str]) -> str:
    """``(race-fork, race-mremap and 4 more)``; empty for none."""
    more = len(names) - MOST_NAMES
    shown = ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f" ({shown})" if names else ""


def _counts(suite: SuiteRun, variant: str) -> str:
    """The words of one variant: ``175 pass on after-debug``."""
    found = Counter(v.verdict for v in suite.verdicts if v.variant == variant and not v.attempt)
    said = ", ".join(f"{count} {word}" for word, count in found.most_common())
    return f"{said or 'no verdict'} on {variant}"
