"""Whether what is claimed is what the record says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field

from harness.claims import passages, patched, spelling
from harness.core.errors import HarnessError
from harness.core.plurals import plural
from harness.project.claims import Claim, ClaimBook, ClaimedFigure, ClaimedTests, Quantity
from harness.project.config import Project
from harness.records.record import FrozenRecord
from harness.records.runs import Run
from harness.records.store import load_run, load_verdicts
from harness.report.analysis.analyse import Analysis, analyse
from harness.report.analysis.rows import Row
from harness.report.analysis.verdict import Comparison
from harness.report.data.identity import Column, machine_label

ClaimWord: TypeAlias = Literal["holds", "argued", "superseded", "not shown", "broken"]
WORDS: dict[ClaimWord, str] = {
    "holds": "the record says the same",
    "argued": "follows from arithmetic or from reading code; nothing was measured",
    "superseded": "the record says the same, of something that has changed since",
    "not shown": "no run in the record shows it",
    "broken": "the record says something else, or the page or the record is gone",
}
SAME_AGAIN = 0.05  # share by which a median may differ on another machine or compiler


class ClaimVerdict(FrozenRecord):
    """One claim, judged."""

    name: str
    where: str
    """Its page, or the publication that it stands in."""
    says: str
    word: ClaimWord
    why: str = ""
    note: str = ""
    found: list[str] = Field(default_factory=list)
    """What was compared, in words, each figure once."""
    command: str = ""
    runs: list[str] = Field(default_factory=list)
    date: str = ""
    revision: str = ""
    machine: str = ""
    accel: str = ""


@dataclass
class Records:
    """Runs that evidence names, each read once. ``again`` are newer ones that replace them."""

    project: Project
    book: ClaimBook
    again: Mapping[str, Path] = field(default_factory=dict)
    _analyses: dict[Path, Analysis] = field(default_factory=dict)

    def directories(self, evidence: str) -> tuple[Path, ...]:
        """Where the runs of an evidence are; empty for one that has none."""
        if evidence in self.again:
            return (self.again[evidence],)
        return tuple(self.project.path(run) for run in self.book.evidence[evidence].runs)

    def analysis(self, directory: Path) -> Analysis:
        """What a measurement says; raises :class:`UserError` for what is none."""
        if directory not in self._analyses:
            self._analyses[directory] = analyse([directory])
        return self._analyses[directory]


def judge(
    project: Project, book: ClaimBook, again: Mapping[str, Path] | None = None
) -> list[ClaimVerdict]:
    """Every claim with its verdict, in the order of claims.toml.

    ``again``: evidence that was measured again, with the directory of its new run. Claims that
    rest on it are held against that, and no others are looked at.
    """
    records = Records(project, book, again or {})
    chosen = [claim for claim in book.claims if again is None or claim.evidence in again]
    return [_judged(claim, records) for claim in chosen]


def _judged(claim: Claim, records: Records) -> ClaimVerdict:
    evidence = records.book.evidence.get(claim.evidence)
    word, why, found = _word(claim, records)
    judged = ClaimVerdict(
        name=claim.name, where=claim.file or claim.source, says=" ".join(claim.says.split()),
        word=word, why=why, note=claim.note, found=found,
    )
    if evidence is None:
        return judged
    again = records.again.get(claim.evidence)
    if again is not None:
        return judged.model_copy(update={"command": evidence.command, **_of_new_run(again)})
    shared = ("command", "runs", "date", "revision", "machine", "accel")
    return judged.model_copy(update={name: getattr(evidence, name) for name in shared})


def _of_new_run(directory: Path) -> dict[str, str | list[str]]:
    """Where and when it was measured again."""
    run = load_run(directory)
    return {
        "runs": [str(directory)], "date": run.started[:10], "revision": run.harness.git[:7],
        "machine": machine_label(run), "accel": ", ".join(one.name for one in run.accels),
    }


def _word(claim: Claim, records: Records) -> tuple[ClaimWord, str, list[str]]:
    """The verdict, why, and what was compared."""
    if claim.file and not _stands(claim, records.project):
        return "broken", f"the passage does not stand in {claim.file} any more", []
    if not claim.evidence:
        return ("argued", claim.argued, []) if claim.argued else ("not shown", claim.missing, [])
    directories = records.directories(claim.evidence)
    if not directories:
        missing = claim.missing or records.book.evidence[claim.evidence].missing
        return "not shown", missing, []
    try:
        runs = [load_run(directory) for directory in directories]
        compared = list(_compared(claim, records, directories))
    except HarnessError as error:
        return "broken", f"the record cannot be read: {error.message}", []
    if not compared and claim.evidence in records.again:
        return "not shown", "nothing of it can be compared with another run", []
    word, why = _of_record(claim, compared, _changed(claim, runs, records))
    return word, why, [text for text, _ in compared]


def _of_record(
    claim: Claim, compared: list[tuple[str, bool]], changed: str
) -> tuple[ClaimWord, str]:
    """The verdict on a claim whose record is here, and why."""
    if wrong := [text for text, good in compared if not good]:
        return "broken", "; ".join(wrong)
    if claim.missing:
        return "not shown", claim.missing
    if not compared:
        return "broken", "it names a run and no figure or test to look for in it"
    return ("superseded", changed) if changed else ("holds", "")


def _stands(claim: Claim, project: Project) -> bool:
    page = project.path(claim.file)
    return page.is_file() and bool(passages.find(claim.says, page.read_text()))


def _compared(
    claim: Claim, records: Records, directories: tuple[Path, ...]
) -> Iterator[tuple[str, bool]]:
    """What was looked for and found, in words, and whether it is as claimed.

    Of several runs each must give the figures.
    """
    again = claim.evidence in records.again
    for directory in directories if claim.figures else ():
        for figure in claim.figures:
            yield from _figure(figure, records.analysis(directory), again)
    for tests in claim.tests:
        yield _tests(tests, directories, again)


def _figure(
    figure: ClaimedFigure, analysis: Analysis, again: bool
) -> Iterator[tuple[str, bool]]:
    name = " ".join([
        figure.workload, *(f"{key}={value}" for key, value in figure.params.items()),
        figure.metric, figure.variant,
    ])
    rows = [row for row in analysis.rows if _fits(row, figure)]
    if len(rows) != 1:
        yield f"{name}: {plural(len(rows), 'row')} of the record fit, and it must be one", False
        return
    for quantity, text in figure.prints.items():
        value = _value(rows[0], figure, quantity, analysis)
        if value is None:
            yield f"{name}: the record has no {quantity}", False
        elif isinstance(value, str):
            good = value.split()[:1] == text.split()[:1] if again else value.startswith(text)
            yield f"{name}: {quantity} {text}, record {value}", good
        elif not again:
            ours = spelling.spelt(value, text)
            yield f"{name}: {quantity} {text}, record {ours}", spelling.agrees(value, text)
        elif quantity in ("baseline", "variant", "change"):
            ours = spelling.spelt(value, text)
            good = _alike(quantity, value, text, rows[0], figure)
            yield f"{name}: {quantity} {text}, now {ours}", good
    yield from _bounds(figure, rows[0], name, analysis)


def _bounds(
    figure: ClaimedFigure, row: Row, name: str, analysis: Analysis
) -> Iterator[tuple[str, bool]]:
    for limits, words, sign in ((figure.least, "at least", -1), (figure.most, "at most", 1)):
        for quantity, limit in limits.items():
            value = _value(row, figure, quantity, analysis)
            good = isinstance(value, float) and sign * value <= sign * limit
            text = f"{value:,.6g}" if isinstance(value, float) else "none"
            yield f"{name}: {quantity} {words} {limit:,.6g}, found {text}", good


def _fits(row: Row, figure: ClaimedFigure) -> bool:
    return (
        row.workload == figure.workload and row.metric.name == figure.metric
        and all(row.params.get(key) == value for key, value in figure.params.items())
        and figure.accel in ("", row.accel) and figure.base in ("", row.place.base)
        and _side(row, figure) is not None
    )


def _side(row: Row, figure: ClaimedFigure) -> Column | None:
    sides = [side for side in row.values if side.variant == figure.variant and not side.control]
    return sides[0] if len(sides) == 1 else None


def _value(
    row: Row, figure: ClaimedFigure, quantity: Quantity, analysis: Analysis
) -> float | str | None:
    """One quantity of a row's comparison; None where there is none."""
    side = _side(row, figure)
    if side is None:
        return None
    if quantity == "repeat":
        return _repeat(row, analysis)
    mine = row.boots(side)
    if quantity == "boots":
        return float(len(mine))
    if quantity == "variant":
        return _scaled(row.median(side), figure)
    if quantity.startswith("variant_"):
        return _scaled(min(mine) if quantity.endswith("least") else max(mine), figure)
    comparison = row.comparisons.get(side)
    return None if comparison is None else _of(comparison, row, figure, quantity)


def _repeat(row: Row, analysis: Analysis) -> float | None:
    """By how many percent the row's cell differed in a boot that was done again."""
    mine = [
        one.pct for one in analysis.residuals
        if (one.workload, one.params, one.metric.name, one.accel, one.base, one.machine)
        == (row.workload, row.params, row.metric.name, *row.place)
    ]
    return max(mine, default=None)


def _of(
    comparison: Comparison, row: Row, figure: ClaimedFigure, quantity: Quantity
) -> float | str | None:
    ends = comparison.interval_pct
    values: dict[Quantity, float | str | None] = {
        "baseline": _scaled(row.median(comparison.baseline), figure),
        "baseline_least": _scaled(min(comparison.before), figure),
        "baseline_greatest": _scaled(max(comparison.before), figure),
        "change": comparison.delta_pct,
        "low": ends[0] if ends else None,
        "high": ends[1] if ends else None,
        "difference": _scaled(comparison.difference, figure),
        "verdict": comparison.verdict,
    }
    return values[quantity]


def _scaled(value: float | None, figure: ClaimedFigure) -> float | None:
    return None if value is None else value / figure.scale


def _alike(
    quantity: Quantity, value: float, text: str, row: Row, figure: ClaimedFigure
) -> bool:
    """Whether a number that was measured again is the claimed one, for another run of it."""
    printed = spelling.parse(text)[0]
    if quantity == "change":
        return abs(value - printed) <= figure.give
    slack = row.metric.slack / figure.scale
    return abs(value - printed) <= max(slack, SAME_AGAIN * abs(printed))


def _tests(
    tests: ClaimedTests, directories: tuple[Path, ...], again: bool
) -> tuple[str, bool]:
    """Planned executions only: those that confirm a difference are not counted."""
    mine = [
        one for directory in directories for one in load_verdicts(directory)[0]
        if one.variant == tests.variant and one.attempt == 0
    ]
    count = sum(one.verdict == tests.verdict for one in mine)
    if again:
        good = count == len(mine) > 0
        return f"{tests.variant}: {count} of {len(mine)} {tests.verdict}", good
    text = f"{tests.variant}: {plural(tests.count, 'test')} {tests.verdict}, record {count}"
    return text, count == tests.count


def _changed(claim: Claim, runs: Sequence[Run], records: Records) -> str:
    """What is not as it was when the claim was measured; first of all its kernels' patches."""
    sides = {figure.variant for figure in claim.figures} | {one.variant for one in claim.tests}
    changed = sorted(
        side for side in sides if any(patched.others(side, run, records.project) for run in runs)
    )
    evidence = records.book.evidence[claim.evidence]
    told = f"the patches of {', '.join(changed)} have changed since {evidence.revision}".rstrip()
    lost = evidence.lost if claim.evidence not in records.again else ""
    return "; ".join(filter(None, [told if changed else "", lost, claim.superseded]))
