"""What ``harness.toml`` holds: a project's kernels, comparisons and profiles. Data, not code.

:mod:`harness.project.reading` reads it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import Field

from harness.core.errors import UserError
from harness.project import builtin
from harness.project.bases import Base
from harness.project.machine_tables import GUEST, HostTable
from harness.project.settings import GuestTable, ImageTable, Ltp, Settings
from harness.project.table import Strict
from harness.project.tables import (
    ComparisonTable,
    Defaults,
    Family,
    Nightly,
    NightlySuite,
    Profile,
    SeriesTable,
    SuiteTable,
    Variant,
    WorkloadPlan,
)
from harness.project.workload_tables import WorkloadTable
from harness.records.plans import Pair, Published

__all__ = ["Config", "NightlySuite", "Profile", "Project", "WorkloadPlan", "nearest"]
FILE_NAME = "harness.toml"
LOCAL_NAME = "harness.local.toml"
"""Beside it: what is of this machine or of today, laid over the tracked file."""
T = TypeVar("T")


class Config(Strict):
    """The whole of harness.toml."""

    settings: Settings
    defaults: Defaults = Field(default_factory=Defaults)
    bases: dict[str, Base] = Field(min_length=1)
    series: dict[str, SeriesTable] = Field(default_factory=dict)
    variants: dict[str, Variant] = Field(default_factory=dict)
    families: dict[str, Family] = Field(default_factory=dict)
    comparisons: list[ComparisonTable] = Field(default_factory=list)
    profiles: dict[str, Profile] = Field(default_factory=dict)
    workloads: dict[str, WorkloadTable] = Field(default_factory=dict)
    """Programs to be measured, described by data."""
    published: list[Published] = Field(default_factory=list)
    suites: dict[str, SuiteTable] = Field(default_factory=dict)
    machines: dict[str, HostTable] = Field(default_factory=dict)
    """Real computers."""
    nightly: Nightly = Field(default_factory=Nightly)

    @property
    def image(self) -> ImageTable:
        """The guests' root file system."""
        return self.settings.image

    @property
    def guest(self) -> GuestTable:
        """The virtual machine every boot gets unless flags say otherwise."""
        return self.settings.guest

    @property
    def ltp(self) -> Ltp:
        """Where LTP is."""
        return self.settings.ltp


class Project:
    """A directory with a harness.toml, and what that says."""

    def __init__(self, root: Path, config: Config) -> None:
        self.root = root
        self.config = config

    @property
    def settings(self) -> Settings:
        """What the tools are told, whatever the experiment."""
        return self.config.settings

    @property
    def results(self) -> Path:
        """Where runs are written."""
        return self.root / Path(self.settings.results).expanduser()

    @property
    def overlay(self) -> Path | None:
        """The harness.local.toml that is laid over harness.toml, if there is one."""
        path = self.root / LOCAL_NAME
        return path if path.is_file() and (self.root / FILE_NAME).is_file() else None

    def path(self, name: str) -> Path:
        """A path as harness.toml writes it: relative to that file."""
        return self.root / Path(name).expanduser()

    def file(self, name: str) -> Path:
        """A file of the project, or the built-in one of that name if it has none."""
        return builtin.find(self.root, name)

    def files(self, folder: str) -> dict[str, Path]:
        """Every file of a folder by its name there, the project's own before built-in ones."""
        return builtin.files(self.root, folder)

    def base(self, name: str) -> Base:
        """The base of that name."""
        return _lookup(self.config.bases, name, "base")

    def variant(self, name: str) -> Variant:
        """The variant of that name."""
        return _lookup(self.config.variants, name, "variant")

    def profile(self, name: str) -> Profile:
        """The profile of that name."""
        return _lookup(self.config.profiles, name, "profile")

    def suite(self, name: str) -> SuiteTable:
        """What a suite takes when no flag is given; of one that harness.toml does not name, too."""
        return self.config.suites.get(name, SuiteTable())

    def machine(self, name: str) -> HostTable:
        """The real computer of that name."""
        return _lookup(self.config.machines, name, "machine", [GUEST])

    def on_machine(self, name: str) -> Project:
        """The same with every variant as a kernel for that machine.

        It has the machine's fragments, a release of its own and a work tree of its own. Raises
        :class:`UserError` for a machine that harness.toml does not have.
        """
        if name == GUEST:
            return self
        table = self.machine(name)
        variants = {
            variant: one.model_copy(update={
                "config": list(dict.fromkeys([*table.config, *one.config])), "own_release": True,
                "start": table.own_config or one.start,
                "tree": f"{one.tree or variant}-{name if table.own_config else 'host'}",
            })
            for variant, one in self.config.variants.items()
        }
        return Project(self.root, self.config.model_copy(update={"variants": variants}))

    def with_packages(self, packages: Sequence[str]) -> Project:
        """The same with more packages of Debian in the guests' image."""
        image = self.settings.image
        more = [name for name in packages if name not in image.packages]
        if not more:
            return self
        image = image.model_copy(update={"packages": [*image.packages, *more]})
        settings = self.settings.model_copy(update={"image": image})
        return Project(self.root, self.config.model_copy(update={"settings": settings}))

    def base_name(self, variant: str) -> str:
        """The name of a variant's base."""
        return self.variant(variant).base or self.config.defaults.base

    def lineage(self, variant: str) -> str:
        """What a variant may be compared within: its base, or the tree that its commit is of."""
        name = self.base_name(variant)
        return self.base(name).lineage or name

    def series_name(self, variant: str) -> str:
        """A variant's series, a name of harness.toml or a directory; empty when it has none."""
        base = self.base_name(variant)
        text = self.variant(variant).series.replace("{series}", self.base(base).series)
        return text.replace("{base}", base)

    def on_base(self, name: str) -> Project:
        """The same with another default base: its variants are the default ones."""
        if not name:
            return self
        base = self.base(name)
        defaults = self.config.defaults.model_copy(
            update={"base": name, "variants": base.variants or self.config.defaults.variants}
        )
        return Project(self.root, self.config.model_copy(update={"defaults": defaults}))

    def comparisons(self, variants: Sequence[str]) -> list[tuple[str, str]]:
        """The declared pairs (baseline, variant) among some variants, in the order declared."""
        return [(pair.baseline, pair.variant) for pair in self.pairs(variants)]

    def pairs(self, variants: Sequence[str]) -> list[Pair]:
        """The same as records. ``across`` is set where the two are of different lineages.

        Raises :class:`UserError` for two lineages where harness.toml does not say ``across``.
        """
        found: dict[tuple[str, str], Pair] = {}
        for entry in self.config.comparisons:
            for baseline, variant in entry.pairs():
                if {baseline, variant} <= set(variants):
                    across = self._across(entry, baseline, variant)
                    found.setdefault(
                        (baseline, variant),
                        Pair(baseline=baseline, variant=variant, across=across),
                    )
        return list(found.values())

    def _across(self, entry: ComparisonTable, baseline: str, variant: str) -> bool:
        one, two = self.lineage(baseline), self.lineage(variant)
        if one != two and not entry.across:
            raise UserError(
                f"{variant} is compared with {baseline}, but one is built on {two} and the other "
                f"on {one}: their difference would be that of two kernels",
                hint="compare variants of one base, or say `across = true` in [[comparisons]]",
            )
        return one != two


def _lookup(
    table: Mapping[str, T], name: str, what: str, others: Sequence[str] = ()
) -> T:
    try:
        return table[name]
    except KeyError:
        raise UserError(
            f"unknown {what} '{name}'", hint=nearest(name, [*others, *table])
        ) from None


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names) or 'none'}"
