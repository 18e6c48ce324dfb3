"""What guest programs that do rounds of equal work (guest/rounds.h) have in common.

Such a program drops its warm-up rounds, times each of the others by its own clock and prints
one line of JSON with the median. A cost per unit (page, fault, table) is that median over the
units in a round: nanoseconds, which under instruction counting are instructions.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.machine.session import Session
from harness.measure.windows import Scale
from harness.measure.workloads.workload import (
    Context,
    Line,
    Measurement,
    begin_on_its_cpu,
    json_line,
)
from harness.records.workloads import Metric

EXIT_FAILED = 1
EXIT_SKIP = 77


def costs(unit: str, what: str = "", label: str = "", *, headline: bool = True) -> list[Metric]:
    """The metrics of :func:`cost`: counted instructions, or nanoseconds."""
    label = label or f"per {unit}{what.replace('_', ' ')}"
    return [
        Metric(
            name=f"{kind}_per_{unit}{what}", unit=kind, kind="cost", better="less",
            headline=headline, label=f"{words} {label}",
        )
        for kind, words in (("instructions", "instructions"), ("ns", "nanoseconds"))
    ]


def run(
    session: Session, argv: Sequence[str], seconds: float, context: Context, name: str, *,
    threads: int = 1,
) -> Line | None:
    """One run of a program; what it printed, or None when it says that this guest cannot do it.

    ``seconds`` is the guess at its length, ``name`` that of the raw output that is kept,
    ``threads`` how many do its work.
    Raises :class:`InfrastructureError` when it fails its own check or prints nonsense.
    """
    deadline = Deadline(120.0 + 5.0 * seconds + session.scaled(10.0))
    command = [*begin_on_its_cpu(session.accel, threads), *argv]
    done = session.run(shlex.join(command), deadline=deadline, check=False)
    context.keep("command", shlex.join(command) + "\n")
    context.keep(name, done.stdout + done.stderr)
    return outcome(argv[0].rpartition("/")[2], done.code, done.stdout, done.stderr, context)


def outcome(
    program: str, code: int, stdout: str, stderr: str, context: Context
) -> Line | None:
    """The program's line of JSON, believed only as far as its exit code goes."""
    if code not in (0, EXIT_FAILED, EXIT_SKIP):
        raise InfrastructureError(f"{program} ended with {code}", excerpt=stderr[-500:])
    line = json_line(stdout, program)
    if code == EXIT_SKIP:
        context.warn(f"{program} cannot be measured in this guest: {line.get('reason')}")
        return None
    if code == EXIT_FAILED or line.get("verdict", "ok") != "ok":
        raise InfrastructureError(f"{program} failed its own check: {line.get('reason')}")
    return line


def cost(
    line: Line, accel: str, repeat: int, *, median: str = "median_ns", what: str = ""
) -> Measurement:
    """Instructions or nanoseconds per unit of a program's line.

    ``what`` follows the unit in the metric's name, for a part of the round that has a
    median of its own. Raises :class:`InfrastructureError` for a time or a count of nothing.
    """
    try:
        ns, units, unit = float(line[median]), int(line["units"]), str(line["unit"])
    except (KeyError, TypeError, ValueError) as error:
        raise InfrastructureError(f"{line.get('program')}: no {median}, units or unit") from error
    if ns <= 0 or units <= 0:
        raise InfrastructureError(f"{line.get('program')} measured {ns:g} ns for {units} {unit}s")
    kind = "instructions" if accel == "icount" else "ns"
    scale = None if what else Scale(unit, units)
    return Measurement(f"{kind}_per_{unit}{what}", ns / units, kind, repeat, scale=scale)
