"""Limits on functions and groups: ``handle_mm_fault <= +0``, ``group:rcu <= 5``, ``total <= 1%``.

A guard is about the difference of one function (its own instructions, not those of what it
calls), one group or the whole, per operation, in every cell of a comparison or in those of one
workload (``micro: total <= 1%``). It is broken when even the least difference of a history is
above the limit, by more than :data:`RESOLUTION`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.errors import UserError
from harness.report.profiles.difference import Change, ProfileDifference

RESOLUTION = 0.1
"""Instructions per operation that two boots of one kernel and history may differ by."""

_GUARD = re.compile(
    r"^\s*(?:(?P<workload>[\w.+-]+)\s*:\s+)?(?P<name>(?:group:)?[\w.\[\] ()-]+?)\s*<=\s*"
    r"(?P<limit>[+-]?\d+(?:\.\d+)?)\s*(?P<percent>%?)\s*$"
)


@dataclass(frozen=True)
class Guard:
    """One limit."""

    text: str
    name: str
    """A function, ``group:NAME`` or ``total``."""
    limit: float
    percent: bool = False
    workload: str = ""

    def allows(self, change: Change) -> float:
        """The limit in instructions per operation."""
        return change.before * self.limit / 100 if self.percent else self.limit


@dataclass(frozen=True)
class Breach:
    """A guard that is broken, or that could not be looked at."""

    guard: Guard
    cell: str
    delta: float
    allowed: float
    reason: str = ""

    def line(self) -> str:
        """In one line."""
        if self.reason:
            return f"{self.guard.text}: {self.reason}"
        return (
            f"{self.guard.text}: {self.cell}: {self.delta:+.2f} instructions per operation, "
            f"{self.allowed:+.2f} are allowed"
        )


def parse(text: str) -> Guard:
    """Read a guard; raises :class:`UserError` for what is none."""
    found = _GUARD.match(text)
    if not found:
        raise UserError(
            f"--guard '{text}' is no limit",
            hint="write 'FUNCTION <= +N', 'group:NAME <= N' or 'total <= N%', with N instructions "
                 "per operation; before it, if you like, 'WORKLOAD: '",
        )
    return Guard(
        text.strip(), found["name"].strip(), float(found["limit"]), bool(found["percent"]),
        found["workload"] or "",
    )


def check(guards: Sequence[Guard], differences: Iterable[ProfileDifference]) -> list[Breach]:
    """The guards that are broken. One that fits nothing is broken, too: it watches nothing."""
    differences = list(differences)
    broken = []
    for guard in guards:
        cells = [one for one in differences if guard.workload in ("", one.workload)]
        found = [(one, change) for one in cells if (change := one.find(guard.name)) is not None]
        if not found:
            broken.append(Breach(
                guard, "", 0.0, 0.0,
                "no such workload in the comparison" if not cells else
                f"no {guard.name} ran in any cell of the comparison",
            ))
        for one, change in found:
            allowed = guard.allows(change)
            if change.low > allowed + RESOLUTION:
                broken.append(Breach(guard, one.title, change.delta, allowed))
    return broken
