"""What a machine's console announced."""

from __future__ import annotations

from pydantic import Field

from harness.records.record import FrozenRecord, Params


class Event(FrozenRecord):
    """One trouble of a kernel, from its announcement to the end of what belongs to it."""

    kind: str
    """panic, oops, kasan, lockdep, hung-task ...: see harness/machine/oops.py."""
    title: str
    """The line that announced it, without its time stamp."""
    text: str
    """All of it."""
    fatal: bool = False
    """Nothing measured after it can be believed."""


class Crash(FrozenRecord):
    """A guest's death, and what it was doing."""

    kind: str
    text: str
    workload: str = ""
    params: Params = Field(default_factory=dict)


class FalseStart(FrozenRecord):
    """A boot that stood still under TCG and was begun again: QEMU's doing, or a kernel's hang."""

    reason: str
    seconds: float
    """From power-on until it was given up."""
    last_line: str = ""
    console: str = ""
    """Its console log, relative to the run's directory."""
