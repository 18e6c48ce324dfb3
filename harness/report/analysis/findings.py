"""What was found, one line a cell, or one for several cells where they are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.report.analysis import words
from harness.report.analysis.rows import Row
from harness.report.analysis.verdict import Comparison
from harness.report.data.identity import plural

Claim = tuple[Row, Comparison]
Tone = Literal["good", "bad", "even", "open"]
"""What a reader should think of it: ``even`` is no difference, ``open`` that nothing is known."""
MOST_APART = 3  # cells of many that differ and are named each
MOST_LINES = 7  # before the first scroll
MOST_CELLS = 3  # of one workload and metric that get a line each; more share one


@dataclass(frozen=True)
class Line:
    """One finding: of a cell, or of several cells together."""

    kind: str
    """``memory``, ``cost``, ``A/A control``, ``wall clock``."""
    clock: str
    """How it was measured: ``TCG``."""
    cell: str
    metric: str
    sides: str
    """Both medians with the unit: ``102,632 to 234 kB``; empty of several cells."""
    pair: str
    """``after against before``."""
    change: str
    detail: str
    """Interval and difference, or of several cells which they are."""
    verdict: str
    tone: Tone


def tone(row: Row, comparison: Comparison) -> Tone:
    """Whether a verdict is what one hopes for."""
    if comparison.word == "same":
        return "even"
    if comparison.word not in ("lower", "higher") or row.metric.better == "neither":
        return "open"
    less = comparison.word == "lower"
    return "good" if less == (row.metric.better == "less") else "bad"


def claims(rows: Iterable[Row]) -> list[Claim]:
    """Each row with each of its comparisons that is not with a control."""
    return [(row, c) for row in rows for c in row.claims.values()]


def best_clock(rows: Sequence[Row]) -> list[Row]:
    """Costs on the clock that can tell best, and everything that is no cost."""
    clocks = {row.accel for row in rows if row.is_cost and row.trusted and row.claims}
    best = next((clock for clock in words.CLOCKS if clock in clocks), "")
    return [row for row in rows if not row.is_cost or row.accel == best]


def exact_once(rows: Sequence[Row]) -> list[Row]:
    """Memory is read on whatever clock was there first: no cell twice."""
    seen: set[tuple[object, ...]] = set()
    found = []
    for row in rows:
        key = (row.workload, row.cell, row.metric.name, row.place.base, row.place.machine)
        if not row.is_memory or key not in seen:
            found.append(row)
        seen.add(key)
    return found


def headlines(rows: Sequence[Row]) -> list[Row]:
    """What may stand at the top: memory first, then costs on the clock that can tell."""
    known = [row for row in exact_once(best_clock(rows)) if row.headline and row.claims]
    return sorted(known, key=lambda row: not row.is_memory)


def findings(rows: Sequence[Row]) -> tuple[Line, ...]:
    """The findings of a report, few enough to be seen at once."""
    top = headlines(rows)
    for most, by in ((MOST_CELLS, "metric"), (1, "metric"), (1, "workload"), (1, "kind")):
        found = _lines(claims(top), most, by)
        if len(found) <= MOST_LINES:
            break
    return tuple(found[:MOST_LINES])


def noise(rows: Sequence[Row]) -> tuple[Line, ...]:
    """What a wall clock says that cannot tell, and what controls differ by: for the appendix."""
    controls = [
        (row, c) for row in rows if row.is_cost for c in row.comparisons.values() if c.control
    ]
    untrusted = [(row, c) for row, c in claims(rows) if row.is_cost and not row.trusted]
    return (
        *_lines(controls, 1, "metric", "A/A control"),
        *_lines(untrusted, 1, "metric", "wall clock"),
    )


def _lines(found: Sequence[Claim], most: int, by: str, kind: str = "") -> list[Line]:
    groups: dict[tuple[object, ...], list[Claim]] = {}
    for row, claim in found:
        cells: tuple[object, ...] = {
            "metric": (row.workload, row.metric.name), "workload": (row.workload,), "kind": (),
        }[by]
        key = (row.metric.kind, row.place, claim.baseline, claim.variant, *cells)
        groups.setdefault(key, []).append((row, claim))
    lines: list[Line] = []
    for group in groups.values():
        what = kind or group[0][0].metric.kind
        if len(group) <= most:
            lines += [_alone(what, one) for one in group]
            continue
        found, others = apart(group)
        lines += [_alone(what, one) for one in found]
        lines.append(_together(what, others))
    return lines


def apart(found: Sequence[Claim]) -> tuple[list[Claim], list[Claim]]:
    """The few that differ, the greatest first, and the others; none where most of them do."""
    differ = [one for one in found if one[1].word in ("lower", "higher")]
    if not differ or len(differ) > MOST_APART or 2 * len(differ) > len(found):
        return [], list(found)
    differ.sort(key=lambda one: -abs(one[1].delta_pct or 0.0))
    return differ, [one for one in found if one not in differ]


def pair(comparison: Comparison) -> str:
    """``after against before``."""
    return f"{comparison.variant.label} against {comparison.baseline.label}"


def sides(row: Row, comparison: Comparison) -> str:
    """``102,632 to 234 kB``."""
    ends = [words.number(row.median(side)) for side in (comparison.baseline, comparison.variant)]
    return f"{ends[0]} to {ends[1]} {row.unit}"


def _alone(kind: str, claim: Claim) -> Line:
    row, comparison = claim
    times = [words.factor(row.median(comparison.baseline), row.median(comparison.variant))]
    detail = [words.interval(comparison)]
    detail += times if row.is_memory else [words.difference(comparison, row.unit)]
    return Line(
        kind, words.short_accel(row.accel), row.cell, words.metric_label(row.metric),
        sides(row, comparison), pair(comparison),
        words.change(comparison), ", ".join(filter(None, detail)), comparison.verdict,
        tone(row, comparison),
    )


def tally(found: Sequence[Claim]) -> str:
    """``6 higher, 3 same``."""
    counts = Counter(comparison.word or "not compared" for _, comparison in found)
    return ", ".join(f"{count} {word}" for word, count in counts.most_common())


def ends(found: Sequence[Claim]) -> tuple[Claim, Claim] | None:
    """The claims of the least and of the greatest change; None when none has one."""
    known = [one for one in found if one[1].delta_pct is not None]
    if not known:
        return None
    ordered = sorted(known, key=lambda one: one[1].delta_pct or 0.0)
    return ordered[0], ordered[-1]


def _together(kind: str, found: Sequence[Claim]) -> Line:
    """``micro, 9 cells``: the verdicts counted, the least and the greatest change."""
    workloads = list(dict.fromkeys(row.workload for row, _ in found))
    labels = list(dict.fromkeys(words.metric_label(row.metric) for row, _ in found))
    cell = workloads[0] if len(workloads) == 1 else plural(len(workloads), "workload")
    metric = labels[0] if len(labels) == 1 else plural(len(labels), "metric")
    tones = {tone(row, comparison) for row, comparison in found}
    both = ends(found)
    change = detail = ""
    if both is not None:
        texts = [words.change(comparison) for _, comparison in both]
        change = texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"
        detail = "; ".join(dict.fromkeys(row.cell for row, _ in both))
    return Line(
        kind, words.short_accel(found[0][0].accel), f"{cell}, {plural(len(found), 'cell')}",
        metric, "", pair(found[0][1]), change,
        detail, tally(found), next(iter(tones)) if len(tones) == 1 else "open",
    )
