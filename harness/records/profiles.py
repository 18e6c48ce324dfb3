"""Where the instructions of a workload's windows went: ``profiles.jsonl`` of a run.

A window is one round of a workload between two marks. A profile is the mean of the windows that
one repeat of one cell is judged by, function by function. Tables are kept as columns: parallel
lists, one element a function, because there are hundreds of them in each profile.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.records.costs import CacheSizes, MissCounts
from harness.records.record import AccelName, FrozenRecord, Name, Params

RoundChoice = Literal["median", "trimmed", "all"]
"""Which windows a profile is made of: the one whose total is the (lower) middle one, all but the
tenth at either end, or all. The same choice as that of the workload's own metric."""


class FunctionTable(FrozenRecord):
    """What each function of the kernel did in a window. All lists are of one length."""

    function: list[str] = Field(default_factory=list)
    """Parts that the compiler moved or specialised (``.cold``, ``.isra.0``) are in their
    function. Of static functions that share a name each has its file's name after it."""
    file: list[str] = Field(default_factory=list)
    """Source file; empty where the build does not tell."""
    instructions: list[float] = Field(default_factory=list)
    """As instruction counting counts: a string instruction once for each element."""
    spread: list[float] = Field(default_factory=list)
    """Standard deviation of ``instructions`` over the windows of the series."""
    background: list[float] = Field(default_factory=list)
    """Of the instructions those in interrupts and in other tasks, in the window that was
    followed; 0 where none was."""
    loads: list[float] = Field(default_factory=list)
    """Instructions that read memory, the stack too; a string instruction counts once for each
    element. One that reads and writes is in ``stores`` as well."""
    stores: list[float] = Field(default_factory=list)
    branches: list[float] = Field(default_factory=list)
    """Jumps, conditional or not, taken or not; no calls and returns."""
    calls: list[float] = Field(default_factory=list)
    """Call instructions in the function."""
    locked: list[float] = Field(default_factory=list)
    """With a lock prefix, and exchanges with memory. A kernel that runs on one CPU takes the
    prefixes out of its own text."""
    tlb: list[float] = Field(default_factory=list)
    """invlpg, invpcid, writes of CR3."""
    messages: list[float] = Field(default_factory=list)
    """wrmsr: with an x2APIC, interrupts to other CPUs among others."""
    interrupts: list[float] = Field(default_factory=list)
    """Interrupts sent by a write to the xAPIC's page, to one CPU or several."""
    string_operations: list[float] = Field(default_factory=list)
    """String instructions with a rep prefix, each counted once."""
    string_instructions: list[float] = Field(default_factory=list)
    """What they count for in ``instructions``."""
    string_bytes: list[float] = Field(default_factory=list)
    l1d_misses: list[float] = Field(default_factory=list)
    """This and what follows is of modelled caches (:class:`MissCounts` says what each is); empty
    where none were."""
    l1i_misses: list[float] = Field(default_factory=list)
    l2_misses: list[float] = Field(default_factory=list)
    string_lines: list[float] = Field(default_factory=list)
    mispredicted: list[float] = Field(default_factory=list)


class PathTable(FrozenRecord):
    """Call paths of one window: a tree, one element a node; node 0 is the root."""

    function: list[str] = Field(default_factory=list)
    parent: list[int] = Field(default_factory=list)
    calls: list[int] = Field(default_factory=list)
    instructions: list[int] = Field(default_factory=list)
    """Of the node alone, without those it calls."""
    background: list[bool] = Field(default_factory=list)
    """In an interrupt, or in a task that is not the workload's."""


class CellProfile(FrozenRecord):
    """One window number of one repeat of one cell in one boot."""

    run: str
    variant: Name
    control: bool = False
    boot: int
    """Index of the boot in the run's plan."""
    seed: int | None = None
    """Of the boot's history: profiles of two variants with one seed and layout are a pair."""
    layout: int = 0
    """Of the kernel that was booted."""
    workload: Name
    params: Params
    accel: AccelName = "icount"
    repeat: int = 0
    window: int = 1
    """Number that the program gave it."""
    rounds: int
    """Windows in the series."""
    choice: RoundChoice
    unit: str = "round"
    units: float = 1.0
    """How many operations a window holds: what its counts are divided by to be shown."""
    user: float
    """Instructions outside the kernel, per window."""
    kernel: float
    """Instructions of the kernel, per window: the sum of the functions'."""
    low: float = 0.0
    high: float = 0.0
    """Least and greatest total of a window of the series."""
    outside: float = 0.0
    """Of the kernel's, those outside of its image: modules, BPF, trampolines."""
    functions: FunctionTable
    paths: PathTable | None = None
    """None where no window was followed."""
    paths_total: float = 0.0
    """Kernel instructions of the window that was followed."""
    caches: CacheSizes | None = None
    """Those that were modelled; None where none were."""
    user_misses: MissCounts = MissCounts()
    """Of what ran outside the kernel."""
    sites: str = ""
    """File with the count of each instruction, relative to the run's directory."""

    @property
    def total(self) -> float:
        """Instructions of a window, kernel and user space."""
        return self.user + self.kernel


class ProfilePair(FrozenRecord):
    """One count on two kernels, per operation."""

    before: float
    after: float


class ProfileRow(FrozenRecord):
    """One function of one cell on two kernels, for programs: ``--json``."""

    workload: Name
    params: Params
    function: str
    """Of the kernel, or ``[user space]``."""
    file: str
    before: float
    """Instructions per operation."""
    after: float
    delta: float
    counts: dict[str, ProfilePair] = Field(default_factory=dict)
    """Of what else was counted that which is not 0 on both: the columns of a profile from
    ``loads`` on, and ``as_one``, the instructions with string instructions counted once each."""
