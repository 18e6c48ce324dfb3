"""What a run will do: cells, boots and their order, fixed before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.core.errors import UserError
from harness.machine import accel as accels
from harness.measure import workloads
from harness.measure.schedule import Block, Cell, PlannedBoot, schedule
from harness.project.config import Profile, Project, nearest


@dataclass(frozen=True)
class Plan:
    """The whole experiment."""

    profile: str
    variants: tuple[str, ...]
    accel: str
    """The accels asked for, comma-separated: ``auto``, ``tcg,icount``."""
    smp: int
    memory: str
    cmdline: str
    cells: tuple[Cell, ...]
    blocks: tuple[Block, ...]
    boots: tuple[PlannedBoot, ...] = field(default_factory=tuple)

    @property
    def accels(self) -> list[str]:
        """The accels that boots ask for, in their order."""
        return [block.accel for block in self.blocks]

    def record(self) -> dict[str, Any]:
        """For run.json; :func:`from_record` is its inverse."""
        return {
            "profile": self.profile, "variants": list(self.variants), "accel": self.accel,
            "smp": self.smp, "memory": self.memory, "cmdline": self.cmdline,
            "boots": self.blocks[0].rounds,
            "blocks": [vars(block) for block in self.blocks],
            "order": [boot.variant for boot in self.boots],
            "repeats": {
                str(boot.index): boot.repeats for boot in self.boots if boot.repeats is not None
            },
            "cells": [cell.record() for cell in self.cells],
        }


def from_record(record: dict[str, Any]) -> Plan:
    """The plan of a run that is resumed; raises :class:`UserError` when it cannot be read."""
    try:
        accel = record["accel"]
        cells = tuple(
            Cell(c["workload"], c["params"], c["repeat"], c.get("accel", accel))
            for c in record["cells"]
        )
        blocks = tuple(Block(**block) for block in record["blocks"])
        variants = tuple(record["variants"])
        boots = schedule(variants, cells, blocks)
        return Plan(
            record["profile"], variants, accel, record["smp"], record["memory"],
            record["cmdline"], cells, blocks, boots,
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"the run's plan cannot be read: no {error}") from error


@dataclass(frozen=True)
class Overrides:
    """Flags that change a profile; 0 and () change nothing."""

    threads: Sequence[int] = ()
    boots: int = 0
    repeat: int = 0
    seconds: int = 0
    rounds: int = 0
    workloads: Sequence[str] = ()
    control: bool | None = None
    """An A/A control; None: where time is measured and there are variants to compare."""


def make_plan(
    project: Project, *, profile: str, variants: Sequence[str], accel: str, smp: int, memory: str,
    cmdline: str = "", overrides: Overrides | None = None,
) -> Plan:
    """A plan from a profile of harness.toml.

    ``accel`` may name several, comma-separated; empty takes what the profile says of
    each workload, else ``auto``. Raises :class:`UserError` for an unknown name or a
    parameter out of range.
    """
    overrides = overrides or Overrides()
    for name in variants:
        project.variant(name)
    chosen = project.profile(profile)
    cells = _cells(chosen, overrides, accel)
    blocks = tuple(
        _block(name, chosen, overrides, len(variants))
        # What measures time first: counting does not mind when it is done.
        for name in sorted(dict.fromkeys(cell.accel for cell in cells), key="icount".__eq__)
    )
    boots = schedule(variants, cells, blocks)
    text = ",".join(block.accel for block in blocks)
    return Plan(profile, tuple(variants), text, smp, memory, cmdline, cells, blocks, boots)


def _block(accel: str, profile: Profile, overrides: Overrides, variants: int) -> Block:
    counts = accel == "icount"
    rounds = overrides.boots or (profile.histories if counts else profile.boots)
    control = overrides.control
    return Block(accel, rounds, not counts and variants > 1 if control is None else control)


def parse_accels(text: str) -> list[str]:
    """``"tcg,icount"`` as names without repeats; raises :class:`UserError` for an unknown one."""
    names = list(dict.fromkeys(word.strip() for word in text.split(",")))
    for name in names:
        if name not in accels.NAMES:
            raise UserError(f"unknown accel '{name}'", hint=nearest(name, accels.NAMES))
    return names


def _cells(profile: Profile, overrides: Overrides, accel: str) -> tuple[Cell, ...]:
    only = overrides.workloads
    for name in only:
        workloads.get(name)
    wanted = [
        (w.name, w.params, w.repeat, accel or w.accel or "auto")
        for w in profile.workloads if not only or w.name in only
    ]
    planned = {name for name, *_ in wanted}
    wanted += [(name, {}, 1, accel or "auto") for name in only if name not in planned]
    cells = [
        Cell(name, cell, overrides.repeat or times, clock)
        for name, params, times, clocks in wanted
        for clock in parse_accels(clocks)
        for cell in workloads.get(name).cells(_overridden(name, params, overrides, clock))
    ]
    if not cells:
        raise UserError("the plan holds no workload")
    return tuple(cells)


def _overridden(
    name: str, params: dict[str, Any], overrides: Overrides, accel: str
) -> dict[str, Any]:
    workload = workloads.get(name)
    flags = {
        "threads": list(overrides.threads), "seconds": overrides.seconds,
        "rounds": overrides.rounds,
    }
    changed = {**params, **{k: v for k, v in flags.items() if v and k in workload.flags}}
    # Time means nothing where instructions are counted: a fixed amount of work does.
    return {**workload.icount_params, **changed} if accel == "icount" else changed


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
