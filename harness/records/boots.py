"""One start of one machine: where, how, and how it ended."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.records.events import Crash, Event, FalseStart
from harness.records.hosts import HostState
from harness.records.machines import Hardware
from harness.records.record import AccelName, Name, Params, Record

BootStatus = Literal["ok", "crashed", "failed", "interrupted"]


class MachineState(Record):
    """What the booted machine says of itself."""

    uname: str = ""
    cmdline: str = ""
    cpus: int = 0
    memory_kb: int = 0
    thp: str = ""
    """The content of transparent_hugepage/enabled, or ``absent``."""
    page_list_fraction: str = ""
    """vm.percpu_pagelist_high_fraction as set for counting; ``absent`` before 5.14."""


class Unfinished(Record):
    """A cell that a boot did not finish, and why."""

    workload: Name
    params: Params = Field(default_factory=dict)
    reason: str


class BootRecord(Record):
    """One boot, or one attempt at it."""

    boot: int
    """Index in the run's plan; of a suite's boots their number."""
    variant: Name
    control: bool = False
    layout: int = 0
    """Of the kernel that was booted."""
    accel: AccelName
    machine: Name = "guest"
    status: BootStatus
    started: str
    """UTC, ISO 8601."""
    seconds_to_ready: float | None = None
    false_starts: list[FalseStart] = Field(default_factory=list)
    """Tries at this boot before the one that is recorded here."""
    qemu_argv: list[str] = Field(default_factory=list)
    seed: int | None = None
    """Of the history that it was given before it was measured."""
    state: MachineState = Field(default_factory=MachineState)
    host_load: list[float] = Field(default_factory=list)
    """The host's load averages when the boot began."""
    host: HostState = Field(default_factory=HostState)
    hardware: Hardware = Field(default_factory=Hardware)
    ran_on: str = ""
    """The host of a fleet that did it, a name of the run's ``hosts``; empty: the run's own."""
    not_run: list[Unfinished] = Field(default_factory=list)
    crash: Crash | None = None
    events: list[Event] = Field(default_factory=list)
    """What else the console announced and the guest survived: warnings, stalls, lockdep."""
    error: str = ""
    console: str = ""
    """Console log, relative to the run's directory."""
