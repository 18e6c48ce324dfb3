"""What events cost on one CPU, as found on a host: an estimate of cycles is made of it."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from harness.records.record import FrozenRecord


class CacheSize(FrozenRecord):
    """One cache: lines of 64 bytes, the least recently used of a set goes first."""

    bytes: int = Field(ge=64)
    ways: int = Field(ge=1, le=64)


class CacheSizes(FrozenRecord):
    """The caches that are modelled: those of one CPU, which all virtual CPUs share."""

    l1d: CacheSize
    l1i: CacheSize
    l2: CacheSize


class MissCounts(FrozenRecord):
    """What the model found, per window."""

    l1d_misses: float = 0.0
    """Lines of data that were not in L1d; without those that string instructions touch."""
    l1i_misses: float = 0.0
    """Lines of code that were not in L1i."""
    l2_misses: float = 0.0
    """Of both those that were not in L2 either."""
    string_lines: float = 0.0
    """Lines that string instructions touched and that were not in L2."""
    mispredicted: float = 0.0
    """Conditional branches that a gshare predictor guessed wrongly."""


class EventCosts(FrozenRecord):
    """Cycles of one event; they add up."""

    instruction: float
    """Any that is neither locked nor a repeated string instruction."""
    call: float
    """Beside the instruction."""
    mispredicted: float
    locked: float
    string: float
    """A repeated string instruction, beside what it moves."""
    string_byte: float
    string_line: float
    """Beside its bytes, a line of a string that was not in L2."""
    l1d_miss: float
    l1i_miss: float
    l2_miss: float
    """Beside that of L1."""


class ProgramCheck(FrozenRecord):
    """One program of guest/calibrate.c, measured and estimated."""

    name: str
    program: bool
    """Of the shape of real code; else one event again and again."""
    measured: float
    """Cycles of a round on the host: the median over runs of the quickest round."""
    estimated: float
    """Of real code by costs that were found without it; of others by those of all."""

    @property
    def error(self) -> float:
        """Relative error of the estimate."""
        return self.estimated / self.measured - 1.0


class Calibration(FrozenRecord):
    """``state/cycles.json`` of a workspace: `harness calibrate`."""

    when: datetime
    cpu: str
    """Model name of the host's CPU."""
    cycle_ns: float
    """Nanoseconds of one addition that waits for the one before."""
    caches: CacheSizes
    costs: EventCosts
    checks: list[ProgramCheck]

    @property
    def errors(self) -> list[float]:
        """Sizes of the relative errors of real programs, ascending."""
        return sorted(abs(one.error) for one in self.checks if one.program)
