"""What is remembered of a real computer: its health, and what was attempted on it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.records.record import Name, Record

Health = Literal["healthy", "missed one", "missed two", "cycled", "given up"]
"""``missed one``: its own kernel did not answer in time once, ``missed two``: not a second time
either, ``cycled``: it was then switched off and on, ``given up``: in vain."""
Stage = Literal[
    "lease", "home", "push", "load", "start", "prove", "tune", "use", "return", "power-cycle",
    "release",
]
"""``lease``: it is taken. ``home``: its own kernel is waited for. ``push``: the build is copied.
``load``: kexec or the boot loader is told of it. ``start``: it is started. ``prove``: it is asked
which kernel it runs. ``tune``: clocks are set. ``use``: somebody's programs run. ``return``: it is
sent back to its own kernel. ``power-cycle``: it is switched off and on. ``release``: given back."""


class Attempt(Record):
    """A line of ``attempts.jsonl``, on disk before what it says is done."""

    t: str
    """UTC, ISO 8601."""
    stage: Stage
    detail: str = ""
    """The kernel, the command, the reason."""
    process: int = 0
    """PID of the harness."""


class MachineHealth(Record):
    """``health.json``: how a computer was when it was last heard of."""

    machine: Name
    state: Health = "healthy"
    reason: str = ""
    """Why it is not healthy."""
    since: str = ""
    """UTC, ISO 8601."""
    token: str = ""
    """The lease that this workspace holds on it; empty: none."""
    renewed: float = 0.0
    """When it was last taken or renewed, in seconds since 1970."""
    uname: str = ""
    """Of its own kernel, when it was last seen to run."""


class Hardware(Record):
    """A real machine as it was measured in; empty: it does not say."""

    governor: str = ""
    """Of the CPUs' frequency; several: ``mixed``."""
    turbo: str = ""
    """``on`` or ``off``."""
    smt: str = ""
    """``on``, ``off``, ``forceoff``, ``notsupported`` or ``notimplemented``."""
    numa_balancing: str = ""
    """``on`` or ``off``."""
    numa_nodes: int = 0
    microcode: str = ""
    pmu: str = ""
    """The CPU's performance counters as perf names them: ``cpu`` when there are any."""
    changed: dict[str, str] = Field(default_factory=dict)
    """What was set for this boot, to what it was before, which is put back."""
