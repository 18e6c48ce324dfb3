"""What sources need to build with today's tools: make variables, symbols, patches of our own.

``kernel/patches/compat/rules.toml`` says which, for which kernels and compilers, and why.
A rule holds for a base, so it is the same for all variants of it; which ones were applied
is part of the build's key and of its record.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, ValidationError

from harness.core import versions
from harness.core.errors import UserError
from harness.core.versions import Range, Version
from harness.kernel.series.patches import Patch, load_patches
from harness.project import builtin
from harness.project.table import Strict
from harness.records.kernels import CompatRecord

DIRECTORY = "kernel/patches/compat"
RULES = "rules.toml"


class Rule(Strict):
    """One thing that some kernels need under some compilers."""

    name: str
    reason: str
    kernels: str = ""
    """Range of kernel versions; empty: all."""
    gcc: str = ""
    """Range of gcc versions; empty: all."""
    where: dict[str, str] = Field(default_factory=dict)
    """File of the tree -> text that it must have: names one snapshot, however it came here."""
    unless: dict[str, str] = Field(default_factory=dict)
    """File of the tree -> text: does not apply where the file has it already (a backport)."""
    language: str = Field(default="", pattern=r"^(gnu|c)\d\d$|^$")
    """C standard of what is compiled without naming one: boot code of old kernels, for one."""
    make: dict[str, str] = Field(default_factory=dict)
    config: dict[str, str] = Field(default_factory=dict)
    patches: list[str] = Field(default_factory=list)
    """Files beside rules.toml, applied before the series."""


class Rules(Strict):
    """The whole file."""

    rules: list[Rule] = Field(default_factory=list)


@dataclass(frozen=True)
class Compat:
    """What the rules that hold amount to."""

    make: dict[str, str] = field(default_factory=dict)
    language: str = ""
    config: dict[str, str] = field(default_factory=dict)
    patches: tuple[Patch, ...] = ()
    applied: tuple[Rule, ...] = ()

    def inputs(self) -> dict[str, object]:
        """What of it the key of a build must hold; patches and symbols are there by themselves."""
        return {"make": self.make, **({"language": self.language} if self.language else {})}

    def record(self) -> list[CompatRecord]:
        """For build.json and run.json."""
        return [
            CompatRecord(name=rule.name, reason=rule.reason, details={
                key: what for key, what in (
                    ("make", _assignments(rule.make)), ("language", rule.language),
                    ("config", _assignments(rule.config)), ("patches", ", ".join(rule.patches)),
                ) if what
            })
            for rule in self.applied
        ]


def _assignments(values: dict[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())


def choose(root: Path, read: Callable[[str], str], kernel: str, compiler: str) -> Compat:
    """What the kernel of version ``kernel`` needs; ``compiler`` as gcc says it.

    ``root`` is the project's, whose rules come before built-in ones, ``read`` gives a file of the
    tree, or the empty string. Raises :class:`UserError`
    for a damaged rules.toml or a missing patch.
    """
    version, gcc = versions.parse(kernel), gcc_version(compiler)
    applied = [
        rule for rule in load(root)
        if _holds(rule, version, gcc)
        and all(text in read(name) for name, text in rule.where.items())
        and not any(text in read(name) for name, text in rule.unless.items())
    ]
    make: dict[str, str] = {}
    config: dict[str, str] = {}
    patches: list[Patch] = []
    for rule in applied:
        make |= rule.make
        config |= rule.config
        for name in rule.patches:
            folder = builtin.find(root, f"{DIRECTORY}/{name}").parent
            patches += load_patches(folder, [name], f"rule {rule.name}", "compat")
    language = next((rule.language for rule in reversed(applied) if rule.language), "")
    return Compat(make, language, config, tuple(patches), tuple(applied))


def load(root: Path) -> list[Rule]:
    """The built-in rules, and those of the project: of two of one name the project's holds."""
    rules: dict[str, Rule] = {}
    for top in dict.fromkeys((builtin.builtin_root(), root)):
        rules |= {rule.name: rule for rule in _read(top / DIRECTORY / RULES)}
    return list(rules.values())


def _read(path: Path) -> list[Rule]:
    """The rules of one file; none where there is none."""
    if not path.exists():
        return []
    try:
        return Rules.model_validate(tomllib.loads(path.read_text())).rules
    except (tomllib.TOMLDecodeError, OSError) as error:
        raise UserError(f"{path}: {error}") from error
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise UserError(f"{path}: {where}: {fault['msg'].lower()}") from error


def _holds(rule: Rule, kernel: Version, gcc: Version | None) -> bool:
    where = f"compat rule {rule.name}"
    if not Range.parse(rule.kernels, where).holds(kernel):
        return False
    return not rule.gcc or (gcc is not None and Range.parse(rule.gcc, where).holds(gcc))


def gcc_version(compiler: str) -> Version | None:
    """The 12.2.0 of ``gcc (Debian 12.2.0-14) 12.2.0, GNU ld ...``; None when it is no gcc."""
    match = re.match(r"\S*gcc\S* \([^)]*\) (\d+(?:\.\d+)*)", compiler)
    return versions.parse(match[1]) if match else None
