"""A whole stability run judged: differences, bugs, the exit code, and all of it in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import EXIT_GUEST_CRASH, EXIT_OK, EXIT_REGRESSION
from harness.records.old_verdicts import BAD, Verdict
from harness.suites import formats
from harness.suites.compare import Difference, compare
from harness.suites.formats import Pair
from harness.suites.triage import Bug, all_known, sort_bugs

SHOWN = 40  # rows of one sort; all of them are in the files


@dataclass
class RunOutcome:
    """What a run says. ``known``: signatures of known bugs, which change no exit code."""

    verdicts: Sequence[Verdict]
    pairs: Sequence[Pair]
    known: dict[str, str]
    differences: dict[Pair, list[Difference]] = field(default_factory=dict)
    bugs: list[Bug] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.differences = {pair: compare(self.verdicts, *pair) for pair in self.pairs}
        self.bugs = sort_bugs(self.verdicts, self.known)

    @property
    def exit_code(self) -> int:
        """4 a guest crashed, 1 a regression or an incomplete comparison, 0 otherwise.

        Where variants are compared, a test that fails on both is no news; where there is
        only one, each failure counts.
        """
        news = [v for v in self.verdicts if not all_known(v, self.known)]
        if any(v.verdict == "crash" for v in news):
            return EXIT_GUEST_CRASH
        compared = {variant for pair in self.pairs for variant in pair}
        if any(v.verdict in BAD for v in news if v.variant not in compared):
            return EXIT_REGRESSION
        if any(v.verdict == "not run" for v in self.verdicts):
            return EXIT_REGRESSION
        kinds = {d.kind for found in self.differences.values() for d in found}
        return EXIT_REGRESSION if kinds & {"regression", "incomparable"} else EXIT_OK

    def write(self, directory: Path) -> None:
        """The files for machines."""
        formats.write_all(directory, self.verdicts, self.differences, self.bugs)

    def record(self) -> dict[str, object]:
        """For --json."""
        return formats.as_record(self.verdicts, self.differences, self.bugs)

    def words(self) -> str:
        """Counts, differences, bugs, bad verdicts and skips, for people."""
        first = formats.first_attempts(self.verdicts)
        lines = []
        for variant, tests in first.items():
            lines.append(f"{variant}: {_counts(v.verdict for v in tests)}")
        for (before, after), found in self.differences.items():
            lines.append(f"{before} v {after}: {_counts(d.kind for d in found)}")
            lines += [_difference_line(d) for d in found if d.kind != "same"][:SHOWN]
        lines += [_bug_line(bug) for bug in self.bugs[:SHOWN]]
        for tests in first.values():
            lines += [f"  {line(v)}" for v in tests if v.verdict not in ("pass", "skip")][:SHOWN]
        skips = Counter(
            (v.test, v.reason) for tests in first.values() for v in tests if v.verdict == "skip"
        )
        lines += [f"  skip {test}: {reason}" for test, reason in sorted(skips)][:SHOWN]
        return "\n".join(lines)


def _counts(words: Iterable[str]) -> str:
    return ", ".join(f"{n} {word}" for word, n in Counter(words).most_common())


def line(verdict: Verdict) -> str:
    """A verdict in one line, with the ID that `harness reproduce` takes."""
    seed = f" seed {verdict.seed}" if verdict.seed else ""
    return (
        f"{verdict.verdict} {verdict.variant} {verdict.test}{seed} [{verdict.ident}]: "
        f"{verdict.reason}"
    )


def _difference_line(found: Difference) -> str:
    seed = f" seed {found.seed}" if found.seed else ""
    unsure = "" if found.confirmed or found.kind not in ("regression", "fixed") else " unconfirmed"
    return (
        f"  {found.kind}{unsure} {found.test}{seed} [{found.idents[1] or found.idents[0]}]: "
        f"{', '.join(found.before) or '-'} -> {', '.join(found.after) or '-'}: {found.reason}"
    )


def _bug_line(bug: Bug) -> str:
    known = f" (known: {bug.known})" if bug.known else ""
    times = f"{bug.count} time{'s' if bug.count > 1 else ''} on {', '.join(bug.variants)}"
    return f"  bug {bug.signature.ident} {bug.signature.text}: {times}{known}"
