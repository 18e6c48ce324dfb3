"""A whole run of a suite judged: differences, bugs, the exit code, and all of it in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import EXIT_GUEST_CRASH, EXIT_OK, EXIT_REGRESSION
from harness.core.plurals import plural
from harness.records.plans import SuitePlan
from harness.records.runs import Run
from harness.records.verdicts import BAD, Verdict
from harness.suites import formats
from harness.suites.compare import Difference, compare
from harness.suites.formats import Compared
from harness.suites.suiteplan import alone
from harness.suites.triage import Bug, all_known, sort_bugs

SHOWN = 40  # rows of one sort; all of them are in the files
WIDTH = 100  # columns of the terminal's tables where there is no terminal
PAGE_FILE = "report.html"


@dataclass
class SuiteOutcome:
    """What a run of a suite says.

    ``verdicts``: all, those of planned tests that were not run among them. ``known``: signatures
    of known bugs, which change no exit code. ``directory``: the run's.
    """

    run: Run
    verdicts: Sequence[Verdict]
    known: dict[str, str]
    directory: Path
    differences: list[Compared] = field(default_factory=list)
    bugs: list[Bug] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.differences = [
            Compared(pair, compare(self.verdicts, pair.baseline, pair.variant))
            for pair in self.plan.comparisons
        ]
        self.bugs = sort_bugs(self.verdicts, self.known)

    @property
    def plan(self) -> SuitePlan:
        """What was planned."""
        assert isinstance(self.run.plan, SuitePlan)
        return self.run.plan

    @property
    def page(self) -> Path:
        """The page for people."""
        return self.directory / PAGE_FILE

    @property
    def exit_code(self) -> int:
        """4 a guest crashed, 1 a regression or an incomplete comparison, 0 otherwise.

        Where variants are compared, a test that fails on both is no news; where there is
        only one, each failure counts.
        """
        news = [v for v in self.verdicts if not all_known(v, self.known)]
        if any(v.verdict == "crash" for v in news):
            return EXIT_GUEST_CRASH
        single = alone(self.plan)
        if any(v.verdict in BAD for v in news if v.variant in single):
            return EXIT_REGRESSION
        if any(v.verdict == "not run" for v in self.verdicts):
            return EXIT_REGRESSION
        kinds = {d.kind for compared in self.differences for d in compared.found}
        return EXIT_REGRESSION if kinds & {"regression", "incomparable"} else EXIT_OK

    def regressions(self) -> dict[str, int]:
        """Variant -> tests that passed on its baseline and fail on it."""
        return {
            compared.pair.variant: sum(d.kind == "regression" for d in compared.found)
            for compared in self.differences
        }

    def write(self) -> None:
        """The files for machines."""
        formats.write_all(self.directory, self.verdicts, self.differences, self.bugs)

    def summary(self) -> formats.SuiteSummary:
        """The same for programs: verdicts.json."""
        return formats.summarize_run(self.verdicts, self.differences, self.bugs)

    def words(self) -> str:
        """Counts, differences, bugs, bad verdicts, skips and the tests' IDs, for people."""
        first = formats.first_attempts(self.verdicts)
        lines = [
            f"{variant}: {_counts(v.verdict for v in tests)}" for variant, tests in first.items()
        ]
        lines += [f"{variant}: compared with nothing" for variant in alone(self.plan)]
        for compared in self.differences:
            pair, found = compared.pair, compared.found
            lines.append(f"{pair.baseline} v {pair.variant}: {_counts(d.kind for d in found)}")
            lines += _first([_difference_line(d) for d in found if d.kind != "same"])
        lines += _first([_bug_line(bug) for bug in self.bugs])
        for tests in first.values():
            lines += _first([f"  {line(v)}" for v in tests if v.verdict not in ("pass", "skip")])
        skips = Counter(
            (v.test, v.reason) for tests in first.values() for v in tests if v.verdict == "skip"
        )
        lines += _first([f"  skip {test}: {reason}" for test, reason in sorted(skips)])
        return "\n".join([*lines, "", self.table()])

    def table(self) -> str:
        """Each test with its verdict and the ID that `harness reproduce` takes, by variant."""
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        rows = formats.by_test(self.verdicts)
        table = Table(box=None, pad_edge=False, header_style="", show_edge=False)
        for title in ("test", "seed", *self.plan.variants):
            table.add_column(title, overflow="fold", min_width=len(title))
        for (test, seed), found in list(rows.items())[:SHOWN]:
            cells = [
                f"{found[v].verdict} [{found[v].ident}]" if v in found else "-"
                for v in self.plan.variants
            ]
            table.add_row(*(Text(cell) for cell in (test, str(seed or ""), *cells)))
        console = Console(width=WIDTH, color_system=None, highlight=False)
        with console.capture() as captured:
            console.print(table)
        text = "\n".join(row.rstrip() for row in captured.get().splitlines())
        more = len(rows) - SHOWN
        rest = f"\n... and {plural(more, 'more test')}, all on the page"
        return text + (rest if more > 0 else "")


def _first(lines: list[str]) -> list[str]:
    """So many of one sort as a terminal bears, and how many more there are."""
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"  ... and {more} more like these, all on the page"] if more > 0
                            else [])


def _counts(words: Iterable[str]) -> str:
    return ", ".join(f"{n} {word}" for word, n in Counter(words).most_common()) or "no test"


def line(verdict: Verdict) -> str:
    """A verdict in one line, with the ID that `harness reproduce` takes."""
    seed = f" seed {verdict.seed}" if verdict.seed else ""
    reason = f": {verdict.reason}" if verdict.reason else ""
    return f"{verdict.verdict} {verdict.variant} {verdict.test}{seed} [{verdict.ident}]{reason}"


def _difference_line(found: Difference) -> str:
    seed = f" seed {found.seed}" if found.seed else ""
    unsure = "" if found.confirmed or found.kind not in ("regression", "fixed") else " unconfirmed"
    return (
        f"  {found.kind}{unsure} {found.test}{seed} [{found.idents[1] or found.idents[0]}]: "
        f"{', '.join(found.before) or '-'} -> {', '.join(found.after) or '-'}: {found.reason}"
    )


def _bug_line(bug: Bug) -> str:
    known = f" (known: {bug.known})" if bug.known else ""
    times = f"{plural(bug.count, 'time')} on {', '.join(bug.variants)}"
    return f"  bug {bug.signature.ident} {bug.signature.text}: {times}{known}"
