"""``analyse(runs) -> Analysis``: everything that pages show, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.records.kernels import Kernel
from harness.report.analysis import checks, determinism, findings, layout_words, rows, words
from harness.report.analysis.answer import Sentence, answer
from harness.report.analysis.determinism import Residual
from harness.report.analysis.findings import Line
from harness.report.analysis.pairs import baselines
from harness.report.analysis.rows import Row
from harness.report.analysis.wellbeing import RunHealth, health
from harness.report.data.identity import Column, plural
from harness.report.data.load import load
from harness.report.data.rundata import RunData

NO_CONTROL = "There is no A/A control: nothing shows what this host makes of no change at all."


@dataclass(frozen=True)
class Analysis:
    """What runs say: rows with verdicts, and what of them stands first."""

    data: RunData
    rows: tuple[Row, ...]
    residuals: tuple[Residual, ...]
    """Of boots that were done again to see whether a count repeats."""
    health: RunHealth
    answer: tuple[Sentence, Sentence, Sentence]
    """Memory, cost, stability; what is not known last."""
    findings: tuple[Line, ...]
    """At most seven."""
    noise: tuple[Line, ...]
    """A/A controls and wall clocks under emulation: for the appendix."""
    compared: str
    """Which kernels, with how many patches and boots."""
    measured_under: tuple[str, ...]
    """Accel and host of every figure, with what it cannot say."""
    notes: tuple[str, ...]
    """Of the instrument: no A/A control, what layouts differ by, how well counting repeats."""
    warnings: tuple[str, ...]
    """To be read before everything else."""

    @property
    def columns(self) -> list[Column]:
        """The sides that have any result, without controls."""
        return [
            column for column in self.data.columns
            if not column.control and any(row.boots(column) for row in self.rows)
        ]

    def _named(self, column: Column) -> str:
        """``after``; of a commit ``tip (my-branch)``."""
        kernel = _kernel(self.data, column)
        named = _commit(kernel)[0].split(" ")[0] if kernel and _commit(kernel) else ""
        return f"{column.label} ({named})" if named else column.label

    @property
    def title(self) -> str:
        """What the report is about: ``before and after, debian-6.1, TCG``."""
        names = [self._named(column) for column in self.columns]
        parts = [" and ".join(names[:4]) + (" and more" if len(names) > 4 else "")]
        bases = list(dict.fromkeys(row.place.base for row in self.rows if row.place.base))
        clocks = list(dict.fromkeys(words.short_accel(row.accel) for row in self.rows))
        parts += [" and ".join(bases), " and ".join(clocks)]
        return ", ".join(part for part in parts if part) or "nothing measured"


def analyse(runs: Sequence[Path]) -> Analysis:
    """Read measurements, and runs of suites beside them, and work out what they say.

    Raises :class:`harness.core.errors.UserError` when a directory is no run, or none of them is
    a measurement.
    """
    return analyse_data(load(runs))


def analyse_data(data: RunData) -> Analysis:
    """The same of runs that were read already."""
    residuals = determinism.residuals(data)
    found = rows.build(data, residuals)
    state = health(data)
    places = dict.fromkeys((row.accel, row.place.machine) for row in found)
    warnings = [*_bad_controls(found), *determinism.warnings(residuals), *data.warnings,
                *checks.check(data), *_alone(data, found), *state.others]
    return Analysis(
        data, found, residuals, state, answer(found, state), findings.findings(found),
        findings.noise(found), _compared(data),
        tuple(words.accel_caption(*place) for place in places),
        tuple(filter(None, (
            _no_control(data, found), *layout_words.sentences(found),
            determinism.sentence(residuals),
        ))),
        tuple(warnings),
    )


def _no_control(data: RunData, found: Sequence[Row]) -> str:
    timed = any(row.is_cost and row.accel != "icount" and row.claims for row in found)
    return NO_CONTROL if timed and not any(column.control for column in data.columns) else ""


def _alone(data: RunData, found: Sequence[Row]) -> list[str]:
    """Sides that were measured beside others and stand in no comparison."""
    there = [side for side in data.columns if any(row.boots(side) for row in found)]
    compared = {
        end for row in found for c in row.comparisons.values() for end in (c.variant, c.baseline)
    }
    alone = [side.label for side in there if side not in compared]
    if not alone or len(there) < 2:
        return []
    return [
        f"{words.listed(alone)}: compared with nothing, as no declared comparison pairs "
        f"{'it' if len(alone) == 1 else 'them'} with a variant that was measured on the same base, "
        "accel and host."
    ]


def _bad_controls(found: Sequence[Row]) -> list[str]:
    return [
        f"The A/A control of '{c.baseline.label}' differs from it by {words.change(c)} in "
        f"{words.metric_label(row.metric)}, {row.cell}, although both are one build: trust no "
        "difference of this size."
        for row in found
        for c in row.comparisons.values()
        if c.control and row.is_cost and c.word in ("lower", "higher")
    ]


def _compared(data: RunData) -> str:
    """``before (...) against after (...); reclaim-off (...) against reclaim-on (...)``."""
    texts = {column: _described(data, index) for index, column in enumerate(data.columns)}
    known = baselines((run.plan for run in data.runs), data.columns)
    sides = {
        column: [texts[other] for other in texts if known.get(other) == column]
        for column in texts if column not in known or column in known.values()
    }
    compared = "; ".join(
        " against ".join(filter(None, [" and ".join(others), texts[column]]))
        for column, others in sides.items()
    )
    bases = sorted({str(base) for base in data.samples["base"].unique() if base})
    where = f" {'Base' if len(bases) == 1 else 'Bases'} {', '.join(bases)}." if bases else ""
    return (compared or "nothing was measured") + "." + where


def _kernel(data: RunData, column: Column) -> Kernel | None:
    return next(
        (run.run.kernels[column.variant] for run in data.runs
         if column.variant in run.run.kernels and column.run in ("", run.name)), None,
    )


def _commit(kernel: Kernel) -> list[str]:
    """Of a kernel that is a commit: ``main 5a2562ab2074 'fs/pipe: mark what is written'``."""
    said = kernel.source.details if kernel.source.kind == "commit" else {}
    commit = str(said.get("commit", ""))
    name, subject = str(said.get("name", "")), str(said.get("subject", ""))
    parts = [name if name and not commit.startswith(name) else "", commit[:12]]
    parts += [f"'{subject}'"] if subject else []
    return [" ".join(filter(None, parts))] if any(parts) else []


def _described(data: RunData, index: int) -> str:
    """``after (6.1.192, 12 patches, 2 boots)``; of a commit its name and subject as well."""
    column = data.columns[index]
    mine = data.results[data.results["column"] == index]
    boots = len(mine[["run", "boot"]].drop_duplicates())
    kernel = _kernel(data, column)
    parts = [*_commit(kernel), kernel.release] if kernel else []
    parts += [plural(len(kernel.patches), "patch", "patches")] if kernel and kernel.patches else []
    return f"{column.label} ({', '.join([*parts, plural(boots, 'boot')])})"
