"""The client's side of any fleet: hands tasks out, takes each result once, tries failures again.

What a task is and what becomes of its result, subclasses say. A worker that dies or falls silent
loses its task to another (that is Dask's doing); a task that ends with an error is tried again,
elsewhere where there is an elsewhere.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from harness.core.errors import EXIT_USER, InfrastructureError, UserError
from harness.core.progress import Progress
from harness.fleet import parcels
from harness.fleet.engine import GUEST, Connection, first_line
from harness.fleet.parcels import Parcel
from harness.records.hosts import FleetHost
from harness.records.store import RunWriter

TRIES = 3
"""Of a task that ends with an error. Workers that die are counted by Dask, which gives up after
as many deaths as its setting `allowed-failures` says."""
LOOK_EVERY_S = 1.0
LONELY_S = 10.0
Packing = tuple[Parcel, Path]
"""A parcel and the directory of its files, on the client."""


@dataclass(frozen=True)
class _Ended:
    """A future that is done, however."""

    future: Any


@dataclass(frozen=True)
class _Said:
    """An event of a worker's."""

    words: Mapping[str, str]


class HandedTask(Protocol):
    """Something that one worker does as a whole."""

    @property
    def ident(self) -> str:
        """Names it on the scheduler."""
        ...


class Returned(Protocol):
    """What a worker hands back."""

    @property
    def host(self) -> FleetHost:
        """The worker's computer."""
        ...

    @property
    def host_name(self) -> str:
        """What it calls itself."""
        ...

    @property
    def error(self) -> str:
        """Why it could not be done; empty when it was."""
        ...

    @property
    def exit_code(self) -> int:
        """Of the error."""
        ...


T = TypeVar("T", bound=HandedTask)
J = TypeVar("J")
R = TypeVar("R", bound=Returned)


class Hander(Generic[T, J, R]):
    """Hands out tasks T, each as a job J, and takes results R. The run's record is ``writer``'s."""

    def __init__(
        self, connection: Connection, writer: RunWriter, progress: Progress,
        packed: Mapping[str, Packing] | None, perform: Callable[[J], R],
    ) -> None:
        self.connection, self.writer, self.progress = connection, writer, progress
        self.perform = perform
        self.packed = dict(packed or {})
        self.topic = f"harness-{writer.run.run}-{id(self):x}"
        self._arrived: queue.SimpleQueue[_Ended | _Said] = queue.SimpleQueue()
        self._open: dict[str, tuple[T, Any]] = {}
        self._jobs: dict[str, J] = {}
        self._tries: dict[str, int] = {}
        self._notes: dict[str, str] = {}
        self._hosts = dict(connection.hosts)
        self._sending: set[tuple[str, str]] = set()
        self._alone_since: float | None = None
        self._lock = threading.Lock()
        self._senders = ThreadPoolExecutor(2, "parcels")

    # -- what subclasses say

    def weight(self, task: T) -> int:
        """How much of the whole it is, for the bar."""
        raise NotImplementedError

    def title(self, tasks: Sequence[T]) -> str:
        """What is being done, for the bar."""
        raise NotImplementedError

    def name(self, task: T) -> str:
        """What a task is called in a message, in the plural."""
        raise NotImplementedError

    def accept(self, task: T, result: R) -> int:
        """Record a result, unless it was recorded already; how much it added."""
        raise NotImplementedError

    def record_failure(self, result: R) -> None:
        """Record what there is of a result that is an error."""

    def preferred_hosts(self, task: T) -> set[str]:
        """Where its like was done already; empty: anywhere."""
        return set()

    # -- the life of a task

    def run(self, tasks: Sequence[T], job: Callable[[T], J]) -> None:
        """Have all tasks done, in the order in which results come.

        Raises :class:`UserError` or :class:`InfrastructureError` when a task fails everywhere or
        the scheduler is lost; what was done until then is in the record.
        """
        total = sum(self.weight(task) for task in tasks)
        with self._connected(), self.progress.task(self.title(tasks), float(total)) as view:
            for task in tasks:
                self._jobs[task.ident] = job(task)
                self._submit(task)
            left = total
            shown = 0.0
            while self._open:
                added = self._next()
                left -= added
                if added or time.monotonic() - shown > LOOK_EVERY_S / 2:
                    shown = time.monotonic()
                    view.update(float(total - left), self._view())

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        self.connection.client.subscribe_topic(self.topic, self._hear)
        try:
            yield
        finally:
            for _, future in self._open.values():
                with contextlib.suppress(Exception):  # Dask's own, of a scheduler that is gone
                    future.release()
            self._senders.shutdown(wait=False, cancel_futures=True)
            with contextlib.suppress(Exception):
                self.connection.client.unsubscribe_topic(self.topic)

    def _submit(self, task: T, *, not_on: str = "") -> None:
        tries = self._tries.setdefault(task.ident, 1)
        key = task.ident if tries == 1 else f"{task.ident}-try-{tries}"
        future = self.connection.client.submit(
            self.perform, self._jobs[task.ident], key=key, pure=False, resources={GUEST: 1},
            **self._preferred(task, not_on),
        )
        self._open[key] = (task, future)
        future.add_done_callback(lambda done: self._arrived.put(_Ended(done)))

    def _preferred(self, task: T, not_on: str) -> dict[str, object]:
        """On which workers, if anything speaks for some: where its other boots were done; not
        where it has just failed."""
        before = self.preferred_hosts(task)
        if not before and not not_on:
            return {}
        fit = [
            address for address in self.connection.workers()
            if (host := self._hosts.get(address))
            and (host in before if before else host != not_on)
        ]
        if before and not fit:
            self.progress.warn(
                f"{self.name(task)} are done on another "
                f"host than those that they are compared with ({', '.join(sorted(before))})"
            )
        return {"workers": fit, "allow_other_workers": True} if fit else {}

    # -- what comes from workers

    def _hear(self, event: tuple[float, Mapping[str, str]]) -> None:
        """In Dask's own thread: nothing here may wait."""
        words = event[1]
        self._hosts[words["worker"]] = words["host"]
        if "want" in words:
            self._wanted(words["want"], words["worker"])
        else:
            self._arrived.put(_Said(words))

    def _wanted(self, ident: str, worker: str) -> None:
        with self._lock:
            if (ident, worker) in self._sending or ident not in self.packed:
                return
            self._sending.add((ident, worker))
        with contextlib.suppress(RuntimeError):  # the run is at its end
            self._senders.submit(self._send, ident, worker)

    def _send(self, ident: str, worker: str) -> None:
        """A parcel to one worker, piece by piece, in a thread of its own."""
        parcel, directory = self.packed[ident]
        self._notes[worker] = f"gets {parcel.place or 'a program'}"
        try:
            for piece in parcels.pieces(parcel, directory):
                if not self.connection.client.run(parcels.take, piece, workers=[worker])[worker]:
                    break
        except Exception as error:  # whatever Dask makes of a worker that is gone
            self.progress.detail(f"{worker}: {parcel.place} was not sent: {error}")
        finally:
            with self._lock:
                self._sending.discard((ident, worker))

    def _next(self) -> int:
        """Deal with one thing that arrived; returns how many boots it added."""
        try:
            one = self._arrived.get(timeout=LOOK_EVERY_S)
        except queue.Empty:
            self._look_for_workers()
            return 0
        if isinstance(one, _Ended):
            return self._ended(one.future)
        host = one.words.get("host", "")
        if "warn" in one.words:
            self.progress.warn(f"{host}: {one.words['warn']}")
        if "note" in one.words:
            self._notes[one.words["worker"]] = one.words["note"]  # empty: it is done
        return 0

    def _look_for_workers(self) -> None:
        if self.connection.client.status != "running":
            self._lost()
        there = self.connection.workers()
        for gone in set(self._notes) - set(there):
            del self._notes[gone]
        if there:
            self._alone_since = None
            return
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        if now - self._alone_since > self.connection.patience:
            raise InfrastructureError(
                f"all workers of {self.connection.label} are gone, and none came back",
                hint=f"go on with: {self._resuming()}",
            )
        if now - self._alone_since > LONELY_S:
            self.progress.once(
                f"fleet: {self.connection.label} has no worker; what is left waits for one"
            )

    def _view(self) -> str:
        """What each worker does now, in one line."""
        return "; ".join(note for _, note in sorted(self._notes.items()) if note)

    def _ended(self, future: Any) -> int:
        task, _ = self._open.pop(future.key, (None, None))
        if task is None:
            return 0
        try:
            result: R = future.result()
        except Exception as error:
            if self.connection.client.status != "running" or future.status in ("lost", "cancelled"):
                self._lost()
            self._failed(task, first_line(error))
            return 0
        finally:
            future.release()
        if result.error:
            self.record_failure(result)
            self._failed(task, result.error, result.host_name, result.exit_code)
            return 0
        return self.accept(task, result)

    def _lost(self) -> None:
        raise InfrastructureError(
            f"the connection to the scheduler ({self.connection.label}) was lost",
            hint=f"go on with: {self._resuming()}",
        )

    def _resuming(self) -> str:
        plan = self.writer.run.plan
        resuming = getattr(plan, "resuming", None)
        return f"{resuming(str(self.writer.directory))} --fleet ..." if resuming else ""

    def _failed(
        self, task: T, why: str, host: str = "", exit_code: int = 0
    ) -> None:
        tries = self._tries[task.ident]
        which = self.name(task)
        where = f" on {host}" if host else ""
        if tries >= TRIES:
            kind = UserError if exit_code == EXIT_USER else InfrastructureError
            raise kind(
                f"{which} failed {tries} times, at last{where}: {why}",
                hint=f"mend it and go on with: {self._resuming()}",
            )
        self.progress.warn(f"{which} failed{where} and are tried again: {why}")
        self._tries[task.ident] = tries + 1
        self._submit(task, not_on=host)

    def host(self, result: R) -> str:
        """The name of a result's host in the run's record, which then knows it."""
        hosts = self.writer.run.hosts
        number = 1
        while True:
            name = result.host_name if number == 1 else f"{result.host_name}-{number}"
            known = hosts.get(name)
            if known is None or _same(known, result.host):
                break
            number += 1
        merged = _merged(known, result.host) if known else result.host
        if merged != known:
            hosts[name] = merged
            for one in merged.accels:
                if one not in self.writer.run.accels:
                    self.writer.run.accels.append(one)
            if merged.emulator.binary:
                self.writer.run.emulator = merged.emulator
            self.writer.save()
        return name


def _same(one: FleetHost, other: FleetHost) -> bool:
    """Whether two records can be of one computer: hosts of two sites may share a name."""
    first, second = one.host, other.host
    return (first.cpu, first.memory_kb) == (second.cpu, second.memory_kb)


def _merged(known: FleetHost, new: FleetHost) -> FleetHost:
    """The first record, with the accels that a later one adds."""
    more = [one for one in new.accels if one.name not in {had.name for had in known.accels}]
    emulator = known.emulator if known.emulator.binary else new.emulator
    return known.model_copy(update={"accels": [*known.accels, *more], "emulator": emulator})
