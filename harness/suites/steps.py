"""A failing test that is a sequence of steps, and the search for the shortest that still fails.

The search is delta debugging: parts of the sequence are left out, big ones first, and what still
fails is gone on with, until no single step can be missed.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Steps:
    """A sequence of steps, numbered from 1, that a test played and that failed."""

    count: int
    """How many there are; the last of them is the one that failed, where that is known."""
    play: str
    """The command that plays them in a guest, without the words of ``keep``."""
    emit: tuple[str, ...]
    """The words, behind the program's path, that make the program print them as a C program."""
    program: str
    """The program's name among those of the guest."""

    def keep(self, kept: Sequence[int]) -> str:
        """The command that plays only these steps."""
        return f"{self.play} --keep {ranges(kept)}"

    def emit_words(self, kept: Sequence[int]) -> list[str]:
        """The words that print only these steps as a C program."""
        return [*self.emit, "--keep", ranges(kept)]


def ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers in few words: ``1-5,9``."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def shorten(steps: Sequence[int]) -> Generator[list[int], int | None, list[int]]:
    """The shortest part of ``steps`` that fails and that loses that with any single step.

    Yields parts to try, the whole first. It is to be sent the step at which one failed (those
    behind it are cut off), or None when it passed. Returns an empty list when the whole passed.
    """
    failed = yield list(steps)
    if failed is None:
        return []
    current = _until(steps, failed)
    size = max(1, len(current) // 2)
    while True:
        shorter = False
        at = max(0, len(current) - size)  # from the end: what is cut there tells nothing new
        while True:
            part = current[:at] + current[at + size:]
            failed = (yield part) if part else None
            if failed is not None:
                current, shorter = _until(part, failed), True
                at = min(at, len(current))
            if at == 0:
                break
            at = max(0, at - size)
        if size == 1 and not shorter:
            return current
        size = max(1, min(size if shorter else size // 2, len(current) // 2))


def _until(steps: Sequence[int], last: int) -> list[int]:
    return [step for step in steps if step <= last]
