"""``multi-fault``: anonymous page faults per minute, of many threads at once.

Models many threads that fault at once in memory whose page tables were given
back (guest/multi-fault.c): ``perf stat -e page-faults ./multi-fault THREADS``, repeated.
Threads run ``together``, in rounds with a barrier and one thread that drops the memory of all,
or ``independent``. It runs for ``seconds``, or for a fixed number of ``rounds``.

Cannot show: what freed tables gain elsewhere; under instruction counting, cache misses and
contended atomics.

Source: "Free user PTE page table pages", linux-mm, 19 August 2021, under "Testing", where such a
program was described; own work.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from statistics import fmean
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.core.plurals import plural
from harness.machine.session import Session
from harness.measure.windows import Scale
from harness.measure.workloads import perf
from harness.measure.workloads.workload import (
    CellParams,
    Context,
    Line,
    Measurement,
    Settings,
    TypedWorkload,
    begin_on_its_cpu,
    json_line,
    push_program,
)
from harness.records.workloads import Metric

FAULTS = 512  # of a thread in a round: a whole page table
SECONDS = 60  # where neither seconds nor rounds are given
# Faults of the process beside the counted ones: loading, stacks, thread start. Measured: 60 to 600.
START_UP_FAULTS = 2000
TRIM = 0.1  # of the rounds at each end, left out of the mean
AGREEMENT = 0.01  # what perf counts and what the program counts may differ by more


class MultiFaultParams(CellParams):
    """Parameters of one cell: it has ``seconds`` or ``rounds``, never both."""

    threads: int = Field(default=1, ge=1, le=256)
    seconds: int | None = Field(default=None, ge=1, le=3600)
    rounds: int | None = Field(default=None, ge=1)
    """Rounds of 512 faults per thread instead of seconds; what instruction counting needs."""
    warmup: int = Field(default=2, ge=0)
    mode: Literal["together", "independent"] = "together"
    align_kib: int = Field(default=2048, ge=4)

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, value: object) -> object:
        """Rounds go before seconds; without either it runs for a minute."""
        if not isinstance(value, dict):
            return value
        if value.get("rounds") is not None:
            return {key: one for key, one in value.items() if key != "seconds"}
        return {"seconds": SECONDS, **value}


class MultiFault(TypedWorkload[MultiFaultParams]):
    """The workload."""

    name = "multi-fault"
    title = "page faults of many threads at once, in memory whose tables were given back"
    flags = frozenset({"threads", "seconds", "rounds"})
    # Rounds of 512 faults per thread: 16 threads take half a minute under TCG. What a program's
    # start leaves to the other CPUs (RCU, balancing) is in the first twenty rounds.
    icount_params: ClassVar[Settings] = {"rounds": 40, "warmup": 24}
    metrics = (
        Metric(name="faults_per_minute", unit="faults/min", kind="cost", better="more",
               headline=True, label="page faults a minute"),
        Metric(name="instructions_per_fault", unit="instructions", kind="cost", better="less",
               headline=True, label="instructions per page fault"),
        Metric(name="page_faults", unit="faults", label="page faults (perf)"),
        Metric(name="seconds_elapsed", unit="s", label="time elapsed"),
    )
    usual: ClassVar[Settings] = {"threads": [1]}
    model = MultiFaultParams

    def words(self, cell: MultiFaultParams) -> str:
        """``8 threads``."""
        mode = ", each by itself" if cell.mode == "independent" else ""
        return plural(cell.threads, "thread") + mode

    def estimate(self, cell: MultiFaultParams, accel: str) -> float:
        """Host seconds, about."""
        if cell.rounds:
            return 1.0 + (cell.rounds + cell.warmup) * cell.threads * FAULTS * 30e-6
        return 1.0 + float(cell.seconds or SECONDS)

    def run(
        self, session: Session, cell: MultiFaultParams, context: Context
    ) -> Iterator[Measurement]:
        """perf stat around the program, once per repeat.

        Not ``--repeat N``: Debian's perf 6.1 then prints the last run's count beside
        the spread of all, so that it can be held against nothing.
        """
        length = ["--rounds", str(cell.rounds)] if cell.rounds else \
            ["--seconds", str(cell.seconds)]
        command = shlex.join([
            *begin_on_its_cpu(session.accel, cell.threads),
            "perf", "stat", "-x,", "-e", "page-faults", "--",
            push_program(session, context, "multi-fault"), "--mode", cell.mode,
            "--warmup", str(cell.warmup), "--align", str(cell.align_kib * 1024), *length,
            str(cell.threads),
        ])
        patience = 120.0 + 5.0 * self.estimate(cell, session.accel) + session.scaled(10.0)
        context.keep("command", command + "\n")
        for repeat in range(context.repeat):
            result = session.run(command, deadline=Deadline(patience))
            context.keep(f"stdout-{repeat}", result.stdout)
            context.keep(f"perf-{repeat}", result.stderr)
            run = json_line(result.stdout, self.name)
            counted = check(run, result.stderr)
            yield Measurement("page_faults", counted, "faults", repeat)
            yield from measurements(run, session.accel, repeat)


def check(run: Line, perf_text: str) -> float:
    """perf's count of faults, after holding the program's own count against it.

    Raises :class:`InfrastructureError` when perf did not count or the two disagree.
    """
    counters = perf.parse(perf_text)
    if "page-faults" not in counters:
        raise InfrastructureError("perf stat counted no page-faults", excerpt=perf_text[-500:])
    counted = counters["page-faults"].value
    # perf cannot leave out the warm-up rounds; the program does.
    own = float(run["faults"] + FAULTS * run["threads"] * run["warmup"])
    if not own <= counted <= own * (1 + AGREEMENT) + START_UP_FAULTS:
        raise InfrastructureError(
            f"multi-fault counts {own:.0f} faults, perf {counted:.0f}: they do not agree"
        )
    return counted


def trimmed_mean(values: list[float]) -> float:
    """The mean without the tenth at either end (scipy's trim_mean; its import takes a second)."""
    cut = int(len(values) * TRIM)
    return fmean(sorted(values)[cut:len(values) - cut])


def measurements(run: Line, accel: str, repeat: int = 0) -> Iterator[Measurement]:
    """The numbers of one run, by the program's own clock.

    Under instruction counting a nanosecond is an instruction, so that the time of a
    round over its faults is instructions per fault. One thread's mean leaves out the tenth
    of the rounds at either end: those that meet the kernel's own background work time no
    fault. Several threads' rounds run into one another, since virtual CPUs take turns: a
    thread is in the next round before the clock of this one is read, so that all are taken
    together.
    """
    seconds = run["elapsed_ns"] / 1e9
    yield Measurement("seconds_elapsed", seconds, "s", repeat)
    if accel == "icount":
        rounds = run.get("round_ns")
        if rounds and run["threads"] == 1:
            per_fault = trimmed_mean(rounds) / FAULTS
            scale = Scale("fault", FAULTS, "trimmed")
        else:
            per_fault = run["elapsed_ns"] / run["faults"]
            scale = Scale("fault", FAULTS * run["threads"], "all")
        yield Measurement(
            "instructions_per_fault", per_fault, "instructions", repeat, scale=scale
        )
    else:
        rate = 60 * run["faults"] / seconds
        yield Measurement("faults_per_minute", rate, "faults/min", repeat)
