"""Moments as they stand in records."""

from __future__ import annotations

import datetime


def now() -> str:
    """UTC, ISO 8601, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def stamp() -> str:
    """The same for a directory's name: ``20261126-190512``."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
