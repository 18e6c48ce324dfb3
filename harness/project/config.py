"""``harness.toml``: bases, variants, image, profiles. Data, not code; checked to the last key.

Raises :class:`UserError` for anything wrong, naming the key and the nearest right one.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError

from harness.core.errors import UserError
from harness.project.tables import Base, Comparison, SeriesTable, Strict, Variant
from harness.records.plans import Thp
from harness.records.record import Scalar

FILE_NAME = "harness.toml"
T = TypeVar("T")


class Image(Strict):
    """The guests' root file system."""

    suite: str = "bookworm"
    packages: list[str] = Field(default_factory=list)
    size: str = "2500M"
    """Size of the (sparse) file, with head-room for tests; in mke2fs notation."""


class Guest(Strict):
    """The virtual machine every boot gets unless flags say otherwise."""

    smp: int = Field(default=4, ge=1, le=64)
    memory: str = "4G"
    cmdline: str = ""
    """Appended to the kernel command line of every boot, recorded with it."""


class Ltp(Strict):
    """What `harness ltp` takes when no flag is given."""

    path: str = ""
    """An installed LTP tree or a tarball of one."""
    suites: list[str] = Field(default_factory=lambda: ["mm"])
    """Names of its runtest files."""
    skip_file: str = ""
    """Tests not to run, one a line, each with its reason after it."""
    variants: list[str] = Field(default_factory=list)
    """Empty: defaults.variants."""


class NightlySuite(Strict):
    """One suite of a night."""

    suite: str
    """As `harness stability --suite`, or ltp."""
    variants: list[str] = Field(default_factory=list)
    """Empty: the suite's usual ones."""
    tests: list[str] = Field(default_factory=list)
    lists: list[str] = Field(default_factory=list)
    """For ltp: runtest files."""
    minutes: float = Field(default=10.0, gt=0)
    """Guest minutes per variant, for suites that run for a time."""
    smp: int = Field(default=0, ge=0, le=64)
    memory: str = ""
    """Of each guest; empty: [guest] memory. Tests that fill it take as long as there is of it."""
    jobs: int = Field(default=1, ge=1)
    """Guests at a time, which share the tests."""


class Nightly(Strict):
    """What `harness nightly` does."""

    hours: float = Field(default=6.0, gt=0)
    """No suite is begun after so many."""
    keep: int = Field(default=14, ge=1)
    """Nights whose logs and consoles are kept; verdicts are kept for ever."""
    hook: str = ""
    """A shell command at the end, with NIGHTLY_VERDICT, NIGHTLY_EXIT and NIGHTLY_DIR set."""
    suites: list[NightlySuite] = Field(default_factory=list)


class WorkloadPlan(Strict):
    """One workload of a profile; ``params`` are the workload's own."""

    name: str
    params: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    repeat: int = Field(default=2, ge=1)
    accel: str = ""
    """What --accel says when it is not given, for this workload alone: ``icount``,
    ``auto,icount``. Empty: ``auto``."""
    thp: Thp | None = None


class Profile(Strict):
    """A named experiment: what ``harness bench --profile NAME`` runs."""

    description: str = ""
    boots: int = Field(default=2, ge=1)
    """Boots of each variant."""
    histories: int = Field(default=3, ge=1)
    """Boots of each variant where instructions are counted, each with a history of its own."""
    workloads: list[WorkloadPlan]


class Defaults(Strict):
    """What a command takes when no flag is given."""

    base: str = "debian-6.1"
    variants: list[str] = Field(default_factory=lambda: ["before", "after"])
    profile: str = "quick"
    results: str = "results"


class Config(Strict):
    """The whole of harness.toml."""

    mirror: str = ""
    """Debian mirror; empty takes the system's apt configuration."""
    security_mirror: str = ""
    """Mirror of the security archive; empty takes the system's apt configuration."""
    defaults: Defaults = Field(default_factory=Defaults)
    bases: dict[str, Base]
    series: dict[str, SeriesTable] = Field(default_factory=dict)
    variants: dict[str, Variant]
    comparisons: list[Comparison] = Field(default_factory=list)
    image: Image = Field(default_factory=Image)
    guest: Guest = Field(default_factory=Guest)
    ltp: Ltp = Field(default_factory=Ltp)
    nightly: Nightly = Field(default_factory=Nightly)
    profiles: dict[str, Profile] = Field(default_factory=dict)


class Project:
    """A checkout: its root directory and its parsed ``harness.toml``."""

    def __init__(self, root: Path, config: Config) -> None:
        self.root = root
        self.config = config

    def base(self, name: str) -> Base:
        """The base of that name."""
        return _lookup(self.config.bases, name, "base")

    def variant(self, name: str) -> Variant:
        """The variant of that name."""
        return _lookup(self.config.variants, name, "variant")

    def profile(self, name: str) -> Profile:
        """The profile of that name."""
        return _lookup(self.config.profiles, name, "profile")

    def base_name(self, variant: str) -> str:
        """The name of a variant's base."""
        return self.variant(variant).base or self.config.defaults.base

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
        pairs = [pair for entry in self.config.comparisons for pair in entry.pairs()]
        return [pair for pair in dict.fromkeys(pairs) if set(pair) <= set(variants)]


def _lookup(table: dict[str, T], name: str, what: str) -> T:
    try:
        return table[name]
    except KeyError:
        raise UserError(f"unknown {what} '{name}'", hint=nearest(name, table)) from None


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: the nearest known one, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names)}"


def find_root(start: Path | None = None) -> Path:
    """The nearest directory at or above ``start`` that holds a harness.toml."""
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return folder
    package_root = Path(__file__).resolve().parents[2]
    if (package_root / FILE_NAME).is_file():
        return package_root
    raise UserError(f"no {FILE_NAME} in {here} or above", hint="run harness inside its checkout")


def load(root: Path | None = None) -> Project:
    """Read and check harness.toml of the checkout at ``root`` (default: found from the cwd)."""
    root = find_root(root)
    path = root / FILE_NAME
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: {error}") from error
    return Project(root, parse(data, str(path)))


def parse(data: dict[str, Any], where: str) -> Config:
    """Check the content of a harness.toml."""
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(error)}") from error
    variants = {name: _extended(config.variants, name, where) for name in config.variants}
    config = config.model_copy(update={"variants": variants})
    for name, variant in config.variants.items():
        base = variant.base or config.defaults.base
        if base not in config.bases:
            raise UserError(
                f"{where}: variants.{name}: unknown base '{base}'",
                hint=nearest(base, config.bases),
            )
    _check_names(config, where)
    return config


def _check_names(config: Config, where: str) -> None:
    """Every variant that a base or a comparison names exists."""
    named = [(f"bases.{name}", base.variants) for name, base in config.bases.items()]
    named += [("comparisons", [c.baseline, *c.variants]) for c in config.comparisons]
    for place, names in named:
        for name in names:
            if name not in config.variants:
                raise UserError(
                    f"{where}: {place}: unknown variant '{name}'",
                    hint=nearest(name, config.variants),
                )


def _extended(variants: dict[str, Variant], name: str, where: str) -> Variant:
    """A variant with the keys of all those it extends, the farthest first."""
    chain = [name]
    while parent := variants[chain[-1]].extends:
        if parent not in variants:
            raise UserError(
                f"{where}: variants.{chain[-1]}: extends unknown variant '{parent}'",
                hint=nearest(parent, variants),
            )
        if parent in chain:
            raise UserError(
                f"{where}: variants.{name}: extends itself: {' -> '.join([*chain, parent])}"
            )
        chain.append(parent)
    merged: dict[str, Any] = {}
    for link in reversed(chain):
        for key, value in variants[link].model_dump(exclude_unset=True).items():
            # The work tree is not taken over: its sharing is asked for, never a surprise.
            merged[key] = [*merged.get(key, []), *value] if isinstance(value, list) else value
        if link != name:
            merged.pop("tree", None)
    return Variant(**merged)


def _explain(error: ValidationError) -> str:
    """The first fault in words: where, what, and for an unknown key the nearest right one."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "value_error":
        return f"{where}: {fault['ctx']['error']}"
    if fault["type"] != "extra_forbidden":
        return f"{where}: {fault['msg'].lower()}"
    key = str(fault["loc"][-1])
    return f"unknown key '{where}'; {nearest(key, _keys_at(fault['loc'][:-1]))}"


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the model at a place of harness.toml allows."""
    model: Any = Config
    for part in loc:
        if isinstance(model, type) and issubclass(model, BaseModel):
            model = model.model_fields[str(part)].annotation
        else:
            model = get_args(model)[-1]
    if isinstance(model, type) and issubclass(model, BaseModel):
        return list(model.model_fields)
    return []
