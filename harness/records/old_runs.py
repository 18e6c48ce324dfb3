"""The files of a run: ``run.json``, ``boots.jsonl``, ``samples.jsonl``.

``run.json`` says what was planned and with what; the two ``.jsonl`` files are
append-only, one JSON object a line, so that a crash loses at most the line in
flight. A report is made from these files alone.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.core.errors import UserError
from harness.core.workspace import write_atomic
from harness.records.events import FalseStart
from harness.records.hosts import HostState
from harness.records.kernels import Kernel

SCHEMA = 1
CONTROL_MARK = " (control)"
"""Ends the name of the A/A control: the variant of that name, booted under a second one."""
__all__ = ["FalseStart", "HostState"]
Record = TypeVar("Record", bound=BaseModel)
RUN_FILE = "run.json"
BOOTS_FILE = "boots.jsonl"
SAMPLES_FILE = "samples.jsonl"


def old_kernel(kernel: Kernel) -> dict[str, Any]:
    """A kernel as run.json had it."""
    value = kernel.model_dump()
    source = value["source"]
    patches = [
        {k: v for k, v in patch.items() if (k, v) != ("kind", "series")}
        for patch in value["patches"]
    ]
    series = value["series"] or {}
    return {
        **value, "patches": patches,
        "source": {**source["details"], **{k: v for k, v in source.items() if k != "details"}},
        "series": {**series.get("details", {}), "kind": series["kind"]} if series else {},
    }


class Sample(BaseModel):
    """One number.

    ``t`` is None for a result of the workload, and seconds since the workload's
    start for a point of a time series (VmPTE while the loop runs).
    """

    model_config = ConfigDict(extra="forbid")

    run: str
    variant: str
    boot: int
    """Index of the boot in the run's plan."""
    workload: str
    params: dict[str, Any]
    repeat: int
    metric: str
    value: float
    unit: str
    accel: str
    """kvm, tcg or icount."""
    t: float | None = None


class Crash(BaseModel):
    """A guest's death, as seen on its console."""

    kind: str
    text: str
    workload: str = ""
    params: dict[str, Any] = Field(default_factory=dict)


class BootRecord(BaseModel):
    """One boot (or one attempt at it): where, how, and how it ended."""

    boot: int
    variant: str
    accel: str = ""
    """kvm, tcg or icount."""
    status: Literal["ok", "crashed", "failed", "interrupted"]
    started: str
    """UTC, ISO 8601."""
    seconds_to_ready: float | None = None
    false_starts: list[FalseStart] = Field(default_factory=list)
    """Tries at this boot before the one that is recorded here."""
    qemu_argv: list[str] = Field(default_factory=list)
    seed: int | None = None
    """Seed of the boot's preamble; boots of two variants with one seed had one history."""
    guest: dict[str, Any] = Field(default_factory=dict)
    """uname, cmdline, thp, memory_kb, cpus as the guest itself reports them."""
    host_load: list[float] = Field(default_factory=list)
    """The host's load averages when the boot began."""
    host: HostState = Field(default_factory=HostState)
    not_run: list[dict[str, Any]] = Field(default_factory=list)
    """Cells (workload, params) that this boot did not finish, each with a reason."""
    crash: Crash | None = None
    trouble: list[Crash] = Field(default_factory=list)
    """What else the console announced and the guest survived: warnings, stalls, lockdep."""
    error: str = ""
    console: str = ""
    """Console log, relative to the run's directory."""


RunStatus = Literal["running", "complete", "crashed", "interrupted", "failed"]


class Run(BaseModel):
    """``run.json``: all that is needed to judge the samples beside it."""

    schema_version: int = SCHEMA
    run: str
    status: RunStatus = "running"
    started: str = ""
    finished: str = ""
    harness: dict[str, Any] = Field(default_factory=dict)
    """version, git revision, whether the tree was dirty."""
    plan: dict[str, Any] = Field(default_factory=dict)
    """profile, variants, boots, order of boots, workloads with params and repeat, smp, memory."""
    variants: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Per variant the build's metadata: base, release, config digest, patches, compiler, key."""
    accel: dict[str, Any] = Field(default_factory=dict)
    """name (kvm, tcg, icount) and reason."""
    accels: list[dict[str, Any]] = Field(default_factory=list)
    """The same of every accel, in a run that has several; ``accel`` is the first."""
    qemu: dict[str, Any] = Field(default_factory=dict)
    host: dict[str, Any] = Field(default_factory=dict)
    """cpu (model name), cores, memory_kb, kernel."""
    image: dict[str, Any] = Field(default_factory=dict)


class RunWriter:
    """Writes a run's files; every line is on disk before the call returns.

    Raises :class:`UserError` when the directory cannot be written.
    """

    def __init__(self, directory: Path, run: Run) -> None:
        self.directory = directory
        self.run = run
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self.save()
        except OSError as error:
            raise UserError(
                f"cannot write the run to {directory}: {error.strerror}",
                hint="choose another place with --out DIR",
            ) from error

    def save(self) -> None:
        """Write run.json anew."""
        write_atomic(self.directory / RUN_FILE, self.run.model_dump_json(indent=1) + "\n")

    def sample(self, sample: Sample) -> None:
        """Append a sample."""
        self.samples([sample])

    def samples(self, samples: list[Sample]) -> None:
        """Append samples, all in one write."""
        _append(self.directory / SAMPLES_FILE, samples)

    def boot(self, record: BootRecord) -> None:
        """Append the record of a boot."""
        _append(self.directory / BOOTS_FILE, [record])


def _append(path: Path, records: list[Any]) -> None:
    data = "".join(record.model_dump_json() + "\n" for record in records).encode()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        if os.lseek(handle, 0, os.SEEK_END) and not _ends_with_newline(path):
            data = b"\n" + data  # a torn line of a killed run must not swallow this one
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"


def load_run(directory: Path) -> Run:
    """Read run.json; raises :class:`UserError` when it is missing or damaged."""
    path = directory / RUN_FILE
    try:
        return Run.model_validate_json(path.read_text())
    except OSError as error:
        raise UserError(f"{directory} is not a run: no {RUN_FILE}") from error
    except ValidationError as error:
        raise UserError(f"{path} is damaged: {error.errors()[0]['msg']}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged: it is not UTF-8") from error


def load_samples(directory: Path) -> tuple[list[Sample], int]:
    """The samples of a run and the number of lines that could not be read."""
    return _load_lines(directory / SAMPLES_FILE, Sample)


def iter_samples(directory: Path) -> Iterator[Sample | None]:
    """The samples of a run one by one, None for a line that could not be read.

    A time series of hours has 100,000 samples of some 2 kB each: too many to hold.
    """
    return _iter_lines(directory / SAMPLES_FILE, Sample)


def load_boots(directory: Path) -> tuple[list[BootRecord], int]:
    """The boot records of a run and the number of lines that could not be read."""
    return _load_lines(directory / BOOTS_FILE, BootRecord)


def _load_lines(path: Path, model: type[Record]) -> tuple[list[Record], int]:
    found = list(_iter_lines(path, model))
    records = [record for record in found if record is not None]
    return records, len(found) - len(records)


def _iter_lines(path: Path, model: type[Record]) -> Iterator[Record | None]:
    """Each line as a record, or None; a missing file has no lines."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
        # Bytes end at \n only: JSON leaves U+2028, U+0085 and friends as they are in an oops.
        for line in stream:
            if not line.strip():
                continue
            try:
                record = model.model_validate(json.loads(line.decode(errors="replace")))
            except (ValueError, RecursionError):  # ValidationError is a ValueError
                yield None
            else:
                yield record
