"""Options that the commands with suites share, and what they are turned into."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common
from harness.cli.common import Words
from harness.core.errors import UserError

if TYPE_CHECKING:
    from harness.lab import Lab
    from harness.records.plans import SuitePlan
    from harness.suites.outcome import SuiteOutcome
    from harness.suites.suiteplan import SuiteOptions

Variants = Annotated[
    Words | None,
    typer.Option(
        "--variants", parser=Words.parse, metavar="A,B",
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
Resume = Annotated[
    Path | None,
    typer.Option("--resume", metavar="RUN", help="Go on with this run; its plan is the run's own."),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="The run's directory [a new one below results/]."),
]


def begin(
    lab: Lab, suite: str, options: SuiteOptions, *, base: str | None, out: Path | None
) -> tuple[SuitePlan, Path]:
    """The plan of a new run and its directory.

    Raises :class:`UserError` for what :func:`make_suite_plan` refuses, for a variant that is not
    of the base that was named, and for a directory that holds a run already.
    """
    from harness.records.store import is_run  # noqa: PLC0415
    from harness.suites.suiteplan import make_suite_plan  # noqa: PLC0415

    plan = make_suite_plan(lab.project, suite, options)
    common.check_base(lab.project, plan.variants, base or "", "--variants")
    directory = out or lab.run_directory(suite)
    if is_run(directory):
        raise UserError(
            f"{directory} holds a run already",
            hint=f"go on with it by --resume {directory}, or write elsewhere with --out",
        )
    return plan, directory


def resume_run(run: Path, given: dict[str, object], only: str = "") -> tuple[SuitePlan, Path]:
    """The plan of the run to go on with, and its directory. ``given``: flag -> value.

    Raises :class:`UserError` when flags were given that would change the plan, when it is no run
    of a suite, and when it is not of the suite ``only``.
    """
    from harness.suites.conductor import resumed  # noqa: PLC0415

    flags = [flag for flag, value in given.items() if value is not None]
    if flags:
        raise UserError(
            f"--resume goes on with the run's own plan, {', '.join(flags)} would change it",
            hint=f"leave {'it' if len(flags) == 1 else 'them'} out, or start a new run",
        )
    plan = resumed(run)
    if only and plan.suite != only:
        raise UserError(
            f"{run} is a run of the suite {plan.suite}",
            hint=f"go on with it by `harness stability --resume {run}`",
        )
    return plan, run


def finish(lab: Lab, outcome: SuiteOutcome, *, as_json: bool) -> None:
    """Print what a run found and leave with its exit code."""
    if as_json:
        common.say(outcome.summary().model_dump_json(indent=1))
    else:
        common.say(outcome.words())
    lab.progress.say(f"report: {outcome.page}")
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)
