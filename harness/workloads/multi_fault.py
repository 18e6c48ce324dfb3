"""``multi-fault``: anonymous page faults per minute, the letter's second measurement.

Models many threads that fault at once in memory whose page tables were given
back (guest/multi-fault.c). Measured as in the letter: ``perf stat -e page-faults
--repeat N ./multi-fault THREADS``. Cannot show: what freed tables gain elsewhere;
under instruction counting, cache misses and contended atomics.

Source: the letter, "Testing", footnote 2.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from statistics import fmean
from typing import Any, Literal

from pydantic import Field

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.machine.guest import Guest
from harness.workloads import perf
from harness.workloads.base import (
    Context,
    Measurement,
    Params,
    json_line,
    parse_params,
    push_program,
    spread,
)

# Faults of the process beside the counted ones: loading, stacks, thread start. Measured: 60 to 600.
START_UP_FAULTS = 2000
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

    def cells(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """One cell per number of threads."""
        return [
            parse_params(MultiFaultParams, cell, self.name) for cell in spread(params, "threads")
        ]

    def seconds(self, cell: dict[str, Any], repeat: int, accel: str) -> float:
        """Host seconds, about."""
        if cell["rounds"]:
            return repeat * (1.0 + float(cell["rounds"] * cell["threads"]) * 512 * 30e-6)
        return repeat * (1.0 + float(cell["seconds"]))

    def measure(self, guest: Guest, cell: dict[str, Any], context: Context) \
            -> Iterator[Measurement]:
        """perf stat around the program; a number per repeat."""
        program = push_program(guest, context, "multi-fault")
        length = ["--rounds", str(cell["rounds"])] if cell["rounds"] else \
            ["--seconds", str(cell["seconds"])]
        command = shlex.join([
            "perf", "stat", "-x,", "-e", "page-faults", "--repeat", str(context.repeat), "--",
            program, "--mode", cell["mode"], "--warmup", str(cell["warmup"]),
            "--align", str(cell["align_kib"] * 1024), *length, str(cell["threads"]),
        ])
        patience = 120.0 + 5.0 * self.seconds(cell, context.repeat, guest.spec.accel.name)
        result = guest.session.run(command, Deadline(patience + guest.scaled(10.0)))
        context.keep("stdout", result.stdout)
        context.keep("stderr", result.stderr)
        runs = [json_line(line, self.name) for line in result.stdout.splitlines() if line.strip()]
        counted = check(runs, result.stderr, context.repeat)
        yield from measurements(runs, guest.spec.accel.name)
        yield Measurement("page_faults", counted, "faults")


def check(runs: list[dict[str, Any]], perf_text: str, repeat: int) -> float:
    """perf's mean count of faults, after holding the program's own counts against it.

    Raises :class:`InfrastructureError` when a repeat is missing or the two disagree.
    """
    if len(runs) != repeat:
        raise InfrastructureError(f"multi-fault ran {len(runs)} times, not {repeat}")
    counters = perf.parse(perf_text)
    if "page-faults" not in counters:
        raise InfrastructureError("perf stat counted no page-faults", excerpt=perf_text[-500:])
    counted = counters["page-faults"].value
    own = fmean(_all_faults(run) for run in runs)
    if not own <= counted <= own * (1 + AGREEMENT) + START_UP_FAULTS:
        raise InfrastructureError(
            f"multi-fault counts {own:.0f} faults, perf {counted:.0f}: they do not agree"
        )
    return counted


def _all_faults(run: dict[str, Any]) -> float:
    """Faults of a run including its warm-up rounds, which perf cannot leave out."""
    share = 512 * run["threads"] * run["warmup"]
    return float(run["faults"] + share)


def measurements(runs: list[dict[str, Any]], accel: str) -> Iterator[Measurement]:
    """The numbers of every repeat, by the program's own clock.

    Under instruction counting a nanosecond is an instruction, so that elapsed time
    over faults is instructions per fault.
    """
    for repeat, run in enumerate(runs):
        seconds = run["elapsed_ns"] / 1e9
        yield Measurement("seconds_elapsed", seconds, "s", repeat)
        if accel == "icount":
            yield Measurement(
                "instructions_per_fault", run["elapsed_ns"] / run["faults"], "instructions", repeat
            )
        else:
            yield Measurement(
                "faults_per_minute", 60 * run["faults"] / seconds, "faults/min", repeat
            )
