"""Options that the commands with suites share, and what they are turned into."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common, completions
from harness.cli.common import Words
from harness.core.errors import UserError

if TYPE_CHECKING:
    from harness.fleet.engine import FleetChoice
    from harness.lab import Lab
    from harness.records.plans import SuitePlan
    from harness.suites.suiteplan import SuiteOptions

Variants = Annotated[
    Words | None,
    typer.Option(
        "--variants", parser=Words.parse, metavar="A,B", autocompletion=completions.variants,
        help="Kernels to test [suites.NAME of harness.toml, else its default variants].",
    ),
]
Tests = Annotated[
    Words | None,
    typer.Option(
        "--tests", parser=Words.parse, metavar="A,B",
        help="Only these tests; * stands for anything, !NAME leaves one out [all].",
    ),
]
Confirm = Annotated[
    bool | None,
    typer.Option(
        "--confirm/--no-confirm",
        help="Repeat three times what differs between two variants [--confirm].",
    ),
]
Guests = Annotated[
    int | None, typer.Option("-j", "--jobs", min=1, help="Guests at a time [harness.toml, else 1].")
]
Dump = Annotated[
    bool | None,
    typer.Option(
        "--dump",
        help="Keep the memory of a guest that crashes or hangs, for drgn; a kernel stops at its "
        "first oops.",
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume", metavar="RUN", autocompletion=completions.run,
        help="Go on with this run; its plan is the run's own.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="The run's directory [a new one below results/]."),
]


@dataclass(frozen=True)
class Call:
    """What a command with a suite was told beside what a run's plan is made of."""

    suite: str | None
    base: str | None
    resume: Path | None
    out: Path | None
    dry_run: bool
    as_json: bool
    fleet: FleetChoice | None = None


def run(
    lab: Lab, call: Call, options: SuiteOptions, *, usual: str, only: str | None = None
) -> None:
    """Begin a run of a suite or go on with one, print what it found, leave with its exit code.

    ``usual``: the suite when none is named; ``only``: the one whose runs are gone on with.
    """
    if call.fleet and options.jobs is not None:
        raise UserError("the workers of a fleet are the guests at a time", hint="leave --jobs out")
    if call.resume is not None:
        plan, directory = _recorded(call, call.resume, options, only)
    else:
        plan, directory = _new(lab, call, options, usual)
    if call.dry_run:
        common.say(describe(lab, plan))
        return
    outcome = lab.test(plan, directory=directory, fleet=call.fleet)
    if call.as_json:
        common.say(outcome.summary().model_dump_json(indent=1))
    else:
        common.say(outcome.words())
    lab.progress.say(f"report: {outcome.page}")
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def _new(
    lab: Lab, call: Call, options: SuiteOptions, usual: str
) -> tuple[SuitePlan, Path]:
    """The plan of a new run and its directory, which must not hold a run already."""
    from harness.records.store import is_run  # noqa: PLC0415
    from harness.suites.suiteplan import make_suite_plan  # noqa: PLC0415

    plan = make_suite_plan(lab.project, usual if call.suite is None else call.suite, options)
    common.check_base(lab.project, plan.variants, call.base or "", "--variants")
    directory = call.out or lab.run_directory(plan.suite)
    if is_run(directory):
        raise UserError(
            f"{directory} holds a run already",
            hint=f"go on with it by --resume {directory}, or write elsewhere with --out",
        )
    return plan, directory


def _recorded(
    call: Call, directory: Path, options: SuiteOptions, only: str | None
) -> tuple[SuitePlan, Path]:
    """The plan of the run to go on with; nothing may be given that would change it."""
    from harness.suites.conductor import resumed  # noqa: PLC0415

    others = {"--suite": call.suite, "--base": call.base, "--out": call.out}
    flags = [flag for flag, value in others.items() if value is not None] + options.flags()
    if flags:
        raise UserError(
            f"--resume goes on with the run's own plan, {', '.join(flags)} would change it",
            hint=f"leave {'it' if len(flags) == 1 else 'them'} out, or start a new run",
        )
    plan = resumed(directory)
    if only not in (None, plan.suite):
        raise UserError(
            f"{directory} is a run of the suite {plan.suite}",
            hint=f"go on with it by `harness stability --resume {directory}`",
        )
    return plan, directory


def describe(lab: Lab, plan: SuitePlan) -> str:
    """What a run would do: suite and kernels, what is compared, what is built first."""
    from harness.kernel.build import forecast  # noqa: PLC0415
    from harness.suites.suiteplan import alone, describe_suite_plan  # noqa: PLC0415

    lines = [describe_suite_plan(plan)]
    lines += [f"compared: {pair.variant} with {pair.baseline}" for pair in plan.comparisons]
    lines += [f"compared with nothing: {variant}" for variant in alone(plan)]
    first = forecast.words(lab.forecast(plan.variants))
    return "\n".join([*lines, *([first] if first else [])])
