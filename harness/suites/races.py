"""The race suite of guest/races: which there are, and how one is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.image.programs import GUEST_DIR
from harness.machine.guest import Guest
from harness.suites.choose import choose
from harness.suites.suite import TestCase


def find(programs: Path) -> list[str]:
    """The races among the compiled programs."""
    return sorted(path.name for path in programs.glob("race-*") if path.is_file())


def plan(
    programs: Path, *, only: Sequence[str], seed: int, seconds: float, threads: int = 0
) -> list[TestCase]:
    """Rounds over the races until ``seconds`` are filled, each round with seeds of its own.

    A round gives each race a tenth of a minute at least: most races need seconds to meet.
    Raises :class:`UserError` for an unknown race.
    """
    tests = choose([TestCase(name, name, 0.0) for name in find(programs)], only)
    chosen = [test.name for test in tests]
    rounds = max(1, round(seconds / (len(chosen) * 10.0)))
    each = max(2, round(seconds / (len(chosen) * rounds)))
    extra = f" --threads {threads}" if threads else ""
    return [
        TestCase(
            name, f"{GUEST_DIR}/{name} --seed {seed + turn} --seconds {each}{extra}",
            20.0, seed + turn, fixed=8.0 * each + 160.0,
        )
        for turn in range(rounds) for name in chosen
    ]


def push(guest: Guest, programs: Path, names: Sequence[str]) -> None:
    """Copy the races into the guest."""
    for name in names:
        guest.push(programs / name, f"{GUEST_DIR}/{name}")
