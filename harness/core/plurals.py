"""Counts in words."""

from __future__ import annotations


def plural(count: int, noun: str, many: str = "") -> str:
    """``1 test``, ``2 tests``; ``many`` for a noun that does not take an s."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"
