"""A night of suites, and what the nights say together: ``night.json`` and ``history.jsonl``."""

from __future__ import annotations

from pydantic import Field

from harness.records.plans import SuitePlan
from harness.records.record import SCHEMA, Name, Record
from harness.records.verdicts import Word

NIGHT_FILE = "night.json"
HISTORY_FILE = "history.jsonl"

class NightPart(Record):
    """One suite of a night."""

    key: Name
    """Its place in the plan and its suite, ``02-races``: the name of its run's directory."""
    plan: SuitePlan
    """As it was when the night began; its tests stand in the run's own plan."""
    code: int | None = None
    """The exit code that its run stands for; None: not done yet."""
    error: str = ""
    """Why it has no verdicts, or not all: no guest, no build, no time."""


class Night(Record):
    """``night.json``: what a night was to do and what is done of it."""

    schema_version: int = SCHEMA
    night: Name
    """Name of its directory: when it began, UTC."""
    started: str
    """UTC, ISO 8601."""
    finished: str = ""
    """Empty: the next call goes on with it."""
    hours: float
    """No part is begun after so many hours of one call."""
    parts: list[NightPart] = Field(default_factory=list)


class NightRow(Record):
    """One suite on one variant in one night on one host: a line of ``history.jsonl``."""

    night: Name
    part: Name
    """Which part of the night: a plan may name a suite twice."""
    suite: Name
    variant: Name
    base: str = ""
    """What the variant is built on; empty in rows of before it was recorded."""
    kernel: str
    """Key of the build."""
    release: str = ""
    """As ``uname -r`` says it; empty in rows of before it was recorded, as are the next two."""
    host: str = ""
    """The host of a fleet, the real computer, or what CPUs the host has."""
    accel: str = ""
    hours: float = 0.0
    """Host hours its tests took."""
    hours_since_crash: float = 0.0
    """Of them, those after the last crash; all of them when there was none."""
    counts: dict[Word, int] = Field(default_factory=dict)
    """Planned tests by their verdict, repetitions not counted."""
    regressions: int = 0
    """Of the variant; with several hosts they are in the first one's row."""
    crashes: int = 0
    hangs: int = 0
    """Guests that did not answer any more, with nothing on the console."""
