"""Pages for people: a suite's run, and the history of nights. From the runs' own files alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment

from harness.core.plurals import plural
from harness.core.workspace import write_atomic
from harness.dumps.keeping import told
from harness.records.night import NightRow
from harness.records.store import load_boots
from harness.records.verdicts import BAD, Verdict
from harness.style import templating
from harness.suites import formats
from harness.suites.formats import JUNIT_FILE
from harness.suites.history import NightTotals, summarize_nights
from harness.suites.kcidb import KCIDB_FILE
from harness.suites.nightstats import NightGroup, by_kernel, flaky, groups
from harness.suites.outcome import PAGE_FILE, SuiteOutcome
from harness.suites.suiteplan import alone
from harness.suites.triage import Bug

if TYPE_CHECKING:
    from harness.style.plot import Plot

INDEX_FILE = "index.html"
FIGURE_FILE = "hours.png"
BAR_PX, STEP_PX, HIGH_PX = 5, 7, 28


def write_page(outcome: SuiteOutcome) -> Path:
    """``report.html`` of a suite's run, beside its files."""
    verdicts, directory = outcome.verdicts, outcome.directory
    boots, _ = load_boots(directory)
    bad = [v for v in verdicts if v.verdict not in ("pass", "skip")]
    text = _environment().get_template("suite.html.j2").render(
        run=outcome.run, plan=outcome.plan, alone=alone(outcome.plan),
        counts={
            variant: Counter(v.verdict for v in tests).most_common()
            for variant, tests in formats.first_attempts(verdicts).items()
        },
        false_starts=[(boot, start) for boot in boots for start in boot.false_starts],
        differences=outcome.differences,
        bugs=[(bug, _oops(directory, bug)) for bug in outcome.bugs],
        failures=[
            (verdict, formats.own_words(directory, verdict), _shown(directory, verdict))
            for verdict in bad
        ],
        tests=formats.by_test(verdicts),
        commands={(v.test, v.seed): v.command for v in verdicts},
    )
    write_atomic(outcome.page, text)
    return outcome.page


def _oops(directory: Path, bug: Bug) -> str:
    """A bug's text with addresses resolved, as the run wrote it, or as the console said it."""
    path = directory / "oopses" / f"{bug.signature.ident}.txt"
    return path.read_text(errors="replace") if path.exists() else bug.text


def _shown(directory: Path, verdict: Verdict) -> str:
    """What the dump behind a verdict shows; empty when there is none."""
    path = told(directory / verdict.dump)
    return path.read_text(errors="replace") if verdict.dump and path.exists() else ""


@dataclass(frozen=True)
class NightBar:
    """One night of one suite on one variant, as the page draws it."""

    x: int
    y: float
    height: float
    state: str
    """``good``, ``bad`` or ``grave``: its colour."""
    title: str


def write_nights(root: Path, rows: Sequence[NightRow]) -> Path:
    """``index.html`` of the nights: hours without a crash, and every night, newest first."""
    totals = [
        (suite, variant, base, total, night_bars(total))
        for (suite, variant, base), total in sorted(summarize_nights(rows).items())
    ]
    seldom = groups(rows)
    figure = _figure(root, seldom)
    nights = {
        night: [
            (row, _there(root, row, PAGE_FILE), _there(root, row, JUNIT_FILE))
            for row in rows if row.night == night
        ]
        for night in sorted({row.night for row in rows}, reverse=True)
    }
    path = root / INDEX_FILE
    write_atomic(path, _environment().get_template("nights.html.j2").render(
        totals=totals, nights=nights, groups=seldom, kernels=by_kernel(seldom),
        flaky=flaky(root, rows), figure=figure,
        kcidb={night for night in nights if (root / night / KCIDB_FILE).exists()},
    ))
    return path


def _figure(root: Path, seldom: Sequence[NightGroup]) -> Plot | None:
    """The hours of all kernels, drawn, and beside the page as a picture."""
    from harness.suites.nightplot import hours_plot  # noqa: PLC0415

    plot = hours_plot(seldom)
    if plot is not None:
        write_atomic(root / FIGURE_FILE, plot.png())
    return plot


def _there(root: Path, row: NightRow, name: str) -> str:
    """Where a file of a part's run is, relative to ``root``; empty when it is not there."""
    page = Path(row.night) / row.part / name
    return str(page) if (root / page).exists() else ""


def night_bars(total: NightTotals) -> list[NightBar]:
    """A bar a night, as high as its hours; the parts of a night are one."""
    names = sorted({row.night for row in total.rows})
    nights = [[row for row in total.rows if row.night == name] for name in names]
    hours = [sum(row.hours for row in night) for night in nights]
    top = max(hours, default=0) or 1
    return [
        NightBar(
            at * STEP_PX, round(HIGH_PX + 2 - HIGH_PX * tall / top, 1),
            round(HIGH_PX * tall / top, 1), _state(night),
            f"{name}: {tall:.2f} h, {plural(sum(r.crashes for r in night), 'crash', 'crashes')}, "
            f"{plural(sum(r.regressions for r in night), 'regression')}",
        )
        for at, (name, night, tall) in enumerate(zip(names, nights, hours, strict=True))
    ]


def _state(night: Sequence[NightRow]) -> str:
    if any(row.crashes or row.regressions for row in night):
        return "grave"
    words = {word for row in night for word in row.counts}
    return "bad" if words & (BAD | {"not run"}) else "good"


def _environment() -> Environment:
    environment = templating.environment(Path(__file__).parent / "templates")
    environment.filters["plural"] = plural
    return environment
