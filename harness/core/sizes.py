"""Sizes as people and tools write them: ``512M``, ``4G``, ``1500m``."""

from __future__ import annotations

import re

from harness.core.errors import UserError

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40
_UNITS = {"K": KIB, "M": MIB, "G": GIB, "T": TIB}
_SIZE = re.compile(r"(\d+)([KMGT]?)", re.IGNORECASE)


def parse(text: str, what: str, *, unit: int = MIB, least: int = 1) -> int:
    """A size in bytes; a bare number is in ``unit`` bytes.

    Raises :class:`UserError` that names ``what`` for anything else, and for less than ``least``
    bytes.
    """
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise UserError(f"{what} {text!r} is not a size", hint="write for example 4G or 2048M")
    size = int(match[1]) * (_UNITS[match[2].upper()] if match[2] else unit)
    if size < least:
        raise UserError(f"{what} {text} is too small", hint=f"give at least {words(least)}")
    return size


def words(size: int) -> str:
    """``256M``, ``4G``: the largest unit that divides it."""
    for letter, unit in reversed(_UNITS.items()):
        if size and size % unit == 0:
            return f"{size // unit}{letter}"
    return str(size)
