"""The history of nights: hours without a crash, and what found bugs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from harness.core import jsonl
from harness.records.night import HISTORY_FILE, NightRow
from harness.records.runs import Run
from harness.records.verdicts import Verdict
from harness.suites.nightstats import Place

FADING = 0.8  # what a find of the night before weighs against one of last night


def rows_of(
    night: str, part: str, run: Run, found: Mapping[Place, Sequence[Verdict]],
    regressions: Mapping[str, int],
) -> list[NightRow]:
    """The rows of one suite's run, one for each variant and host; ``regressions`` by variant.

    ``found``: the run's verdicts, see :func:`harness.suites.nightstats.by_host`.
    """
    rows: list[NightRow] = []
    for (variant, host, accel), mine in found.items():
        kernel = run.kernels.get(variant)
        first = not any(row.variant == variant for row in rows)
        crashes = [at for at, v in enumerate(mine) if v.verdict == "crash"]
        after = mine[crashes[-1] + 1:] if crashes else mine
        rows.append(NightRow(
            night=night, part=part, suite=mine[0].suite, variant=variant,
            base=kernel.base if kernel else run.plan.base,
            kernel=kernel.key if kernel else "", release=kernel.release if kernel else "",
            host=host, accel=accel, hours=_hours(mine), hours_since_crash=_hours(after),
            counts=dict(Counter(v.verdict for v in mine if v.attempt == 0)),
            regressions=regressions.get(variant, 0) if first else 0, crashes=len(crashes),
            hangs=sum(v.verdict == "hang" for v in mine),
        ))
    return rows


def _hours(verdicts: Iterable[Verdict]) -> float:
    return round(sum(v.seconds for v in verdicts) / 3600, 4)


def load_history(root: Path) -> list[NightRow]:
    """All rows, oldest first; a torn line is left out, and of a repeated row the last counts."""
    rows: dict[tuple[str, ...], NightRow] = {}
    for value in jsonl.read(root / HISTORY_FILE):
        try:
            row = NightRow.model_validate(value)
        except ValidationError:
            continue
        rows[row.night, row.part, row.suite, row.variant, row.host] = row
    return list(rows.values())


def append_history(root: Path, rows: Iterable[NightRow]) -> None:
    """Add rows; on disk before the call returns."""
    jsonl.append(root / HISTORY_FILE, (row.model_dump_json() for row in rows))


@dataclass
class NightTotals:
    """What the history says of one suite on one variant of one base."""

    hours: float = 0.0
    clean_hours: float = 0.0
    """Since the last crash, over all nights."""
    crashes: int = 0
    regressions: int = 0
    rows: list[NightRow] = field(default_factory=list)


def summarize_nights(rows: Iterable[NightRow]) -> dict[tuple[str, str, str], NightTotals]:
    """Per suite, variant and base."""
    found: dict[tuple[str, str, str], NightTotals] = {}
    for row in rows:
        total = found.setdefault((row.suite, row.variant, row.base), NightTotals())
        total.hours += row.hours
        total.clean_hours = row.hours_since_crash + (0 if row.crashes else total.clean_hours)
        total.crashes += row.crashes
        total.regressions += row.regressions
        total.rows.append(row)
    return found


def yields(rows: Iterable[NightRow]) -> dict[tuple[str, str], float]:
    """Per suite and base: how much was found, later nights counting more; it orders the next."""
    found: dict[tuple[str, str], float] = {}
    ordered = list(rows)
    nights = sorted({row.night for row in ordered})
    for row in ordered:
        weight = FADING ** (len(nights) - 1 - nights.index(row.night))
        key = (row.suite, row.base)
        found[key] = found.get(key, 0.0) + weight * (row.regressions + row.crashes)
    return found
