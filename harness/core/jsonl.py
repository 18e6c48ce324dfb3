"""JSON lines: one object a line, appended so that a kill loses at most the line in flight."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


def append(path: Path, lines: Iterable[str]) -> None:
    """Append lines (JSON without line ends) in one write; they are on disk when it returns."""
    data = "".join(line + "\n" for line in lines).encode()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.lseek(handle, 0, os.SEEK_END)
        if size and os.pread(handle, 1, size - 1) != b"\n":
            data = b"\n" + data  # a torn line of a killed run must not swallow this one
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)


def read(path: Path) -> Iterator[object]:
    """Each line's value, None for one that is no JSON; a missing file has no lines."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
        # Bytes end at \n only: JSON leaves U+2028, U+0085 and friends as they are in an oops.
        for line in stream:
            if not line.strip():
                continue
            try:
                yield json.loads(line.decode(errors="replace"))
            except (ValueError, RecursionError):
                yield None
