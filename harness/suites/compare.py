"""The difference between two variants, test by test: what the series broke, what it mended.

Only differences that were seen again in every repetition are called regressions or
fixes; a test that contradicts itself is flaky, and one that was skipped or not run on
one side was not compared, which is neither good news nor bad.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.records.verdicts import BAD, Verdict, Word

CONFIRMATIONS = 3
Class = Literal["regression", "crash", "flaky", "incomparable", "fixed", "same"]
CLASSES: tuple[Class, ...] = ("regression", "crash", "flaky", "incomparable", "fixed", "same")
"""From what must be looked at to what need not."""
Key = tuple[str, int]


@dataclass(frozen=True)
class Difference:
    """One test on two variants. ``before`` and ``after``: its verdicts, attempt by attempt."""

    test: str
    seed: int
    kind: Class
    before: tuple[Word, ...]
    after: tuple[Word, ...]
    parts: tuple[str, ...] = ()
    """Sub-tests that pass before and fail after, each time."""
    reason: str = ""
    idents: tuple[str, str] = ("", "")
    """What `harness reproduce` takes for either side."""

    @property
    def confirmed(self) -> bool:
        """Whether enough repetitions stand behind it."""
        return min(len(self.before), len(self.after)) > CONFIRMATIONS


@dataclass
class Side:
    """All verdicts of one test on one variant."""

    verdicts: list[Verdict] = field(default_factory=list)

    @property
    def words(self) -> tuple[Word, ...]:
        """The verdicts' words, in order of the attempts."""
        return tuple(v.verdict for v in sorted(self.verdicts, key=lambda v: v.attempt))

    @property
    def state(self) -> Literal["good", "bad", "mixed", "none"]:
        """What the words agree upon; ``none``: nothing was tried."""
        tried = [word for word in self.words if word not in ("skip", "not run")]
        if not tried:
            return "none"
        bad = sum(word in BAD for word in tried)
        return "good" if not bad else "bad" if bad == len(tried) else "mixed"

    def parts(self, word: Word) -> set[str]:
        """Sub-tests that had this verdict in every attempt."""
        sets = [{p for p, w in v.parts.items() if w == word} for v in self.verdicts]
        return set.intersection(*sets) if sets else set()

    @property
    def reason(self) -> str:
        """Why the last bad attempt was bad."""
        reasons = [v.reason for v in self.verdicts if v.verdict in BAD | {"skip", "not run"}]
        return reasons[-1] if reasons else ""


def compare(verdicts: Iterable[Verdict], before: str, after: str) -> list[Difference]:
    """The differences between two variants, gravest first, then in the order of the run."""
    sides: dict[Key, tuple[Side, Side]] = {}
    for verdict in verdicts:
        if verdict.variant in (before, after):
            pair = sides.setdefault((verdict.test, verdict.seed), (Side(), Side()))
            pair[verdict.variant == after].verdicts.append(verdict)
    found = [_difference(key, old, new) for key, (old, new) in sides.items()]
    return sorted(found, key=lambda d: CLASSES.index(d.kind))


def _difference(key: Key, old: Side, new: Side) -> Difference:
    parts = sorted(old.parts("pass") & new.parts("fail"))
    kind = _classify(old, new, bool(parts))
    reason = new.reason or old.reason
    if kind == "incomparable":
        reason = _why_not(old, new)
    elif parts:
        reason = f"{len(parts)} sub-tests: {parts[0]}"
    idents = tuple(side.verdicts[0].ident if side.verdicts else "" for side in (old, new))
    return Difference(
        *key, kind, old.words, new.words, tuple(parts), reason, (idents[0], idents[1])
    )


def _classify(old: Side, new: Side, parts: bool) -> Class:
    if "crash" in (*old.words, *new.words):
        return "crash"
    states = (old.state, new.state)
    if "mixed" in states:
        return "flaky"
    if "none" in states:
        return "same" if states == ("none", "none") and _agree(old, new) else "incomparable"
    if states == ("good", "bad") or parts:
        return "regression"
    if states == ("bad", "good"):
        return "fixed"
    return "same"


def _agree(old: Side, new: Side) -> bool:
    """Whether two sides on which nothing was tried say so in the same words."""
    return bool(old.words) and set(old.words) == set(new.words) == {"skip"}


def _why_not(old: Side, new: Side) -> str:
    for side, word in ((old, "before"), (new, "after")):
        if side.state == "none":
            return f"{side.words[0] if side.words else 'not run'} {word}: {side.reason}"
    return ""


def to_confirm(verdicts: Sequence[Verdict], before: str, after: str) -> list[Key]:
    """Tests whose difference needs repetitions before it is believed."""
    return [
        (d.test, d.seed) for d in compare(verdicts, before, after)
        if d.kind in ("regression", "crash", "fixed") and d.test not in ("boot", "power-off")
    ]
