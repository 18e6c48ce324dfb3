"""A worker's side: does the boots of a job in a run's directory of its own, hands back all of it.

Nothing is written to the record here: what a worker that dies has done is lost with it, and done
again elsewhere. A job that nobody waits for any more, because its client is gone, ends its guest.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import harness
from harness.core import moments
from harness.core.errors import HarnessError, UserError
from harness.core.progress import Progress, Task
from harness.core.workspace import Workspace
from harness.fleet import parcels
from harness.fleet.jobs import BootJob, JobResult, Stand
from harness.fleet.parcels import Parcel
from harness.machine.session import Session
from harness.measure.hoststate import describe_harness, describe_host, host_name
from harness.measure.runner import Runner
from harness.records.hosts import FleetHost, Host
from harness.records.runs import Run
from harness.records.store import RunWriter, load_boots, load_profiles, load_samples

WORKSPACE_VARIABLE = "HARNESS_FLEET_WORKSPACE"
EVENT_EVERY_S = 2.0
LOOK_EVERY_S = 0.5
WANTED = ("executing", "long-running")
"""States of a task of Dask's in which somebody waits for its result."""


class Abandoned(Exception):
    """Nobody waits for the result of a job any more."""


def perform(job: BootJob) -> JobResult:
    """Do the boots of a job, in a worker's thread.

    Raises :class:`Abandoned`. What goes wrong otherwise is in the result.
    """
    from distributed import get_worker  # noqa: PLC0415

    worker = get_worker()
    desk = WorkerDesk(worker, str(worker.get_current_task()), job.topic)
    host = FleetHost(host=describe_host(), harness=describe_harness())
    name = host_name()
    # Dask's own directory: what a worker that was killed leaves there is cleared away by Dask.
    with tempfile.TemporaryDirectory(prefix="boots.", dir=worker.local_directory) as scratch:
        directory = Path(scratch) / job.run
        error: HarnessError | None = None
        with desk:
            try:
                stand = _ready(job, desk, directory)
                host = stand.host.model_copy(update={"host": host.host, "harness": host.harness})
                bench = replace(stand.bench, planned=job.planned)
                Runner(bench, RunWriter(directory, _run(job))).run()
            except HarnessError as fault:
                error = fault
            desk.check()
        desk.send({"note": ""})
        samples = load_samples(directory)[0][len(job.earlier):]
        return JobResult(
            host, name, tuple(load_boots(directory)[0]), tuple(samples),
            tuple(load_profiles(directory)[0]), packed(directory / "boots"),
            error.line() if error else "", error.exit_code if error else 0,
        )


def _ready(job: BootJob, desk: WorkerDesk, directory: Path) -> Stand:
    check_version(job.version)
    # Before the bench: what was measured earlier is not measured again.
    writer = RunWriter(directory, _run(job))
    if job.earlier:
        writer.samples(job.earlier)
    return job.make(job, desk, directory)


def check_version(client: str) -> None:
    """That this host has the client's harness; raises :class:`UserError`."""
    if client != harness.__version__:
        raise UserError(
            f"this host has harness {harness.__version__}, the client {client}",
            hint="install the same on all",
        )


def _run(job: BootJob) -> Run:
    return Run(run=job.run, started=moments.now(), plan=job.plan, host=Host())


def packed(folder: Path) -> bytes:
    """A directory as a compressed archive; empty when there is none."""
    if not folder.is_dir():
        return b""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name)
    return buffer.getvalue()


def unpack(files: bytes, folder: Path) -> None:
    """What :func:`packed` made, into a directory; nothing can get out of it."""
    if not files:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(files), mode="r:gz") as archive:
        archive.extractall(folder, filter="data")


class WorkerDesk:
    """What a job has on a worker of Dask's; a context manager that watches over it."""

    def __init__(self, worker: Any, key: str, topic: str) -> None:
        given = os.environ.get(WORKSPACE_VARIABLE)
        self.workspace = Workspace(Path(given) if given else None)
        self._worker, self._key, self._topic = worker, key, topic
        self.progress: Progress = Relay(self.send)
        self._sessions: list[Session] = []
        self._gone = False
        self._end = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> WorkerDesk:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._watch.join()

    def send(self, event: dict[str, str]) -> None:
        """An event to the client."""
        whose = {"worker": str(self._worker.address), "host": host_name(), "key": self._key}
        self._worker.log_event(self._topic, {**whose, **event})

    def fetch(self, parcel: Parcel) -> Path:
        """The directory of a parcel's files on this host."""
        return parcels.fetch(
            self.workspace, parcel, lambda ident: self.send({"want": ident}), self.check
        )

    def begun(self, session: Session) -> None:
        """A session that ends at once when the job is abandoned."""
        self.check()
        self._sessions.append(session)

    def check(self) -> None:
        """Raise :class:`Abandoned` when nobody waits any more."""
        if self._gone or not self._wanted():
            raise Abandoned(self._key)

    def _wanted(self) -> bool:
        task = self._worker.state.tasks.get(self._key)
        return task is not None and task.state in WANTED

    def _look(self) -> None:
        while not self._end.wait(LOOK_EVERY_S):
            if not self._wanted():
                self._gone = True
                for session in self._sessions:
                    with contextlib.suppress(HarnessError, OSError):
                        session.kill()
                return


class _RelayTask(Task):
    """Says what a worker does, now and then."""

    def __init__(self, title: str, total: float | None, relay: Relay) -> None:
        super().__init__(title, total, quiet=True)
        self._relay = relay
        self._last = 0.0

    def update(self, done: float, note: str = "") -> None:
        self.done = done
        now = time.monotonic()
        if note and now - self._last >= EVENT_EVERY_S:
            self._last = now
            self._relay.send({"note": note})


class Relay(Progress):
    """The voice of a worker: what it says is said by the client."""

    def __init__(self, send: Callable[[dict[str, str]], None]) -> None:
        super().__init__(-1)
        self.send = send

    def warn(self, text: str) -> None:
        self.send({"warn": text})

    @contextlib.contextmanager
    def task(self, title: str, total: float | None = None) -> Iterator[Task]:
        yield _RelayTask(title, total, self)


def who() -> dict[str, str]:
    """What a worker is, for the client that asks."""
    return {
        "host": host_name(), "version": harness.__version__,
        "python": ".".join(map(str, sys.version_info[:2])),
    }
