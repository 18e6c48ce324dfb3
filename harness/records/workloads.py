"""What a workload's numbers mean, declared by the workload and kept with the run.

A report is made from a run's files alone and knows no workload by name: whether a metric is a
memory or a cost, which way is better and how far it may wander by itself stands here.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.records.record import FrozenRecord, Name


class Metric(FrozenRecord):
    """One kind of number that a workload gives."""

    name: str
    unit: str
    """kB, pages, instructions, ns, faults/min ..."""
    kind: Literal["memory", "cost", "other"] = "other"
    """``memory``: what a process or the guest holds. ``cost``: the price of an operation, or a
    rate. Both are findings; what is ``other`` stands in tables only."""
    better: Literal["less", "more", "neither"] = "neither"
    exact: bool = False
    """The same in every boot of one kernel, whatever else the guest does, but for ``slack``."""
    slack: float = 0.0
    """By how much an exact metric may differ from itself, in its unit: a stack may lie across
    two page tables."""
    headline: bool = False
    """Whether it may stand in the first sentences of a report. Of a workload's metrics of one
    kind without a headline the first is taken."""
    label: str = ""
    """In words; empty: the name."""


class WorkloadRecord(FrozenRecord):
    """One workload of a run: its title and the metrics that it declares."""

    name: Name
    title: str = ""
    """One line: what it does."""
    metrics: list[Metric] = Field(default_factory=list)

    def metric(self, name: str) -> Metric | None:
        """The declaration of a metric, or None for one that was not declared."""
        return next((one for one in self.metrics if one.name == name), None)
