"""What ``perf stat -x,`` prints, read without trust."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.errors import InfrastructureError


@dataclass(frozen=True)
class Counter:
    """One event of perf stat.

    ``value`` is the mean over ``--repeat`` runs, ``spread_pct`` their standard error of
    the mean in percent as perf prints it (0 for one run).
    """

    event: str
    value: float
    spread_pct: float


def parse(text: str) -> dict[str, Counter]:
    """The counters in CSV output of perf stat, by event name.

    Raises :class:`InfrastructureError` for an event that was not counted: such a
    thing must never be read as zero.
    """
    counters = {}
    for line in text.splitlines():
        fields = line.split(",")
        if line.startswith("#") or len(fields) < 3 or not fields[2]:
            continue
        raw, event = fields[0], fields[2]
        if raw.startswith("<"):
            raise InfrastructureError(f"perf stat: {event} is {raw} in this guest")
        try:
            value = float(raw)
        except ValueError:
            continue
        spread = fields[3] if len(fields) > 3 and fields[3].endswith("%") else "0%"
        counters[event.split(":")[0]] = Counter(event, value, float(spread.rstrip("%")))
    return counters
