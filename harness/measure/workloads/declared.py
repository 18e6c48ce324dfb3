"""Workloads that are data: ``[workloads.NAME]`` of harness.toml, or a command on the command line.

Models whatever the program does; each repeat is one run of it in the guest, after one that is not
counted. What is always measured is the run as a whole, by the guest's clock, which under
instruction counting is its instructions on all CPUs together: start-up and end are in it, and what
kernel threads do meanwhile. The program's own numbers are taken as its table says.

Cannot show: parts of the program (see profiles for where the instructions went).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError, TooSlow, UserError
from harness.image.programs import GUEST_DIR
from harness.machine.session import Session
from harness.measure.windows import Scale
from harness.measure.workloads import perf, printed
from harness.measure.workloads.workload import (
    Context,
    Measurement,
    Settings,
    push_program,
    spread,
)
from harness.project.config import nearest
from harness.project.workload_tables import MetricTable, WorkloadTable
from harness.records.plans import Thp
from harness.records.record import Params
from harness.records.workloads import Metric, WorkloadRecord

LAUNCHER = "mark-run"
PRINTED = "printed"
WHOLE_RUN = (
    Metric(name="instructions_per_run", unit="instructions", kind="cost", better="less",
           headline=True, label="instructions per run"),
    Metric(name="ns_per_run", unit="ns", kind="cost", better="less", headline=True,
           label="nanoseconds per run"),
)
COUNTED = ("page-faults", "context-switches")  # what perf can count in any guest, and costs nothing
BESIDE = tuple(
    Metric(name=f"{event.replace('-', '_')}_per_run", unit=event, kind="other", better="less",
           label=f"{event.replace('-', ' ')} per run")
    for event in COUNTED
)


class Declared:
    """One such workload; ``root`` is what its files are relative to."""

    flags: ClassVar[frozenset[str]] = frozenset()
    icount_params: ClassVar[Settings] = {}

    def __init__(
        self, name: str, table: WorkloadTable, files: Sequence[Path] = (),
        source: Path | None = None,
    ) -> None:
        self.name = name
        self.table = table
        self.files = files
        """What is pushed, files of this host."""
        self.source = source
        """A C source that is compiled and pushed as well."""

    @property
    def thp(self) -> Thp:
        """As its table says."""
        return self.table.thp

    def cells(self, settings: Settings) -> list[Params]:
        """One for every combination of the parameters' values.

        Raises :class:`UserError` for a parameter that the table does not have.
        """
        for key in settings:
            if key not in self.table.params:
                raise UserError(
                    f"{self.name}: unknown parameter '{key}'",
                    hint=nearest(key, self.table.params) if self.table.params else "it has none",
                )
        return spread({**self.table.params, **settings})

    def label(self, params: Params) -> str:
        """``n 5, size 4K``; the command where there are no parameters."""
        if not params:
            return self.table.run if len(self.table.run) <= 40 else f"{self.table.run[:37]}..."
        return ", ".join(f"{key} {value}" for key, value in params.items())

    def seconds(self, params: Params, repeat: int, accel: str) -> float:
        """Its table's guess, or a second, for each run and the one before them."""
        return (repeat + 1) * (1.0 if accel == "kvm" else 4.0)

    def packages(self, params: Params) -> Sequence[str]:
        """As its table says."""
        return self.table.packages

    def record(self) -> WorkloadRecord:
        """For run.json."""
        own = [one.metric() for one in self.table.metrics]
        if self.table.parse == "number":
            own = [Metric(name=PRINTED, unit="", kind="other", label="the program's own number")]
        return WorkloadRecord(
            name=self.name, title=self.table.title or self.table.run,
            metrics=[*own, *WHOLE_RUN, *BESIDE],
        )

    def check(self) -> None:
        """What can be seen before anything is built; raises :class:`UserError`."""
        for file in [*self.files, *([self.source] if self.source else [])]:
            if not file.is_file():
                raise UserError(
                    f"workload {self.name}: there is no file {file}",
                    hint="`push` and `source` are relative to harness.toml",
                )

    def measure(self, session: Session, params: Params, context: Context) -> Iterator[Measurement]:
        """The numbers of each repeat; the run before the first gives none.

        Raises :class:`InfrastructureError` when the program fails, does not end, or does not
        print what its table says.
        """
        place = f"{GUEST_DIR}/{self.name}"
        session.run(f"mkdir -p {place}")
        made = [context.compile(self.source)] if self.source else []
        for file in [*self.files, *made]:
            session.push(file, f"{place}/{file.name}")
        launcher = push_program(session, context, LAUNCHER)
        command = self.table.run.format(**params)
        context.keep("command", command + "\n")
        for repeat in range(-1, context.repeat):
            times, counts = f"{place}/.times", f"{place}/.counts"
            # The run before the first leads up to the windows of a profile and is none.
            length = "--warmup 1 --rounds 0" if repeat < 0 else "--rounds 1"
            around = f"{launcher} {length} --times {times} -- "
            if self._perf(session):
                events = ",".join(self._events())
                around = f"perf stat -x, -o {counts} -e {events} -- {around}"
            line = f"cd {place} && {around}sh -c {shlex.quote(command)}"
            text = self._run(session, line, command)
            if repeat < 0:
                continue
            context.keep(f"stdout-{repeat}", text)
            yield self._whole(session, times, repeat)
            if self._perf(session):
                yield from self._counted(session.run(f"cat {counts}").stdout, repeat)
            yield from self._own(text, repeat)

    def _perf(self, session: Session) -> bool:
        """Whether perf counts around it: not where every instruction counts, unless asked for."""
        return session.accel != "icount" or self.table.parse == "perf-stat"

    def _events(self) -> list[str]:
        wanted = [one.event or one.name for one in self.table.metrics] \
            if self.table.parse == "perf-stat" else []
        return list(dict.fromkeys([*wanted, *COUNTED]))

    def _run(self, session: Session, line: str, command: str) -> str:
        try:
            deadline = Deadline(session.scaled(self.table.seconds))
            done = session.run(line, deadline=deadline, check=False)
        except TooSlow as error:
            raise InfrastructureError(
                f"workload {self.name}: `{command[:60]}` did not end in "
                f"{session.scaled(self.table.seconds):.0f} s",
                hint="give it more by `seconds` of its table (or --seconds), or less to do",
            ) from error
        if done.code:
            raise InfrastructureError(
                f"workload {self.name}: `{command[:60]}` ended with exit code {done.code}",
                excerpt=(done.stdout + done.stderr)[-1000:].strip(),
            )
        return done.stdout

    def _whole(self, session: Session, times: str, repeat: int) -> Measurement:
        ns = float(session.run(f"cat {times}").stdout)
        if ns <= 0:
            raise InfrastructureError(f"workload {self.name}: a run took {ns:g} ns")
        kind = "instructions" if session.accel == "icount" else "ns"
        return Measurement(f"{kind}_per_run", ns, kind, repeat, scale=Scale("run"))

    def _counted(self, text: str, repeat: int) -> Iterator[Measurement]:
        counters = perf.parse(text)
        for event in COUNTED:
            if event in counters:
                name = f"{event.replace('-', '_')}_per_run"
                yield Measurement(name, counters[event].value, event, repeat)
        if self.table.parse == "perf-stat":
            for one in self.table.metrics:
                event = one.event or one.name
                if event not in counters:
                    raise InfrastructureError(f"workload {self.name}: perf counted no {event}")
                yield Measurement(one.name, counters[event].value, one.unit, repeat)

    def _own(self, text: str, repeat: int) -> Iterator[Measurement]:
        if self.table.parse == "number":
            found = printed.last_number(text)
            if found is not None:
                yield Measurement(PRINTED, found[0], found[1], repeat)
            return
        if self.table.parse in ("json", "regex"):
            for one in self.table.metrics:
                yield Measurement(one.name, self._value(one, text), one.unit, repeat)

    def _value(self, one: MetricTable, text: str) -> float:
        try:
            if self.table.parse == "json":
                return printed.from_json(text, one.key or one.name)
            return printed.from_pattern(text, one.pattern)
        except InfrastructureError as error:
            error.message = f"workload {self.name}: {error.message}"
            raise
