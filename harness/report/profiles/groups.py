"""Groups of kernel functions: groups.toml beside this file, or a project's own table."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.core.errors import UserError

BUILT_IN = Path(__file__).with_name("groups.toml")
OTHER = "other"


class FunctionGroup(BaseModel):
    """One group of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    functions: tuple[str, ...] = ()
    """Regular expressions for whole names."""
    files: tuple[str, ...] = ()
    """Shell patterns for the last part of a file's path, or for the path where they hold a /."""


@dataclass(frozen=True)
class Groups:
    """A table of groups; the first that fits has a function."""

    groups: tuple[FunctionGroup, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the groups, ``other`` last."""
        return (*(group.name for group in self.groups), OTHER)

    def title(self, name: str) -> str:
        """A group's name in words."""
        return next((g.title for g in self.groups if g.name == name), "Everything else")

    def of(self, function: str, file: str = "") -> str:
        """The name of the group that a function is in."""
        plain = function.partition(" (")[0]
        for group in self.groups:
            if (pattern := _pattern(group.functions)) and pattern.fullmatch(plain):
                return group.name
        for group in self.groups:
            if file and any(_fits(file, pattern) for pattern in group.files):
                return group.name
        return OTHER


@cache
def _pattern(functions: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{text})" for text in functions)) if functions else None


def _fits(file: str, pattern: str) -> bool:
    return fnmatch.fnmatch(file if "/" in pattern else file.rpartition("/")[2], pattern)


@cache
def load(path: Path = BUILT_IN) -> Groups:
    """Read a table; raises :class:`UserError` for one that cannot be used."""
    try:
        tables = tomllib.loads(path.read_text()).get("group", [])
        groups = tuple(FunctionGroup.model_validate(table) for table in tables)
        for group in groups:
            _pattern(group.functions)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, ValidationError, re.error) as error:
        raise UserError(f"{path} is no table of groups: {error}") from error
    return Groups(groups)
