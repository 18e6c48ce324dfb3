"""The first three sentences of every output: memory, cost, stability, each with its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.report.analysis import findings, wellbeing, words
from harness.report.analysis.findings import Claim, Tone
from harness.report.analysis.rows import Row
from harness.report.analysis.wellbeing import RunHealth
from harness.report.data.identity import plural

Kind = Literal["memory", "cost", "stability"]
UNKNOWN = "not known"
METHODS = {
    "exact": "exact", "slack": "within its slack", "counted": "instructions counted",
    "paired": "instructions counted", "test": "tested",
}


@dataclass(frozen=True)
class Sentence:
    """One of the three: what is asked, the answer in a few words, and the evidence."""

    kind: Kind
    verdict: str
    text: str
    tone: Tone


def answer(rows: Sequence[Row], state: RunHealth) -> tuple[Sentence, Sentence, Sentence]:
    """What was asked of the kernels, answered as far as the data carries."""
    top = findings.headlines(rows)
    memory = findings.claims(row for row in top if row.is_memory)
    costs = findings.claims(row for row in top if row.is_cost)
    first, second, third = sorted(
        (_said("memory", memory, _no_memory(rows)), _said("cost", costs, _no_cost(rows)),
         _health(state)), key=lambda one: one.verdict == UNKNOWN,
    )
    return first, second, third


def _no_memory(rows: Sequence[Row]) -> str:
    if any(row.is_memory for row in rows):
        return "Memory was measured, and nothing of it was compared."
    return "Nothing was measured that says how much memory is held."


def _no_cost(rows: Sequence[Row]) -> str:
    costs = [row for row in rows if row.is_cost]
    if any(row.claims and not row.trusted for row in costs):
        return (
            "Costs were measured by a wall clock under emulation only, which cannot tell small "
            "differences from noise (see the appendix). Counting instructions can: "
            "`--accel icount`."
        )
    if costs:
        return "Costs were measured, and nothing of them was compared."
    return "Nothing was measured that says what an operation costs."


def _said(kind: Kind, found: Sequence[Claim], nothing: str) -> Sentence:
    if not found:
        return Sentence(kind, UNKNOWN, nothing, "open")
    pairs: dict[str, list[Claim]] = {}
    for row, comparison in found:
        pairs.setdefault(findings.pair(comparison), []).append((row, comparison))
    texts = [_pair(claims, len(pairs) > 1) for claims in pairs.values()]
    first = next(iter(pairs.values()))
    return Sentence(kind, _verdict(first), " ".join(texts), _tone(first))


def _verdict(found: Sequence[Claim]) -> str:
    kinds = {comparison.word for _, comparison in found}
    if len(kinds) == 1:
        word = next(iter(kinds))
        return found[0][1].verdict.partition(" (")[0] if len(found) == 1 else word
    return findings.tally(found)


def _tone(found: Sequence[Claim]) -> Tone:
    """The gravest: one cell that got worse is not outweighed by others that did not."""
    tones = {findings.tone(row, comparison) for row, comparison in found}
    order: tuple[Tone, ...] = ("bad", "open", "good", "even")
    return next(one for one in order if one in tones)


def _pair(found: Sequence[Claim], several_pairs: bool) -> str:
    first = found[0][1]
    head = f"{findings.pair(first)}: " if several_pairs else ""
    if len(found) == 1:
        return (head + _alone(found[0]) if head else words.capital(_alone(found[0]))) + "."
    differ, others = findings.apart(found)
    if differ:
        named = "; ".join(f"{row.cell} {_change((row, one))}" for row, one in differ)
        return (
            f"{head}{len(differ)} of {plural(len(found), 'cell')} "
            f"{'differs' if len(differ) == 1 else 'differ'}: {named}."
            + (f" Of the others {findings.tally(others)}." if several_pairs else "")
        )
    ends = findings.ends(found)
    text = f"{head}{plural(len(found), 'cell')}: {findings.tally(found)}"
    if ends is not None:
        low, high = ends
        parts = [_end(low), _end(high)] if low is not high else [_end(low)]
        text += f"; from {' to '.join(parts)}"
    return text + "."


def _alone(claim: Claim) -> str:
    """One cell in full."""
    row, comparison = claim
    baseline, variant = comparison.baseline, comparison.variant
    what = f"{words.metric_label(row.metric)}, {row.cell}"
    text = (
        f"{what}: {words.number(row.median(variant))} {row.unit} with {variant.label} against "
        f"{words.number(row.median(baseline))} with {baseline.label}, {_change(claim)}"
    )
    boots = {len(row.boots(side)) for side in (baseline, variant)}
    return f"{text} ({METHODS[comparison.method]}, {plural(min(boots), 'boot')} of each)"


def _end(claim: Claim) -> str:
    """One end of what several cells changed by."""
    row, _ = claim
    return f"{_change(claim)} ({row.cell})"


def _change(claim: Claim) -> str:
    row, comparison = claim
    parts = [words.change(comparison)]
    span = words.interval(comparison)
    parts[0] += f" [{span}]" if span and span != parts[0] else ""
    if row.is_memory:
        sides = (row.median(comparison.baseline), row.median(comparison.variant))
        parts += [words.factor(*sides)]
    else:
        parts += [words.difference(comparison, row.unit)]
    return ", ".join(filter(None, parts))


def _health(state: RunHealth) -> Sentence:
    text = words.capital(wellbeing.sentence(state))
    if state.crashes or state.worse or state.troubled:
        parts = [plural(state.crashes, "crash", "crashes")] if state.crashes else []
        parts += [f"{plural(state.worse, 'test')} worse"] if state.worse else []
        parts += [f"{plural(state.troubled, 'test')} failed"] if state.troubled else []
        return Sentence("stability", ", ".join(parts), text, "bad")
    if not state.known:
        return Sentence("stability", UNKNOWN, text, "open")
    return Sentence("stability", "nothing found", text, "even")
