"""Digests: the names of everything in the cache are hashes of its inputs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

KEY_LENGTH = 16  # hex digits kept of a SHA-256 in a cache key: 64 bits


def of_bytes(data: bytes) -> str:
    """SHA-256 of ``data``, in hex."""
    return hashlib.sha256(data).hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def of_json(value: Any) -> str:
    """SHA-256 of a JSON-able value; independent of the order of dictionary keys."""
    return of_bytes(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def key(value: Any) -> str:
    """A cache key: the first digits of :func:`of_json`."""
    return of_json(value)[:KEY_LENGTH]
