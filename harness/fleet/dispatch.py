"""The client's side of a measurement: boots are handed out, samples come back into the record.

The client alone writes. It takes one result of each boot and no second one, whoever sends it, and
writes the boot's record last, so that a client that dies in the middle does that boot again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.core.plurals import plural
from harness.core.progress import Progress
from harness.fleet import working
from harness.fleet.engine import Connection
from harness.fleet.grouping import BootTask
from harness.fleet.handing import Hander, Packing
from harness.fleet.jobs import BootJob, JobResult
from harness.measure.runner import finished_boots
from harness.records.boots import BootRecord
from harness.records.store import RunWriter, load_boots

Perform = Callable[[BootJob], JobResult]


class Dispatcher(Hander[BootTask, BootJob, JobResult]):
    """One measurement on a fleet. ``crashes`` counts the machines that died on the way."""

    def __init__(
        self, connection: Connection, writer: RunWriter, progress: Progress,
        packed: Mapping[str, Packing] | None = None, perform: Perform = working.perform,
    ) -> None:
        super().__init__(connection, writer, progress, packed, perform)
        boots, _ = load_boots(writer.directory)
        self.finished = finished_boots(boots)
        self.ran_on = {one.boot: one.ran_on for one in boots if one.status in ("ok", "crashed")}
        self.crashes = sum(1 for one in boots if one.status == "crashed")

    def weight(self, task: BootTask) -> int:
        """Its boots."""
        return len(task.boots)

    def title(self, tasks: Sequence[BootTask]) -> str:
        """What is measured, and where."""
        total = sum(map(self.weight, tasks))
        variants = ", ".join(dict.fromkeys(b.variant for task in tasks for b in task.boots))
        return f"measuring {plural(total, 'boot')} of {variants} on {self.connection.label}"

    def name(self, task: BootTask) -> str:
        """Its boots by number."""
        return f"boots {', '.join(str(boot.index) for boot in task.boots)}"

    def preferred_hosts(self, task: BootTask) -> set[str]:
        """Where the boots were done that it is compared with."""
        return {self.ran_on[index] for index in task.whole if self.ran_on.get(index)}

    def accept(self, task: BootTask, result: JobResult) -> int:
        """Record the boots of a result that were not recorded yet."""
        fresh = [
            record for record in result.boots
            if record.boot in {boot.index for boot in task.boots}
            and record.boot not in self.finished and record.status in ("ok", "crashed")
        ]
        name = self.host(result)
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

    def record_failure(self, result: JobResult) -> None:
        """What failed is written down; what went well beside it is done again on another host."""
        name = self.host(result)
        for record in result.boots:
            if record.status not in ("ok", "crashed") and record.boot not in self.finished:
                record.ran_on, record.console = name, ""
                self.writer.boot(record)

    def _tell(self, record: BootRecord, name: str) -> None:
        self.progress.detail(f"{name}: boot {record.boot + 1} of {record.variant}: {record.status}")
        if record.status == "crashed":
            self.crashes += 1
            kind = record.crash.kind if record.crash else "crash"
            self.progress.warn(f"{record.variant}, boot {record.boot} on {name}: {kind}")
