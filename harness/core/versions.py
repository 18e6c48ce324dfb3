"""Versions of kernels and compilers, and ranges of them such as ``>= 5.10, < 6.2``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from harness.core.errors import UserError

Version = tuple[int, ...]
BOUND = re.compile(r"(<=|>=|<|>)\s*(\d+(?:\.\d+)*)")
COMPARE: dict[str, Callable[[Version, Version], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}


def parse(text: str) -> Version:
    """The numbers a version starts with: ``5.14.0-rc5-next`` and ``6.1.192-2`` lose their tails.

    Raises :class:`UserError` when it starts with none.
    """
    match = re.match(r"\d+(?:\.\d+)*", text)
    if not match:
        raise UserError(f"'{text}' is no version")
    return tuple(map(int, match[0].split(".")))


@dataclass(frozen=True)
class Range:
    """Versions between bounds. A bound ``6.1`` means the whole of 6.1: 6.1.5 is not above it."""

    bounds: tuple[tuple[str, Version], ...] = ()

    @staticmethod
    def parse(text: str, where: str) -> Range:
        """Read ``>= 5.10, < 6.2``; empty is every version.

        Raises :class:`UserError` that names ``where`` for anything else.
        """
        bounds = []
        for word in filter(None, (part.strip() for part in text.split(","))):
            match = BOUND.fullmatch(word)
            if not match:
                raise UserError(
                    f"{where}: '{word}' is no bound of a version", hint="write e.g. >= 5.10, < 6.2"
                )
            bounds.append((match[1], parse(match[2])))
        return Range(tuple(bounds))

    def holds(self, version: Version) -> bool:
        """Whether a version lies within all bounds."""
        return all(
            COMPARE[sign](version[: len(bound)], bound) for sign, bound in self.bounds
        )
