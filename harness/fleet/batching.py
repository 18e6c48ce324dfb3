"""A suite whose tests a fleet runs: batches go out, verdicts come back into the run's record.

The client alone writes. A batch is taken once and as a whole, its files and boots before its
verdicts; what a client that dies in the middle had not written down is run again.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import harness
from harness.core.errors import UserError
from harness.core.plurals import plural
from harness.core.progress import Progress
from harness.fleet import batchjobs, parcels, working
from harness.fleet.batchjobs import BatchJob, BatchResult, BatchStand, SuiteSupplies
from harness.fleet.engine import LOCAL, Connection, FleetChoice, connected, require_dask
from harness.fleet.guestboots import BOOTED, IMAGE, Orders
from harness.fleet.handing import Hander, Packing
from harness.fleet.jobs import Desk
from harness.project.machine_tables import GUEST
from harness.records.plans import SuitePlan
from harness.records.store import RunWriter
from harness.records.verdicts import Verdict
from harness.suites.batches import PreparedSuite, Spread, Spreading, TestBatch


class BatchHander(Hander[TestBatch, BatchJob, BatchResult]):
    """Some batches of one run. ``take`` is given every verdict, once."""

    def __init__(
        self, connection: Connection, writer: RunWriter, progress: Progress,
        packed: Mapping[str, Packing] | None = None, *, take: Callable[[Verdict], None],
    ) -> None:
        super().__init__(connection, writer, progress, packed, batchjobs.perform_batch)
        self.take = take
        self._taken: set[str] = set()

    def weight(self, task: TestBatch) -> int:
        """Its tests."""
        return len(task.tests)

    def title(self, tasks: Sequence[TestBatch]) -> str:
        """What is run, and where."""
        tests = plural(sum(map(self.weight, tasks)), "test")
        variants = ", ".join(dict.fromkeys(task.variant for task in tasks))
        return f"{tests} on {variants}, {plural(len(tasks), 'batch', 'batches')}, on " \
               f"{self.connection.label}"

    def name(self, task: TestBatch) -> str:
        """Its variant and its tests."""
        first, last = task.tests[0].name, task.tests[-1].name
        rest = f" to {last}" if len(task.tests) > 1 else ""
        return f"the tests {first}{rest} on {task.variant}"

    def accept(self, task: TestBatch, result: BatchResult) -> int:
        """Record a batch, unless it was recorded already."""
        if task.ident in self._taken:
            return 0
        self._taken.add(task.ident)
        name = self.host(result)
        working.unpack(result.files, self.writer.directory)
        for record in result.boots:
            record.ran_on = name
            self.writer.boot(record)
        for verdict in result.verdicts:
            self.take(verdict)
        return len(task.tests)

    def record_failure(self, result: BatchResult) -> None:
        """Boots that failed are written down; their consoles are not kept."""
        name = self.host(result)
        for record in result.boots:
            if record.status == "failed":
                record.ran_on, record.console = name, ""
                self.writer.boot(record)


class FleetSpread:
    """Executes the batches of a prepared run on a fleet; ``make`` is what workers do it with."""

    def __init__(
        self, connection: Connection, prepared: PreparedSuite,
        supplies: Mapping[str, SuiteSupplies], packed: Mapping[str, Packing],
        make: Callable[[BatchJob, Desk], BatchStand] = batchjobs.make_stand,
    ) -> None:
        self.connection, self.prepared = connection, prepared
        self.supplies, self.packed, self.make = supplies, packed, make

    @property
    def guests(self) -> int:
        """At a time, of the workers that are there now."""
        return max(1, round(sum(self.connection.workers().values())))

    def run(self, batches: Sequence[TestBatch], take: Callable[[Verdict], None]) -> None:
        """All of them; see :class:`harness.suites.batches.Spread`."""
        writer, plan = self.prepared.writer, self.prepared.plan
        hander = BatchHander(
            self.connection, writer, self.prepared.lab.progress, self.packed, take=take
        )

        def job(batch: TestBatch) -> BatchJob:
            own = plan.model_copy(update={
                "tests": list(batch.tests), "variants": [batch.variant], "comparisons": [],
            })
            return BatchJob(
                writer.run.run, batch, own, hander.topic, harness.__version__, self.make,
                self.supplies.get(batch.variant),
            )

        hander.run(batches, job)


@contextlib.contextmanager
def suite_fleet(lab: Orders, choice: FleetChoice, plan: SuitePlan) -> Iterator[Spreading]:
    """What executes a suite's batches on a fleet.

    A scheduler of the user's is asked first of all; workers of this host begin when everything is
    built. Raises :class:`UserError` for a plan that no fleet can do, and what
    :func:`harness.fleet.engine.connected` raises.
    """
    require_dask()
    if plan.machine != GUEST:
        raise UserError(f"a fleet boots guests, and the plan's machine is {plan.machine}",
                        hint="leave --fleet out")
    if plan.dump:
        raise UserError("a fleet keeps no memory of guests",
                        hint="leave --dump out; `harness reproduce ID --drgn` dumps one test's")
    if choice.where == LOCAL:
        @contextlib.contextmanager
        def on_this_host(prepared: PreparedSuite) -> Iterator[Spread]:
            with connected(choice, plan, lab.workspace, lab.progress) as connection:
                yield _spread(lab, connection, prepared)

        yield on_this_host
        return
    with connected(choice, plan, lab.workspace, lab.progress) as connection:
        yield lambda prepared: contextlib.nullcontext(_spread(lab, connection, prepared))


def _spread(lab: Orders, connection: Connection, prepared: PreparedSuite) -> FleetSpread:
    """What guests are made from, packed for the workers."""
    packed: dict[str, Packing] = {}

    def pack(directory: Path, names: Sequence[str] | None = None) -> parcels.Parcel:
        parcel = parcels.pack(lab.workspace, directory, names)
        packed[parcel.ident] = parcel, directory
        return parcel

    plan = prepared.plan
    image, programs = pack(prepared.lab.image().directory, IMAGE), pack(prepared.lab.programs())
    disks = tuple(pack(disk.parent, [disk.name]) for disk in prepared.disks)
    supplies = {
        variant: SuiteSupplies(
            pack(build.directory, [*BOOTED, "config"]), image, programs,
            lab.order(build, smp=plan.smp, memory=plan.memory, append=plan.cmdline,
                      accel=plan.accel, directory=Path("unset")),
            disks, _neighbours(connection),
        )
        for variant, build in prepared.builds.items()
    }
    return FleetSpread(connection, prepared, supplies, packed)


def _neighbours(connection: Connection) -> int:
    """The most guests that one host of the fleet runs at a time."""
    each: Counter[str] = Counter()
    for address, guests in connection.workers().items():
        each[connection.hosts.get(address, connection.label)] += round(guests)
    return max(each.values(), default=1)
