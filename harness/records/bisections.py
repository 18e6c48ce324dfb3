"""A search for the commit that moved a number or broke a test, as far as it has come."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.records.record import SCHEMA, Params, Record


class Tried(Record):
    """One commit that was built and looked at."""

    index: int
    """0: the good commit that was given; then the commits after it, oldest first."""
    commit: str
    subject: str = ""
    state: Literal["good", "bad", "skipped"]
    value: float | None = None
    """The metric's value; None where a test decides, and for a commit that was skipped."""
    reason: str = ""
    """Why it was skipped, or how its test ended."""


class Bisection(Record):
    """``bisect.json``: what is searched and what is known of it, for a killed search to go on."""

    schema_version: int = SCHEMA
    tree: str
    commits: list[str]
    """Ids: the good commit, then those after it up to the bad one."""
    subjects: list[str] = Field(default_factory=list)
    workload: str = ""
    params: Params = Field(default_factory=dict)
    metric: str = ""
    unit: str = ""
    accel: str = ""
    fragments: list[str] = Field(default_factory=list)
    """Of the configuration, as ``--config`` named them; none: those of the built-in project."""
    resolution_pct: float = 0.0
    """A commit is bad when its value differs from the good one's by more than this."""
    test: str = ""
    """The test that decides instead of a metric."""
    tried: list[Tried] = Field(default_factory=list)

    def known(self) -> dict[int, Tried]:
        """What was tried, by index."""
        return {one.index: one for one in self.tried}
