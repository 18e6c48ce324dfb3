"""What a window of a profile holds: one round of a workload between two marks."""

from __future__ import annotations

from dataclasses import dataclass

from harness.records.profiles import RoundChoice


@dataclass(frozen=True)
class Scale:
    """How a workload makes its metric of its rounds; a profile is made of the same ones."""

    unit: str = "round"
    units: float = 1.0
    """Operations in a window."""
    choice: RoundChoice = "median"
