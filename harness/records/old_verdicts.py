"""The files of a stability run: ``stability.json`` and the append-only ``verdicts.jsonl``."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from harness.core import digest
from harness.core.errors import UserError
from harness.core.workspace import write_atomic

VERDICTS_FILE = "verdicts.jsonl"
RUN_FILE = "stability.json"
Word = Literal[
    "pass", "fail", "broken", "skip", "timeout", "hang", "lost", "crash", "not run",
]
"""``broken``: the test could not do its work. ``timeout``: the guest still answered;
``hang``: it did not; ``lost``: its SSH connection went and no crash was seen."""
BAD: frozenset[Word] = frozenset({"fail", "broken", "timeout", "hang", "lost", "crash"})


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
    parts: dict[str, Word] = Field(default_factory=dict)
    """Verdicts of the test's own sub-tests, where it names them."""
    splats: list[str] = Field(default_factory=list)
    """Console text of everything the kernel complained of meanwhile."""
    kinds: list[str] = Field(default_factory=list)
    """Their kinds, in the same order."""
    boot: int = 0
    attempt: int = 0
    """0 for the planned execution, then 1 and up for those that confirm a difference."""
    command: str = ""
    """What was run in the guest."""
    limits: tuple[float, float] = (120.0, 0.0)
    """Its seconds, those that are stretched and those that are not."""
    log: str = ""
    """The test's output, relative to the run's directory."""

    @property
    def ident(self) -> str:
        """The ID by which `harness reproduce` knows a test on a variant; no run is in it."""
        return digest.key([self.suite, self.variant, self.test, self.seed])[:8]


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
    guest: dict[str, Any] = Field(default_factory=dict)
    """Memory, command line, disks: what `harness reproduce` boots again."""
    false_starts: list[str] = Field(default_factory=list)
    """Boots that stood still and were begun again, each with its directory below boots/."""
    planned: dict[str, list[tuple[str, int]]] = Field(default_factory=dict)
    """Per variant: test and seed. What is here and has no verdict was not run."""


class VerdictWriter:
    """Appends verdicts; each is on disk before the call returns. Threads may share it.

    Raises :class:`UserError` when the directory cannot be written.
    """

    def __init__(self, directory: Path, run: StabilityRun) -> None:
        self.directory, self.run = directory, run
        self._lock = threading.Lock()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self.save()
            self._mend()
        except OSError as error:
            raise UserError(
                f"cannot write to {directory}: {error.strerror}", hint="choose another --out DIR"
            ) from error

    def save(self) -> None:
        """Write stability.json anew."""
        with self._lock:
            write_atomic(self.directory / RUN_FILE, self.run.model_dump_json(indent=1) + "\n")

    def add(self, verdict: Verdict) -> None:
        """Append one verdict."""
        with self._lock, (self.directory / VERDICTS_FILE).open("a") as stream:
            stream.write(verdict.model_dump_json() + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    def _mend(self) -> None:
        """End a line that a killed run left torn, so that the next one is not lost with it."""
        path = self.directory / VERDICTS_FILE
        if path.exists() and not path.read_bytes().endswith(b"\n"):
            with path.open("a") as stream:
                stream.write("\n")


def load_verdicts(directory: Path) -> list[Verdict]:
    """The verdicts of a run; a torn line is left out."""
    path = directory / VERDICTS_FILE
    found = []
    for line in path.read_text(errors="replace").split("\n") if path.exists() else []:
        with contextlib.suppress(ValidationError):
            found.append(Verdict.model_validate_json(line))
    return found


def load_run(directory: Path) -> tuple[StabilityRun, list[Verdict]]:
    """A run and its verdicts; a planned test without one is there as ``not run``.

    Raises :class:`UserError` when the directory holds no readable stability run.
    """
    try:
        run = StabilityRun.model_validate_json((directory / RUN_FILE).read_text())
    except (OSError, ValidationError) as error:
        raise UserError(f"{directory} holds no stability run") from error
    found = load_verdicts(directory)
    return run, found + not_run(run, found)


def not_run(run: StabilityRun, found: list[Verdict]) -> list[Verdict]:
    """A verdict ``not run`` for every planned test that has none."""
    seen = {(v.variant, v.test, v.seed) for v in found}
    return [
        Verdict(suite=run.suite, test=test, variant=variant, verdict="not run", seed=seed,
                reason="the run ended before it")
        for variant, tests in run.planned.items() for test, seed in tests
        if (variant, test, seed) not in seen
    ]
