"""Numbers as people print them: read, and compared to the last digit that stands there."""

from __future__ import annotations

import re

from harness.core.errors import UserError

_NUMBER = re.compile(r"^([+-]?)(\d+(?:,\d{3})*)(?:\.(\d+))?$")
_TIE = 1e-6  # in units of the last digit: 0.125 may be printed as 0.12 or as 0.13


def parse(text: str) -> tuple[float, int]:
    """``"7,249.9"`` as its value and its decimals; raises :class:`UserError` for no number."""
    found = _NUMBER.match(text.strip().removesuffix("%").strip())
    if found is None:
        raise UserError(
            f"'{text}' is not a number as a page prints one", hint="write it like 7,249.9 or +0.54"
        )
    sign, whole, decimals = found.groups()
    value = float(f"{whole.replace(',', '')}.{decimals or 0}")
    return (-value if sign == "-" else value), len(decimals or "")


def agrees(value: float, text: str) -> bool:
    """Whether a value, rounded to as many decimals as the text has, is what the text says."""
    printed, decimals = parse(text)
    last = 10.0 ** -decimals
    return abs(value - printed) <= last * (0.5 + _TIE)


def spelt(value: float, like: str) -> str:
    """A value with as many decimals as a printed number has, and its sign where that has one."""
    decimals = parse(like)[1]
    sign = "+" if like.strip()[0] in "+-" else ""
    return f"{value:{sign},.{decimals}f}"
