"""``harness.toml``: bases, variants, image, profiles. Data, not code; checked to the last key.

Raises :class:`UserError` for anything wrong, naming the key and the nearest right one.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.core.errors import UserError

FILE_NAME = "harness.toml"
T = TypeVar("T")


class Strict(BaseModel):
    """A table of harness.toml in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Base(Strict):
    """A kernel source tree: where it comes from."""

    kind: Literal["debian", "dir"]
    suite: str = ""
    """Debian suite, for kind ``debian``."""
    package: str = ""
    """Debian source-tree package such as ``linux-source-6.1``, for kind ``debian``."""
    security: bool = False
    """Take the security archive's version where it is newer, as apt on the system would."""
    version: str = ""
    """Pin to one package version; empty takes what the mirror has."""
    path: str = ""
    """The tree, for kind ``dir``."""
    config: list[str] = Field(default_factory=list)
    """Fragments of kernel/config/ that every variant of the base gets, in order."""


class Variant(Strict):
    """A kernel to measure: base + series + fragments."""

    base: str = ""
    """Name of a base; empty means the default base."""
    series: str = ""
    """Directory with a ``series`` file (``{base}``: the base's name). Empty: no patches."""
    config: list[str] = Field(default_factory=list)
    """More fragments of kernel/config/, after the base's."""


class Image(Strict):
    """The guests' root file system."""

    suite: str = "bookworm"
    packages: list[str] = Field(default_factory=list)
    size: str = "1500M"
    """Size of the (sparse) file, with head-room for tests; in mke2fs notation."""


class Guest(Strict):
    """The virtual machine every boot gets unless flags say otherwise."""

    smp: int = Field(default=4, ge=1, le=64)
    memory: str = "4G"
    cmdline: str = ""
    """Appended to the kernel command line of every boot, recorded with it."""


class WorkloadPlan(Strict):
    """One workload of a profile; ``params`` are the workload's own."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)
    repeat: int = Field(default=2, ge=1)


class Profile(Strict):
    """A named experiment: what ``harness bench --profile NAME`` runs."""

    description: str = ""
    boots: int = Field(default=2, ge=1)
    """Boots of each variant."""
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
    variants: dict[str, Variant]
    image: Image = Field(default_factory=Image)
    guest: Guest = Field(default_factory=Guest)
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
    for name, variant in config.variants.items():
        base = variant.base or config.defaults.base
        if base not in config.bases:
            raise UserError(
                f"{where}: variants.{name}: unknown base '{base}'",
                hint=nearest(base, config.bases),
            )
    return config


def _explain(error: ValidationError) -> str:
    """The first fault in words: where, what, and for an unknown key the nearest right one."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
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
