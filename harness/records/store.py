"""A run's directory: ``run.json`` and the append-only ``boots``, ``samples``, ``verdicts`` files.

One JSON object a line, on disk before a call returns, so that a kill loses at most the line in
flight. What is shown of a run is made from these files alone.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from harness.core import jsonl
from harness.core.errors import UserError
from harness.core.workspace import write_atomic
from harness.records.boots import BootRecord
from harness.records.profiles import CellProfile
from harness.records.record import SCHEMA, Record
from harness.records.runs import Run
from harness.records.samples import Sample
from harness.records.verdicts import Verdict

RUN_FILE = "run.json"
BOOTS_FILE = "boots.jsonl"
SAMPLES_FILE = "samples.jsonl"
VERDICTS_FILE = "verdicts.jsonl"
PROFILES_FILE = "profiles.jsonl"
AnyRecord = TypeVar("AnyRecord", bound=Record)


class RunWriter:
    """Writes a run's files; threads may share it.

    Raises :class:`UserError` when the directory cannot be written.
    """

    def __init__(self, directory: Path, run: Run) -> None:
        self.directory = directory
        self.run = run
        self._lock = threading.Lock()
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self.save()
        except OSError as error:
            raise UserError(
                f"cannot write the run to {directory}: {error.strerror}",
                hint="choose another place with --out DIR",
            ) from error

    def save(self) -> None:
        """Write run.json anew; a reader sees the old content or the new."""
        with self._lock:
            self.run.process = os.getpid() if self.run.status == "running" else 0
            write_atomic(self.directory / RUN_FILE, self.run.model_dump_json(indent=1) + "\n")

    def samples(self, samples: Sequence[Sample]) -> None:
        """Append samples, all in one write: a cell is there whole or not at all."""
        self._append(SAMPLES_FILE, samples)

    def profiles(self, profiles: Sequence[CellProfile]) -> None:
        """Append profiles, all in one write."""
        if profiles:
            self._append(PROFILES_FILE, profiles)

    def boot(self, record: BootRecord) -> None:
        """Append the record of a boot."""
        self._append(BOOTS_FILE, [record])

    def verdict(self, verdict: Verdict) -> None:
        """Append a verdict."""
        self._append(VERDICTS_FILE, [verdict])

    def _append(self, name: str, records: Sequence[Record]) -> None:
        with self._lock:
            jsonl.append(self.directory / name, (one.model_dump_json() for one in records))


def has_boots(directory: Path) -> bool:
    """Whether any boot of a run was begun, or a test done."""
    return any(
        path.is_file() and path.stat().st_size > 0
        for path in (directory / BOOTS_FILE, directory / VERDICTS_FILE)
    )


def _runs_below(directory: Path) -> str:
    """Which runs a directory has in it, if it has."""
    found = sorted(path.parent for path in directory.glob(f"*/{RUN_FILE}"))
    found = found or sorted(path.parent for path in directory.glob(f"*/*/{RUN_FILE}"))
    if not found:
        return ""
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return f"there are runs in it: {', '.join(map(str, found[:3]))}{more}"


def load_run(directory: Path) -> Run:
    """Read run.json.

    Raises :class:`UserError` when it is missing, damaged, or of another schema.
    """
    path = directory / RUN_FILE
    try:
        value = json.loads(path.read_text())
    except OSError as error:
        raise UserError(
            f"{directory} is not a run: it has no {RUN_FILE}", hint=_runs_below(directory)
        ) from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    found = value.get("schema_version") if isinstance(value, dict) else None
    if found != SCHEMA:
        raise UserError(
            f"{path} is of schema {found}, this harness reads schema {SCHEMA}",
            hint="report on it with the harness that made it",
        )
    try:
        return Run.model_validate(value)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise UserError(f"{path} is damaged: {where}: {fault['msg']}") from error


def is_run(directory: Path) -> bool:
    """Whether the directory holds a run."""
    return (directory / RUN_FILE).is_file()


def iter_samples(directory: Path) -> Iterator[Sample | None]:
    """The samples one by one, None for a line that could not be read.

    A time series of hours has 100,000 samples of some 2 kB each: too many to hold.
    """
    return _iter(directory / SAMPLES_FILE, Sample)


def load_samples(directory: Path) -> tuple[list[Sample], int]:
    """The samples and the number of lines that could not be read."""
    return _load(directory / SAMPLES_FILE, Sample)


def load_profiles(directory: Path) -> tuple[list[CellProfile], int]:
    """The profiles and the number of lines that could not be read."""
    return _load(directory / PROFILES_FILE, CellProfile)


def load_boots(directory: Path) -> tuple[list[BootRecord], int]:
    """The boots' records and the number of lines that could not be read."""
    return _load(directory / BOOTS_FILE, BootRecord)


def load_verdicts(directory: Path) -> tuple[list[Verdict], int]:
    """The verdicts and the number of lines that could not be read."""
    return _load(directory / VERDICTS_FILE, Verdict)


def _load(path: Path, model: type[AnyRecord]) -> tuple[list[AnyRecord], int]:
    found = list(_iter(path, model))
    records = [record for record in found if record is not None]
    return records, len(found) - len(records)


def _iter(path: Path, model: type[AnyRecord]) -> Iterator[AnyRecord | None]:
    for value in jsonl.read(path):
        try:
            yield model.model_validate(value)
        except ValidationError:
            yield None
