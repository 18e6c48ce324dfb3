"""The history of nightly runs: hours without a crash, what found bugs, what the trend is."""

from __future__ import annotations

import contextlib
import html
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from harness.core.workspace import write_atomic
from harness.records.old_verdicts import BAD, Verdict
from harness.suites.suite_page import page, table

HISTORY_FILE = "history.jsonl"
PAGE_FILE = "index.html"
GREEN, ORANGE, RED = "#4d9221", "#e08214", "#b2182b"
LEGEND = (
    "<p>A bar is a night, as high as its hours. Green: everything passed or was skipped; orange: "
    "something failed or was not run, and nothing of it is a regression; red: a crash or a "
    "regression.</p>"
)


class Row(BaseModel):
    """One suite on one variant in one night."""

    night: str
    part: str = ""
    """Which entry of the night's plan: a plan may name a suite twice."""
    suite: str
    variant: str
    kernel: str = ""
    """Key of the build."""
    hours: float = 0.0
    """Host hours its tests took."""
    hours_since_crash: float = 0.0
    """Of them, those after the last crash; all of them when there was none."""
    counts: dict[str, int] = Field(default_factory=dict)
    regressions: int = 0
    crashes: int = 0


def rows_of(
    night: str, part: str, verdicts: Sequence[Verdict], kernels: dict[str, str],
    regressions: dict[str, int],
) -> list[Row]:
    """The rows of one suite's run; ``kernels`` and ``regressions`` by variant."""
    rows = []
    for variant in dict.fromkeys(v.variant for v in verdicts):
        mine = [v for v in verdicts if v.variant == variant]
        crashes = [at for at, v in enumerate(mine) if v.verdict == "crash"]
        after = mine[crashes[-1] + 1:] if crashes else mine
        rows.append(Row(
            night=night, part=part, suite=mine[0].suite, variant=variant,
            kernel=kernels.get(variant, ""), hours=_hours(mine), hours_since_crash=_hours(after),
            counts=dict(Counter(v.verdict for v in mine if v.attempt == 0)),
            regressions=regressions.get(variant, 0), crashes=len(crashes),
        ))
    return rows


def _hours(verdicts: Iterable[Verdict]) -> float:
    return round(sum(v.seconds for v in verdicts) / 3600, 4)


def load(directory: Path) -> list[Row]:
    """All rows, oldest first; a torn line is left out, and of a repeated row the last counts."""
    path = directory / HISTORY_FILE
    rows: dict[tuple[str, ...], Row] = {}
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        with contextlib.suppress(ValidationError):
            row = Row.model_validate_json(line)
            rows[row.night, row.part, row.suite, row.variant] = row
    return list(rows.values())


def append(directory: Path, rows: Iterable[Row]) -> None:
    """Add rows; on disk before the call returns."""
    path = directory / HISTORY_FILE
    torn = path.exists() and not path.read_bytes().endswith(b"\n")
    with path.open("a") as stream:
        stream.write("\n" if torn else "")
        stream.writelines(row.model_dump_json() + "\n" for row in rows)
        stream.flush()
        os.fsync(stream.fileno())


@dataclass
class Record:
    """What the history says of one suite on one variant."""

    hours: float = 0.0
    clean_hours: float = 0.0
    """Since the last crash, over all nights."""
    crashes: int = 0
    regressions: int = 0
    rows: list[Row] = field(default_factory=list)


def summarize(rows: Iterable[Row]) -> dict[tuple[str, str], Record]:
    """Per suite and variant."""
    found: dict[tuple[str, str], Record] = {}
    for row in rows:
        record = found.setdefault((row.suite, row.variant), Record())
        record.hours += row.hours
        record.clean_hours = row.hours_since_crash + (0 if row.crashes else record.clean_hours)
        record.crashes += row.crashes
        record.regressions += row.regressions
        record.rows.append(row)
    return found


def yields(rows: Iterable[Row]) -> dict[str, float]:
    """Per suite: how much it has found, later nights counting more; for the order of the next."""
    found: dict[str, float] = {}
    ordered = list(rows)
    nights = sorted({row.night for row in ordered})
    for row in ordered:
        weight = 0.8 ** (len(nights) - 1 - nights.index(row.night))
        news = row.regressions + row.crashes
        found[row.suite] = found.get(row.suite, 0.0) + weight * news
    return found


def write_page(directory: Path, rows: Sequence[Row]) -> Path:
    """The trend page: hours without a crash, and every night's verdicts, newest first."""
    body = [_totals(summarize(rows)), LEGEND, "<h2>Nights</h2>"]
    for night in sorted({row.night for row in rows}, reverse=True):
        body.append(f'<h3 id="{html.escape(night)}">{html.escape(night)}</h3>')
        body.append(_night([row for row in rows if row.night == night]))
    path = directory / PAGE_FILE
    write_atomic(path, page("Nightly stability", "\n".join(body)))
    return path


def _totals(records: dict[tuple[str, str], Record]) -> str:
    lines = [
        (html.escape(suite), html.escape(variant), f"{r.clean_hours:.2f}", f"{r.hours:.2f}",
         str(r.crashes), str(r.regressions), _trend(r.rows))
        for (suite, variant), r in sorted(records.items())
    ]
    head = ("suite", "variant", "hours without a crash", "hours in all", "crashes", "regressions",
            "nights, oldest first")
    return table(head, lines)


def _trend(rows: Sequence[Row]) -> str:
    """A bar a night: as high as its hours, red where something crashed or regressed."""
    nights = [
        [row for row in rows if row.night == night] for night in sorted({row.night for row in rows})
    ]
    hours = [sum(row.hours for row in night) for night in nights]
    top = max(hours, default=0) or 1
    bars = "".join(
        f'<rect x="{7 * at}" y="{30 - 28 * tall / top:.1f}" width="5" '
        f'height="{28 * tall / top:.1f}" fill="{_colour(night)}">'
        f"<title>{html.escape(night[0].night)}: {tall:.2f} h, "
        f"{sum(row.crashes for row in night)} crashes, "
        f"{sum(row.regressions for row in night)} regressions</title></rect>"
        for at, (night, tall) in enumerate(zip(nights, hours, strict=True))
    )
    return f'<svg width="{7 * len(nights)}" height="30" role="img">{bars}</svg>'


def _colour(night: Sequence[Row]) -> str:
    if any(row.crashes or row.regressions for row in night):
        return RED
    words = {word for row in night for word in row.counts}
    return ORANGE if words & (BAD | {"not run"}) else GREEN


def _night(rows: Sequence[Row]) -> str:
    head = ("suite", "variant", "kernel", "hours", "verdicts", "regressions")
    return table(head, [
        (html.escape(row.suite), html.escape(row.variant), row.kernel, f"{row.hours:.2f}",
         ", ".join(f"{n} {word}" for word, n in row.counts.items()), str(row.regressions))
        for row in rows
    ])
