"""What a run will do: cells, boots and their order, fixed before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness import workloads
from harness.core.config import Profile, Project
from harness.core.errors import UserError

ICOUNT_ROUNDS = 40  # of 512 faults per thread: 16 threads take half a minute under TCG


@dataclass(frozen=True)
class Cell:
    """One workload with one set of parameters, ``repeat`` times in each boot."""

    workload: str
    params: dict[str, Any]
    repeat: int

    def record(self) -> dict[str, Any]:
        """For run.json."""
        return {"workload": self.workload, "params": self.params, "repeat": self.repeat}


@dataclass(frozen=True)
class PlannedBoot:
    """One boot: the variant, and the cells in the order in which it runs them.

    ``seed`` names the history (see :mod:`harness.bench.preamble`); boots of different
    variants with one seed have the same.
    """

    index: int
    variant: str
    seed: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Plan:
    """The whole experiment."""

    profile: str
    variants: tuple[str, ...]
    accel: str
    smp: int
    memory: str
    cmdline: str
    cells: tuple[Cell, ...]
    boots: tuple[PlannedBoot, ...] = field(default_factory=tuple)

    def record(self) -> dict[str, Any]:
        """For run.json; :func:`from_record` is its inverse."""
        return {
            "profile": self.profile, "variants": list(self.variants), "accel": self.accel,
            "smp": self.smp, "memory": self.memory, "cmdline": self.cmdline,
            "boots": len(self.boots) // max(1, len(self.variants)),
            "order": [boot.variant for boot in self.boots],
            "cells": [cell.record() for cell in self.cells],
        }


def from_record(record: dict[str, Any]) -> Plan:
    """The plan of a run that is resumed; raises :class:`UserError` when it cannot be read."""
    try:
        cells = tuple(Cell(c["workload"], c["params"], c["repeat"]) for c in record["cells"])
        plan = Plan(
            record["profile"], tuple(record["variants"]), record["accel"], record["smp"],
            record["memory"], record["cmdline"], cells,
        )
        boots = record["boots"]
    except (KeyError, TypeError) as error:
        raise UserError(f"the run's plan cannot be read: no {error}") from error
    return _with_boots(plan, boots)


@dataclass(frozen=True)
class Overrides:
    """Flags that change a profile; 0 and () change nothing."""

    threads: Sequence[int] = ()
    boots: int = 0
    repeat: int = 0
    seconds: int = 0
    rounds: int = 0
    workloads: Sequence[str] = ()


def make_plan(
    project: Project, *, profile: str, variants: Sequence[str], accel: str, smp: int, memory: str,
    cmdline: str = "", overrides: Overrides | None = None,
) -> Plan:
    """A plan from a profile of harness.toml.

    Raises :class:`UserError` for an unknown name or a parameter out of range.
    """
    overrides = overrides or Overrides()
    for name in variants:
        project.variant(name)
    chosen = project.profile(profile)
    cells = _cells(chosen, overrides, accel)
    plan = Plan(profile, tuple(variants), accel, smp, memory, cmdline, cells)
    return _with_boots(plan, overrides.boots or chosen.boots)


def _cells(profile: Profile, overrides: Overrides, accel: str) -> tuple[Cell, ...]:
    only = overrides.workloads
    for name in only:
        workloads.get(name)
    wanted = [(w.name, w.params, w.repeat) for w in profile.workloads if not only or w.name in only]
    planned = {name for name, _, _ in wanted}
    wanted += [(name, {}, 1) for name in only if name not in planned]
    cells = [
        Cell(name, cell, overrides.repeat or times)
        for name, params, times in wanted
        for cell in workloads.get(name).cells(_overridden(name, params, overrides, accel))
    ]
    if not cells:
        raise UserError("the plan holds no workload")
    return tuple(cells)


def _overridden(
    name: str, params: dict[str, Any], overrides: Overrides, accel: str
) -> dict[str, Any]:
    if name != "multi-fault":
        return params
    changed = dict(params)
    if overrides.threads:
        changed["threads"] = list(overrides.threads)
    if overrides.seconds:
        changed["seconds"] = overrides.seconds
    if overrides.rounds:
        changed["rounds"] = overrides.rounds
    if accel == "icount" and not changed.get("rounds"):
        # Time means nothing where instructions are counted: a fixed amount of work does.
        changed["rounds"] = ICOUNT_ROUNDS
    return changed


def _with_boots(plan: Plan, rounds: int) -> Plan:
    """Boots in the order A,B,B,A: a drift of the host hits both variants alike.

    Each round rotates the cells, so that none is always the first after a boot.
    """
    planned: list[PlannedBoot] = []
    for number in range(rounds):
        turn = number % len(plan.cells)
        cells = plan.cells[turn:] + plan.cells[:turn]
        order = plan.variants if number % 2 == 0 else plan.variants[::-1]
        for variant in order:
            planned.append(PlannedBoot(len(planned), variant, number, cells))
    return Plan(**{**vars(plan), "boots": tuple(planned)})


def parse_threads(text: str) -> list[int]:
    """``"1,8,16"`` as numbers from 1 to 256; raises :class:`UserError` otherwise."""
    numbers = []
    for word in text.split(","):
        if not word.strip().isdigit() or not 1 <= int(word) <= 256:
            raise UserError(
                f"--threads {text}: '{word.strip()}' is not a number of threads",
                hint="give numbers from 1 to 256, like 1,8,16",
            )
        numbers.append(int(word))
    return list(dict.fromkeys(numbers))
