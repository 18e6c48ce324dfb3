"""``multi-fault``: anonymous page faults per minute, the letter's second measurement.

Models many threads that fault at once in memory whose page tables were given
back (guest/multi-fault.c). Measured as in the letter: ``perf stat -e page-faults
./multi-fault THREADS``, repeated. Cannot show: what freed tables gain elsewhere;
under instruction counting, cache misses and contended atomics.

Source: the letter, "Testing", footnote 2.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from statistics import fmean
from typing import Any, ClassVar, Literal

from pydantic import Field

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.machine.guest import Guest
from harness.measure.workloads import perf
from harness.measure.workloads.workload import (
    Context,
    Measurement,
    Params,
    begin_on_its_cpu,
    json_line,
    parse_params,
    push_program,
    spread,
)

# Faults of the process beside the counted ones: loading, stacks, thread start. Measured: 60 to 600.
START_UP_FAULTS = 2000
TRIM = 0.1  # of the rounds at each end, left out of the mean
AGREEMENT = 0.01  # what perf counts and what the program counts may differ by more


class MultiFaultParams(Params):
    """Parameters of one cell."""

    threads: int = Field(default=1, ge=1, le=256)
    seconds: int = Field(default=60, ge=1, le=3600)
    rounds: int = Field(default=0, ge=0)
    """Rounds of 512 faults per thread instead of seconds; what instruction counting needs."""
    warmup: int = Field(default=2, ge=0)
    mode: Literal["letter", "independent"] = "letter"
    align_kib: int = Field(default=2048, ge=4)


class MultiFault:
    """The workload."""

    name = "multi-fault"
    flags = frozenset({"threads", "seconds", "rounds"})
    # Rounds of 512 faults per thread: 16 threads take half a minute under TCG. What a program's
    # start leaves to the other CPUs (RCU, balancing) is in the first twenty rounds.
    icount_params: ClassVar[dict[str, Any]] = {"rounds": 40, "warmup": 24}

    def cells(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """One cell per number of threads."""
        return [
            parse_params(MultiFaultParams, cell, self.name) for cell in spread(params, "threads")
        ]

    def seconds(self, cell: dict[str, Any], repeat: int, accel: str) -> float:
        """Host seconds, about."""
        if cell["rounds"]:
            rounds = cell["rounds"] + cell["warmup"]
            return repeat * (1.0 + float(rounds * cell["threads"]) * 512 * 30e-6)
        return repeat * (1.0 + float(cell["seconds"]))

    def measure(self, guest: Guest, cell: dict[str, Any], context: Context) \
            -> Iterator[Measurement]:
        """perf stat around the program, once per repeat.

        Not ``--repeat N``: Debian's perf 6.1 then prints the last run's count beside
        the spread of all, so that it can be held against nothing.
        """
        program = push_program(guest, context, "multi-fault")
        length = ["--rounds", str(cell["rounds"])] if cell["rounds"] else \
            ["--seconds", str(cell["seconds"])]
        command = shlex.join([
            *begin_on_its_cpu(guest.spec.accel.name, cell["threads"]),
            "perf", "stat", "-x,", "-e", "page-faults", "--",
            program, "--mode", cell["mode"], "--warmup", str(cell["warmup"]),
            "--align", str(cell["align_kib"] * 1024), *length, str(cell["threads"]),
        ])
        patience = 120.0 + 5.0 * self.seconds(cell, 1, guest.spec.accel.name)
        for repeat in range(context.repeat):
            result = guest.run(command, deadline=Deadline(patience + guest.scaled(10.0)))
            context.keep(f"stdout-{repeat}", result.stdout)
            context.keep(f"perf-{repeat}", result.stderr)
            run = json_line(result.stdout, self.name)
            counted = check(run, result.stderr)
            yield Measurement("page_faults", counted, "faults", repeat)
            yield from measurements(run, guest.spec.accel.name, repeat)


def check(run: dict[str, Any], perf_text: str) -> float:
    """perf's count of faults, after holding the program's own count against it.

    Raises :class:`InfrastructureError` when perf did not count or the two disagree.
    """
    counters = perf.parse(perf_text)
    if "page-faults" not in counters:
        raise InfrastructureError("perf stat counted no page-faults", excerpt=perf_text[-500:])
    counted = counters["page-faults"].value
    # perf cannot leave out the warm-up rounds; the program does.
    own = float(run["faults"] + 512 * run["threads"] * run["warmup"])
    if not own <= counted <= own * (1 + AGREEMENT) + START_UP_FAULTS:
        raise InfrastructureError(
            f"multi-fault counts {own:.0f} faults, perf {counted:.0f}: they do not agree"
        )
    return counted


def trimmed_mean(values: list[float]) -> float:
    """The mean without the tenth at either end (scipy's trim_mean; its import takes a second)."""
    cut = int(len(values) * TRIM)
    return fmean(sorted(values)[cut:len(values) - cut])


def measurements(run: dict[str, Any], accel: str, repeat: int = 0) -> Iterator[Measurement]:
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
            per_fault = trimmed_mean(rounds) / 512
        else:
            per_fault = run["elapsed_ns"] / run["faults"]
        yield Measurement("instructions_per_fault", per_fault, "instructions", repeat)
    else:
        rate = 60 * run["faults"] / seconds
        yield Measurement("faults_per_minute", rate, "faults/min", repeat)
