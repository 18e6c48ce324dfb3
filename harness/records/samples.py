"""One number."""

from __future__ import annotations

from harness.records.record import AccelName, Name, Params, Record


class Sample(Record):
    """One number of one repeat of one cell in one boot.

    ``t`` is None for a result of the workload, which is what reports compare; for a point of a
    time series (memory while a loop runs) it is the seconds since the workload's start, by the
    host's clock.
    """

    run: str
    variant: Name
    control: bool = False
    """From a boot of the A/A control."""
    boot: int
    """Index of the boot in the run's plan."""
    workload: Name
    params: Params
    repeat: int
    metric: str
    value: float
    unit: str
    accel: AccelName
    t: float | None = None
