"""The tables of harness.toml that make up an experiment: series, variants, comparisons, suites."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from harness.project.table import NAME, Strict
from harness.records.plans import Thp
from harness.records.record import Scalar

SeriesKind = Literal["dir", "mbox", "lore", "git"]


class SeriesTable(Strict):
    """A named series that is no directory of the project, or one with conditions."""

    kind: SeriesKind
    path: str = ""
    """Directory with a ``series`` file, a mailbox or a git tree; relative to harness.toml."""
    range: str = ""
    """The commits of a git tree, ``base..topic``, for kind ``git``."""
    message_id: str = ""
    """Of any mail of the thread, for kind ``lore``."""
    version: int = Field(default=0, ge=0)
    """The v2 of [PATCH v2 3/9]; 0 takes the only one there is."""
    patches: int = Field(default=0, ge=0)
    """How many there must be; 0 believes the subjects."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        must, may = {
            "dir": (["path"], {"patches"}),
            "mbox": (["path"], {"version", "patches"}),
            "lore": (["message_id"], {"version", "patches"}),
            "git": (["path", "range"], {"patches"}),
        }[self.kind]
        for key in must:
            if not getattr(self, key):
                raise ValueError(f"kind '{self.kind}' needs `{key}`")
        for key in sorted(self.model_fields_set - {*must, *may, "kind"}):
            raise ValueError(f"kind '{self.kind}' has no `{key}`")
        if re.search(r"[<>\s/]", self.message_id):
            raise ValueError("`message_id` is written without brackets")
        return self


class Variant(Strict):
    """A kernel to measure: base + series + fragments."""

    base: str = ""
    """Name of a base; empty means the default base."""
    series: str = ""
    """A series of harness.toml or a directory with a ``series`` file. ``{base}`` is the base's
    name, ``{series}`` the base's own series. Empty: no patches."""
    config: list[str] = Field(default_factory=list)
    """More configuration fragments, after the base's."""
    patches: list[str] = Field(default_factory=list)
    """Patch files, relative to harness.toml, applied after the series."""
    extends: str = ""
    """A variant whose keys are taken over: lists are appended to, other keys replaced."""
    tree: str = Field(default="", pattern=NAME)
    """Name of the work tree; empty: the variant's own name. Variants that differ by a few files
    and share one are built one after the other, each compiling only what differs."""
    start: str = ""
    """A whole .config that takes the place of tinyconfig and of the base's fragments, relative to
    harness.toml. Empty: the configuration begins with tinyconfig."""
    own_release: bool = False
    """Whether the kernel's release (`uname -r`) ends with the build's key, so that it names this
    build and no other: kernels of real computers always do."""


class Family(Strict):
    """A directory of patches, each of which makes a variant FAMILY-NAME of an existing one.

    They share its work tree, and each is compared with it.
    """

    directory: str
    """Relative to harness.toml; NAME.patch makes the variant FAMILY-NAME."""
    extends: str
    """The variant that each patch is put on top of."""


class ComparisonTable(Strict):
    """Which variant is measured against which: nothing is compared that is not declared."""

    baseline: str
    variants: list[str] = Field(min_length=1)
    across: bool = False
    """Allow variants of different bases: their difference is not the series' alone."""

    @model_validator(mode="before")
    @classmethod
    def _one(cls, value: object) -> object:
        """``variant = "after"`` is short for a list of one."""
        if isinstance(value, dict) and "variant" in value:
            value = dict(value)
            value["variants"] = [*value.get("variants", []), value.pop("variant")]
        return value

    def pairs(self) -> list[tuple[str, str]]:
        """(baseline, variant) of each."""
        return [(self.baseline, name) for name in self.variants]


class WorkloadPlan(Strict):
    """One workload of a profile; ``params`` are the workload's own."""

    name: str
    params: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    """A list makes several cells."""
    repeat: int = Field(default=2, ge=1)
    accel: str = ""
    """What --accel says when it is not given, for this workload alone: ``icount``,
    ``auto,icount``. Empty: ``auto``."""
    thp: Thp | None = None
    """The guest's transparent huge pages while it runs; not given: what the workload wants."""


class Profile(Strict):
    """A named experiment: what ``harness bench --profile NAME`` runs."""

    description: str = ""
    boots: int = Field(default=2, ge=1)
    """Boots of each variant."""
    histories: int = Field(default=3, ge=1)
    """Boots of each variant where instructions are counted, each with a history of its own."""
    workloads: list[WorkloadPlan]


class SuiteTable(Strict):
    """What a suite of tests takes when no flag is given."""

    variants: list[str] = Field(default_factory=list)
    """Empty: defaults.variants."""
    minutes: float = Field(default=5.0, gt=0)
    """Guest minutes per variant, for suites that run for a time."""
    smp: int | None = Field(default=None, ge=1, le=64)
    """Not given: [settings.guest] smp."""
    memory: str | None = None
    """Of each guest. Not given: [settings.guest] memory."""
    jobs: int = Field(default=1, ge=1)
    """Guests at a time, which share the tests."""
    append: str = ""
    """More words for the kernel command line."""


class NightlySuite(Strict):
    """One suite of a night."""

    suite: str
    """As `harness stability --suite`, or ltp."""
    bases: list[str] = Field(default_factory=list)
    """It is run on each, one after the other; empty: on the default one."""
    variants: list[str] = Field(default_factory=list)
    """Empty: the suite's usual ones."""
    tests: list[str] = Field(default_factory=list)
    lists: list[str] = Field(default_factory=list)
    """For ltp: runtest files."""
    minutes: float | None = Field(default=None, gt=0)
    """Guest minutes per variant, for suites that run for a time; None: the suite's usual ones."""
    smp: int | None = Field(default=None, ge=1, le=64)
    """None: the suite's usual ones."""
    memory: str | None = None
    """Of each guest; None: the suite's usual one. Tests that fill it take as long as there is of
    it."""
    jobs: int | None = Field(default=None, ge=1)
    """Guests at a time, which share the tests; None: the suite's usual number."""


class Nightly(Strict):
    """What `harness nightly` does."""

    hours: float = Field(default=6.0, gt=0)
    """No suite is begun after so many."""
    keep: int = Field(default=14, ge=1)
    """Nights whose logs and consoles are kept; verdicts are kept for ever."""
    hook: str = ""
    """A shell command at the end, with NIGHTLY_VERDICT, NIGHTLY_EXIT and NIGHTLY_DIR set."""
    suites: list[NightlySuite] = Field(default_factory=list)


class Defaults(Strict):
    """What a command takes when no flag is given."""

    base: str = ""
    """Empty: the first base of the file."""
    variants: list[str] = Field(default_factory=list)
    """Empty: every variant of the file that is written out, in its order."""
    profile: str = ""
    """Empty: the first profile of the file."""

