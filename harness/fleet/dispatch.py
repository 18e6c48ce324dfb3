"""The client's side: hands tasks to the fleet and writes what comes back into the run's record.

The client alone writes. It takes one result of each boot and no second one, whoever sends it, and
writes the boot's record last, so that a client that dies in the middle does that boot again. A
worker that dies or falls silent loses its task to another (that is Dask's doing); a task that ends
with an error is tried again, elsewhere where there is an elsewhere.
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
from typing import Any

from harness.core.errors import EXIT_USER, InfrastructureError, UserError
from harness.core.plurals import plural
from harness.core.progress import Progress
from harness.fleet import parcels, working
from harness.fleet.engine import GUEST, Connection, first_line
from harness.fleet.grouping import BootTask
from harness.fleet.jobs import BootJob, JobResult
from harness.fleet.parcels import Parcel
from harness.measure.runner import finished_boots
from harness.records.boots import BootRecord
from harness.records.hosts import FleetHost
from harness.records.store import RunWriter, load_boots

TRIES = 3
"""Of a task that ends with an error. Workers that die are counted by Dask, which gives up after
as many deaths as its setting `allowed-failures` says."""
LOOK_EVERY_S = 1.0
LONELY_S = 10.0
Perform = Callable[[BootJob], JobResult]
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


class Dispatcher:
    """One run on a fleet. ``crashes`` counts the machines that died on the way."""

    def __init__(
        self, connection: Connection, writer: RunWriter, progress: Progress,
        packed: Mapping[str, Packing] | None = None, perform: Perform = working.perform,
    ) -> None:
        self.connection, self.writer, self.progress = connection, writer, progress
        self.perform = perform
        self.packed = dict(packed or {})
        self.topic = f"harness-{writer.run.run}-{id(self):x}"
        boots, _ = load_boots(writer.directory)
        self.finished = finished_boots(boots)
        self.ran_on = {one.boot: one.ran_on for one in boots if one.status in ("ok", "crashed")}
        self.crashes = sum(1 for one in boots if one.status == "crashed")
        self._arrived: queue.SimpleQueue[_Ended | _Said] = queue.SimpleQueue()
        self._open: dict[str, tuple[BootTask, Any]] = {}
        self._jobs: dict[str, BootJob] = {}
        self._tries: dict[str, int] = {}
        self._notes: dict[str, str] = {}
        self._hosts = dict(connection.hosts)
        self._sending: set[tuple[str, str]] = set()
        self._alone_since: float | None = None
        self._lock = threading.Lock()
        self._senders = ThreadPoolExecutor(2, "parcels")

    def run(self, tasks: Sequence[BootTask], job: Callable[[BootTask], BootJob]) -> None:
        """Have all tasks done, in the order in which results come.

        Raises :class:`UserError` or :class:`InfrastructureError` when a task fails everywhere or
        the scheduler is lost; what was done until then is in the record.
        """
        total = sum(len(task.boots) for task in tasks)
        variants = ", ".join(dict.fromkeys(b.variant for task in tasks for b in task.boots))
        title = f"measuring {plural(total, 'boot')} of {variants} on {self.connection.label}"
        with self._connected(), self.progress.task(title, float(total)) as view:
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

    def _submit(self, task: BootTask, *, not_on: str = "") -> None:
        tries = self._tries.setdefault(task.ident, 1)
        key = task.ident if tries == 1 else f"{task.ident}-try-{tries}"
        future = self.connection.client.submit(
            self.perform, self._jobs[task.ident], key=key, pure=False, resources={GUEST: 1},
            **self._preferred(task, not_on),
        )
        self._open[key] = (task, future)
        future.add_done_callback(lambda done: self._arrived.put(_Ended(done)))

    def _preferred(self, task: BootTask, not_on: str) -> dict[str, object]:
        """On which workers, if anything speaks for some: where its other boots were done; not
        where it has just failed."""
        before = {self.ran_on[index] for index in task.whole if self.ran_on.get(index)}
        if not before and not not_on:
            return {}
        fit = [
            address for address in self.connection.workers()
            if (host := self._hosts.get(address))
            and (host in before if before else host != not_on)
        ]
        if before and not fit:
            self.progress.warn(
                f"boots {', '.join(str(boot.index) for boot in task.boots)} are done on another "
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
            result: JobResult = future.result()
        except Exception as error:
            if self.connection.client.status != "running" or future.status in ("lost", "cancelled"):
                self._lost()
            self._failed(task, first_line(error))
            return 0
        finally:
            future.release()
        if result.error:
            self._record_failure(result)
            self._failed(task, result.error, result.host_name, result.exit_code)
            return 0
        return self._accept(task, result)

    def _lost(self) -> None:
        raise InfrastructureError(
            f"the connection to the scheduler ({self.connection.label}) was lost",
            hint=f"go on with: {self._resuming()}",
        )

    def _resuming(self) -> str:
        plan = self.writer.run.plan
        resuming = getattr(plan, "resuming", None)
        return f"{resuming(str(self.writer.directory))} --fleet ..." if resuming else ""

    # -- what is written

    def _accept(self, task: BootTask, result: JobResult) -> int:
        """Record the boots of a result that were not recorded yet."""
        fresh = [
            record for record in result.boots
            if record.boot in {boot.index for boot in task.boots}
            and record.boot not in self.finished and record.status in ("ok", "crashed")
        ]
        name = self._host(result)
        working.unpack(result.files, self.writer.directory / "boots")
        for record in fresh:
            record.ran_on = name
            self.writer.samples([one for one in result.samples if one.boot == record.boot])
            self.writer.profiles([one for one in result.profiles if one.boot == record.boot])
            self.writer.boot(record)
            self.finished.add(record.boot)
            self.ran_on[record.boot] = name
            self._tell(record, name)
        return len(fresh)

    def _tell(self, record: BootRecord, name: str) -> None:
        self.progress.detail(f"{name}: boot {record.boot + 1} of {record.variant}: {record.status}")
        if record.status == "crashed":
            self.crashes += 1
            kind = record.crash.kind if record.crash else "crash"
            self.progress.warn(f"{record.variant}, boot {record.boot} on {name}: {kind}")

    def _record_failure(self, result: JobResult) -> None:
        """What failed is written down; what went well beside it is done again on another host."""
        name = self._host(result)
        for record in result.boots:
            if record.status not in ("ok", "crashed") and record.boot not in self.finished:
                record.ran_on, record.console = name, ""
                self.writer.boot(record)

    def _failed(
        self, task: BootTask, why: str, host: str = "", exit_code: int = 0
    ) -> None:
        tries = self._tries[task.ident]
        which = ", ".join(str(boot.index) for boot in task.boots)
        where = f" on {host}" if host else ""
        if tries >= TRIES:
            kind = UserError if exit_code == EXIT_USER else InfrastructureError
            raise kind(
                f"boots {which} failed {tries} times, at last{where}: {why}",
                hint=f"mend it and go on with: {self._resuming()}",
            )
        self.progress.warn(f"boots {which} failed{where} and are tried again: {why}")
        self._tries[task.ident] = tries + 1
        self._submit(task, not_on=host)

    def _host(self, result: JobResult) -> str:
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
