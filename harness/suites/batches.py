"""Tests in batches, each for one guest after the other of one host: what a fleet is handed.

A batch is done as a whole or not at all: what a worker that died had done of it is done again
elsewhere. So batches are small enough that little is lost by it, and large enough that a boot is
worth its while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from harness.kernel.build.builds import Build
from harness.records.plans import PlannedTest, SuitePlan
from harness.records.store import RunWriter
from harness.records.verdicts import Verdict
from harness.suites.workbench import Workbench

SHARES = 3
"""Batches for each guest at a time: when one of them is lost or long, others fill the gap."""
MOST = 40
"""Tests of one batch."""


@dataclass(frozen=True)
class TestRound:
    """Tests that are to be executed once on a variant."""

    __test__ = False  # pytest must not collect it

    variant: str
    tests: tuple[PlannedTest, ...]
    attempt: int = 0


@dataclass(frozen=True)
class TestBatch:
    """A part of a round, for one worker."""

    __test__ = False

    ident: str
    """Names it on the scheduler."""
    variant: str
    tests: tuple[PlannedTest, ...]
    attempt: int
    first_boot: int
    """Number of its first boot; no other batch of the run has numbers from here on up to as many
    as it can need."""


def cut(
    run: str, rounds: Sequence[TestRound], guests: int, taken: Mapping[str, int]
) -> list[TestBatch]:
    """The batches of some rounds, in their order, for so many guests at a time.

    ``taken``: variant to the first number of a boot that is free.
    """
    total = sum(len(one.tests) for one in rounds)
    size = max(1, min(MOST, -(-total // (guests * SHARES))))
    free = dict(taken)
    found = []
    for one in rounds:
        for at in range(0, len(one.tests), size):
            tests = one.tests[at:at + size]
            first = free.get(one.variant, 0)
            ident = f"{run}-{one.variant}-{one.attempt}-{first}"
            found.append(TestBatch(ident, one.variant, tests, one.attempt, first))
            free[one.variant] = first + most_boots(len(tests))
    return found


def most_boots(tests: int) -> int:
    """How many boots a batch can need: one for each test that harms its guest, and before each one
    that did not come up."""
    return 2 * tests + 2


@dataclass(frozen=True)
class PreparedSuite:
    """A run of a suite whose kernels and disks are made."""

    lab: Workbench
    plan: SuitePlan
    builds: Mapping[str, Build]
    """By variant."""
    disks: Sequence[Path]
    writer: RunWriter


class Spread(Protocol):
    """Executes batches somewhere else, many at a time."""

    @property
    def guests(self) -> int:
        """At a time."""
        ...

    def run(self, batches: Sequence[TestBatch], take: Callable[[Verdict], None]) -> None:
        """All of them. ``take`` is given each verdict once, its logs being in the run's directory
        and its boots in the record.

        Raises what a batch that fails everywhere raises.
        """
        ...


Spreading: TypeAlias = Callable[[PreparedSuite], AbstractContextManager[Spread]]
"""Begins what executes the batches of a run."""
