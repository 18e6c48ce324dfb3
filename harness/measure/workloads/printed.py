"""Numbers out of what a program prints, read without trust.

Each function raises :class:`InfrastructureError` that says what is missing: a number that is not
there must never become a zero.
"""

from __future__ import annotations

import json
import math
import re

from harness.core.errors import InfrastructureError

SHOWN = 400  # characters of output that an error shows, from the end


def from_json(text: str, key: str) -> float:
    """The number at ``key`` (``latency.p99``) of the last line that is a JSON object."""
    for line in reversed(text.splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return _number(_at(value, key), key, text)
    raise _missing("no line that is a JSON object", text)


def _at(value: object, key: str) -> object:
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def from_pattern(text: str, pattern: str) -> float:
    """The group of the last match of a regular expression."""
    found = re.findall(pattern, text, re.MULTILINE)
    if not found:
        raise _missing(f"nothing that matches '{pattern}'", text)
    return _number(str(found[-1]).replace(",", ""), pattern, text)


def last_number(text: str) -> tuple[float, str] | None:
    """A number of the program's own and its unit, where its last line is just that.

    ``123.4``, ``123.4 ns/op``, ``latency: 123.4 us``; None when the line is anything else.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    match = re.fullmatch(
        r"(?:[\w ()/-]+[:=]\s*)?(-?\d[\d,]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([\w/%.-]*)",
        lines[-1] if lines else "",
    )
    if match is None:
        return None
    value = float(match[1].replace(",", ""))
    return (value, match[2]) if math.isfinite(value) else None


def _number(value: object, what: str, text: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _missing(f"no number for '{what}'", text)
    try:
        number = float(value)
    except ValueError as error:
        raise _missing(f"no number for '{what}' but '{value}'", text) from error
    if not math.isfinite(number):
        raise _missing(f"{number} for '{what}', which is no number to compare", text)
    return number


def _missing(what: str, text: str) -> InfrastructureError:
    if not text.strip():
        return InfrastructureError("the program printed nothing", hint="see `parse` and `run`")
    return InfrastructureError(f"the program printed {what}", excerpt=text[-SHOWN:].strip())
