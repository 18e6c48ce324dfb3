"""Judged claims for people: a line each, and for what does not hold the reason."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from harness.claims.judged import WORDS, ClaimVerdict, ClaimWord
from harness.core.plurals import plural

WIDTH = 100


def text(
    judged: Sequence[ClaimVerdict], faults: Sequence[str], *, whole: bool = False,
    sums: bool = True,
) -> str:
    """The claims by page, then how many there are of each word, unless no ``sums`` are wanted.

    ``faults``: of the pages themselves, each in words. ``whole`` adds what shows each claim, and
    every figure that was compared.
    """
    lines: list[str] = []
    for where in dict.fromkeys(one.where for one in judged):
        lines += [where, *(
            line for one in judged if one.where == where for line in _claim(one, whole)
        ), ""]
    lines += [f"broken: {fault}" for fault in faults]
    if not sums:
        return "\n".join(lines).rstrip("\n")
    counts = Counter(one.word for one in judged)
    lines.append(f"{plural(len(judged), 'claim')}:")
    lines += [_count(word, counts[word]) for word in WORDS if counts[word]]
    if faults:
        lines.append(f"{plural(len(faults), 'fault')} of the pages")
    return "\n".join(lines)


def _count(word: ClaimWord, count: int) -> str:
    return f"  {count:3} {word}: {WORDS[word]}"


def _claim(one: ClaimVerdict, whole: bool) -> list[str]:
    says = one.says if whole else textwrap.shorten(one.says, WIDTH - 42, placeholder=" ...")
    lines = [f"  {one.word:10}  {one.name:26}  {says}"]
    for part in filter(None, (one.why, one.note)):
        lines += textwrap.wrap(part, WIDTH, initial_indent=" " * 14, subsequent_indent=" " * 14)
    if whole:
        shown = (*one.runs, one.date, one.revision, one.accel, one.machine)
        lines += [f"              {part}" for part in (one.command, *one.found) if part]
        lines.append("              " + ", ".join(part for part in shown if part))
    return lines
