"""What a run is going to do, fixed before anything is measured."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from harness.core import digest
from harness.records.record import FrozenRecord, Name, Params

Thp = Literal["never", "madvise", "always", "as booted"]


class Cell(FrozenRecord):
    """One workload with one set of parameters, ``repeat`` times in each boot."""

    workload: Name
    params: Params = Field(default_factory=dict)
    repeat: int = Field(default=1, ge=1)
    accel: str = "auto"
    """How the machine that runs it is to run, as asked for: auto, kvm, tcg, icount, native."""
    label: str = ""
    """In words, as the workload says it: ``50 GiB loop, one page per 2 MiB``. Empty: from the
    parameters that tell the cells of a workload apart."""
    thp: Thp = "never"
    """The guest's transparent huge pages while it runs: with ``always`` most user memory has no
    page tables to measure."""

    @property
    def ident(self) -> str:
        """Names a directory for its raw output: unique among the cells of a plan, readable."""
        words = [self.workload, *(f"{key}-{value}" for key, value in self.params.items())]
        readable = re.sub(r"[^\w.+-]+", "_", "-".join(words))[:48].rstrip("-_")
        return f"{readable}-{digest.key([self.workload, self.params, self.accel])[:6]}"


class Block(FrozenRecord):
    """The boots of one accel."""

    accel: str
    rounds: int = Field(ge=1)
    """Boots of each variant, in each of its layouts."""
    control: bool = False
    """Whether the first variant is booted a second time as an A/A control."""

    @property
    def counts(self) -> bool:
        """Whether instructions are counted."""
        return self.accel == "icount"


class PlannedBoot(FrozenRecord):
    """One boot and the order of its cells.

    ``seed`` names the history that the guest is given before it is measured; boots of different
    variants with one seed have the same one and are compared in pairs.
    """

    index: int
    variant: Name
    control: bool = False
    """An A/A control: the same build once more, whose samples are kept apart."""
    seed: int = 0
    layout: int = 0
    """Which placement of the variant's functions is booted; only boots of one are paired."""
    accel: str = "auto"
    cells: list[int] = Field(default_factory=list)
    """Indices into the plan's cells, in the order in which they run."""
    again: int | None = None
    """The boot that this one does again, to see whether it comes out the same."""

    @property
    def folder(self) -> str:
        """Name of the directory of its logs."""
        marks = [
            *([f"layout-{self.layout}"] if self.layout else []),
            *(["control"] if self.control else []), *([] if self.again is None else ["again"]),
        ]
        return "-".join([f"{self.index:02d}", self.variant, *marks])


class Pair(FrozenRecord):
    """A comparison: ``variant`` is measured against ``baseline``."""

    baseline: Name
    variant: Name
    across: bool = False
    """Of two lineages, and compared all the same because somebody asked for it by name."""


class Figure(FrozenRecord):
    """One published number pair that a cell of ours stands beside."""

    workload: Name
    params: Params = Field(default_factory=dict)
    """Parameters that a cell must have to be held against it."""
    metric: str
    baseline: float
    variant: float
    printed: tuple[str, str]
    """Both numbers in the publication's own spelling."""
    printed_delta_pct: float | None = None
    """The change as printed there; None: computed from the two."""
    label: str = ""
    """The publication's own name for it, such as RES."""
    unit: str = ""
    """How ours is printed beside it: a unit, see ``scale``; empty: the metric's own."""
    scale: float = 1.0
    """What our value is divided by to be in ``unit``."""

    @property
    def delta_pct(self) -> float:
        """The change in percent, as printed or else as it follows from the figures."""
        if self.printed_delta_pct is not None:
            return self.printed_delta_pct
        return round(100.0 * (self.variant - self.baseline) / self.baseline, 2)


class Published(FrozenRecord):
    """Figures that somebody published, to stand beside ours."""

    name: Name
    title: str
    """Short, for a table's caption."""
    citation: str
    base: str = ""
    hardware: str = ""
    variants: tuple[str, str] = ("before", "after")
    """What the publication calls its two sides."""
    notes: list[str] = Field(default_factory=list)
    figures: list[Figure] = Field(default_factory=list)


class Plan(FrozenRecord):
    """A measurement: variants, cells, boots in their order, and what is compared with what."""

    kind: Literal["measurement"] = "measurement"
    command: str = "bench"
    """The command of the harness that made it and goes on with it."""
    profile: str = ""
    base: str = ""
    """The default base that the variants were resolved with."""
    variants: list[Name]
    layouts: int = Field(default=1, ge=1)
    """In how many layouts each variant is measured: the same objects at other addresses. One: as
    the tree's own build places them."""
    accel: str = "auto"
    """The accels asked for, comma-separated."""
    machine: Name = "guest"
    smp: int = 0
    memory: str = ""
    cmdline: str = ""
    packages: list[str] = Field(default_factory=list)
    """Of Debian, in the guests' image besides those of harness.toml's ``[settings.image]``."""
    cells: list[Cell] = Field(default_factory=list)
    blocks: list[Block] = Field(default_factory=list)
    boots: list[PlannedBoot] = Field(default_factory=list)
    comparisons: list[Pair] = Field(default_factory=list)
    published: list[Published] = Field(default_factory=list)

    def resuming(self, directory: str) -> str:
        """The command that goes on with a run of this plan, for people."""
        same = "" if self.command == "bench" else " ... (as before)"
        return f"harness {self.command}{same} --resume {directory}"

    @property
    def accels(self) -> list[str]:
        """The accels that boots ask for, in their order."""
        return [block.accel for block in self.blocks]


class PlannedTest(FrozenRecord):
    """One test of a suite: a command in the guest and how long it may take."""

    name: str
    seed: int = 0
    command: str = ""
    seconds: float = 120.0
    """Stretched by accel and kernel."""
    fixed: float = 0.0
    """Not stretched: a duration that the test was told."""
    skip: str = ""
    """Why it is not to be run at all; empty: it is."""


class SuitePlan(FrozenRecord):
    """A run of a suite of tests on variants."""

    kind: Literal["suite"] = "suite"
    suite: Name
    base: str = ""
    variants: list[Name]
    seed: int = 0
    seconds: float = 0.0
    """Guest seconds per variant, for suites that run for a time."""
    threads: int = 0
    """Of each test that takes a number; 0: its own."""
    accel: str = "auto"
    machine: Name = "guest"
    smp: int = 0
    memory: str = ""
    cmdline: str = ""
    jobs: int = 1
    """Guests at a time."""
    confirm: bool = True
    """Whether what differs is repeated."""
    dump: bool = False
    """Whether the memory of guests that crash or hang is kept. Their kernels then stop at the
    first oops."""
    ltp: str = ""
    """The LTP tree, for suites that take one."""
    lists: list[str] = Field(default_factory=list)
    """Parts of the suite that were asked for: LTP's runtest files."""
    skip_file: str = ""
    """Tests not to run, one a line, each with its reason behind it; for suites that take one."""
    test_seconds: float | None = None
    """The most one test may take under KVM, for suites that take it; None: the suite's own."""
    wanted: list[str] = Field(default_factory=list)
    """Patterns of tests that were asked for; empty: all."""
    tests: list[PlannedTest] = Field(default_factory=list)
    """Known once a guest was asked. What is here and has no verdict was not run."""
    comparisons: list[Pair] = Field(default_factory=list)

    def resuming(self, directory: str) -> str:
        """The command that goes on with a run of this plan, for people."""
        return f"harness stability --resume {directory}"
