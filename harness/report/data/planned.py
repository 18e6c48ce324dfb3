"""What a run meant to measure, read leniently from its ``plan``."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A planned workload with scalar parameters, and its repeats per boot."""

    workload: str
    params: Mapping[str, Any]
    repeat: int
    accel: str = ""
    """As asked for; empty: the plan does not say."""

    def counted_as(self, accel: str) -> bool:
        """Whether samples of an accel are of the clock that the cell was planned for."""
        return self.accel == "" or (self.accel == "icount") == (accel == "icount")

    def covers(self, workload: str, params: Mapping[str, Any]) -> bool:
        """Whether measured parameters are those planned (they may hold more)."""
        return workload == self.workload and all(
            key in params and params[key] == value for key, value in self.params.items()
        )


def canonical(params: Mapping[str, Any]) -> str:
    """Parameters as JSON with sorted keys: the identity of a cell in a frame."""
    return json.dumps(dict(params), sort_keys=True, default=str)


def describe(params: Mapping[str, Any] | str) -> str:
    """Parameters for a human: ``threads=8 seconds=5``."""
    values = json.loads(params) if isinstance(params, str) else params
    return " ".join(f"{key}={value}" for key, value in values.items())


def cells(plan: Mapping[str, Any]) -> list[Cell]:
    """The planned cells; a parameter given as a list stands for one cell per value.

    Reads ``plan["cells"]`` or else ``plan["workloads"]``; what is not understood is skipped.
    """
    entries = plan.get("cells") or plan.get("workloads") or []
    found: list[Cell] = []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, Mapping):
            continue
        name = entry.get("workload") or entry.get("name")
        params = entry.get("params") or {}
        repeat, accel = entry.get("repeat", 1), str(entry.get("accel") or "")
        if isinstance(name, str) and isinstance(params, Mapping) and isinstance(repeat, int):
            found += [Cell(name, one, repeat, accel) for one in _grid(params)]
    return found


def _grid(params: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    choices = [value if isinstance(value, list) else [value] for value in params.values()]
    for values in itertools.product(*choices):
        yield dict(zip(params, values, strict=True))


def repeats(planned: list[Cell], workload: str, params: str) -> int | None:
    """Planned repeats of a measured cell, or None when the plan does not know it."""
    values = json.loads(params)
    for cell in planned:
        if cell.covers(workload, values):
            return cell.repeat
    return None


def variants(plan: Mapping[str, Any]) -> list[str]:
    """The plan's variants in its order; empty when it does not say."""
    names = plan.get("variants")
    known = names if isinstance(names, (list, dict)) else []
    return [name for name in known if isinstance(name, str)]


def order(plan: Mapping[str, Any]) -> list[str]:
    """The variant of each planned boot, by index; empty when the plan does not say."""
    names = plan.get("order")
    return [str(name) for name in names] if isinstance(names, list) else []


def repeats_of(plan: Mapping[str, Any]) -> dict[int, int]:
    """Boots that were done again to see whether they come out the same: index to that of the first.

    What is not understood is skipped.
    """
    pairs = plan.get("repeats")
    return {
        int(again): first
        for again, first in (pairs.items() if isinstance(pairs, dict) else ())
        if str(again).isdecimal() and isinstance(first, int)
    }
