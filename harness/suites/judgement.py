"""How a test ended, and what its suite's conventions say about that."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from harness.records.verdicts import Said, Word

SKIP_CODE = 77  # automake's, and the race suite's


@dataclass(frozen=True)
class Outcome:
    """How a command ended. ``text``: both streams as they came, the last 256 KiB of it."""

    code: int
    text: str

    @property
    def last_words(self) -> str:
        """The last line that says something."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1][:200] if lines else ""


@dataclass(frozen=True)
class Judgement:
    """What a suite's own conventions say about an ended test."""

    word: Word
    reason: str = ""
    output: dict[str, Said] = field(default_factory=dict)
    parts: dict[str, Word] = field(default_factory=dict)


def judge(outcome: Outcome) -> Judgement:
    """The verdict of the harness's own programs: exit code, and a JSON line with a reason."""
    output = last_json(outcome.text)
    reason = str(output.get("reason") or output.get("verdict") or "") or outcome.last_words
    if outcome.code == 0:
        return Judgement("pass", "", output)
    if outcome.code == SKIP_CODE:
        return Judgement("skip", reason, output)
    return Judgement("fail", reason or f"exit code {outcome.code}", output)


def last_json(text: str) -> dict[str, Said]:
    """The last line of output that is a JSON object, without what nests in it; empty for none."""
    for line in reversed(text.splitlines()):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return {str(key): said for key, said in value.items() if _flat(said)}
    return {}


def _flat(value: object) -> bool:
    """Whether it is a scalar or a list of scalars."""
    scalar = (bool, int, float, str)
    if isinstance(value, list):
        return all(isinstance(one, scalar) for one in value)
    return value is None or isinstance(value, scalar)
