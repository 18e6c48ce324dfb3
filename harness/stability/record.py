"""The files of a stability run: ``stability.json`` and the append-only ``verdicts.jsonl``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from harness.core.errors import UserError
from harness.core.workspace import write_atomic

VERDICTS_FILE = "verdicts.jsonl"
RUN_FILE = "stability.json"
Word = Literal["pass", "fail", "skip", "crash", "hang", "not run"]


class Verdict(BaseModel):
    """How one test ended on one variant."""

    suite: str
    test: str
    variant: str
    verdict: Word
    reason: str = ""
    seed: int = 0
    seconds: float = 0.0
    """Host seconds it took."""
    output: dict[str, Any] = Field(default_factory=dict)
    """What the test itself reported."""
    splats: list[str] = Field(default_factory=list)
    """Console text of everything the kernel complained of meanwhile."""
    boot: int = 0


class StabilityRun(BaseModel):
    """What was run, with what."""

    started: str
    finished: str = ""
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    accel: dict[str, Any] = Field(default_factory=dict)
    host: dict[str, Any] = Field(default_factory=dict)
    harness: dict[str, Any] = Field(default_factory=dict)
    suite: str = ""
    seed: int = 0
    seconds: float = 0.0
    smp: int = 0


class VerdictWriter:
    """Appends verdicts; each is on disk before the call returns.

    Raises :class:`UserError` when the directory cannot be written.
    """

    def __init__(self, directory: Path, run: StabilityRun) -> None:
        self.directory, self.run = directory, run
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self.save()
        except OSError as error:
            raise UserError(
                f"cannot write to {directory}: {error.strerror}", hint="choose another --out DIR"
            ) from error

    def save(self) -> None:
        """Write stability.json anew."""
        write_atomic(self.directory / RUN_FILE, self.run.model_dump_json(indent=1) + "\n")

    def add(self, verdict: Verdict) -> None:
        """Append one verdict."""
        with (self.directory / VERDICTS_FILE).open("a") as stream:
            stream.write(verdict.model_dump_json() + "\n")
            stream.flush()
            os.fsync(stream.fileno())


def load_verdicts(directory: Path) -> list[Verdict]:
    """The verdicts of a run; a torn last line is left out."""
    path = directory / VERDICTS_FILE
    found = []
    for line in path.read_text(errors="replace").split("\n") if path.exists() else []:
        try:
            found.append(Verdict.model_validate_json(line))
        except ValidationError:
            continue
    return found
