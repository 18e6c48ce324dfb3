"""``harness stability``: suites on one or more variants, and what they did to the kernels."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common
from harness.core.errors import UserError
from harness.project.config import nearest

if TYPE_CHECKING:
    from harness.suites.outcome import RunOutcome

# The variants a suite is for where nobody names any; the others take harness.toml's.
Tests = Annotated[
    str, typer.Option("--tests", help="Only these, comma-separated; * is known, !NAME: not this.")
]
Confirm = Annotated[
    bool, typer.Option("--confirm/--no-confirm", help="Repeat what differs three times.")
]
Guests = Annotated[int, typer.Option("-j", "--jobs", min=1, help="Guests at a time.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where to write [results/...].")
]


def stability(
    suite: Annotated[
        str, typer.Option("--suite", help="races, piecewise, selftests, stress-ng, trinity.")
    ] = "races",
    variants: Annotated[
        str, typer.Option("--variants", help="Comma-separated [by suite].")
    ] = "",
    base: common.BaseName = "",
    tests: Tests = "",
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, help="Guest minutes per variant.")
    ] = 5.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="First seed.")] = 1,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Per race [its own].")] = 0,
    accel: common.AccelName = "auto",
    smp: common.Smp = 0,
    memory: common.Memory = "",
    append: common.Append = "numa=fake=2",
    confirm: Confirm = True,
    jobs: Guests = 1,
    resume: Resume = False,
    out: Out = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Run a test suite on variants; a crash is recorded and the rest goes on.

    Example: harness stability --suite races --variants before-debug,after-debug --minutes 30
    """
    from harness.cli import conduct, suites  # noqa: PLC0415

    if suite not in suites.SUITES:
        raise UserError(f"unknown suite '{suite}'", hint=nearest(suite, suites.SUITES))
    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    wanted = (
        common.names(variants, "--variants") if variants
        else env.project.suite(suite).variants or env.project.config.defaults.variants
    )
    common.check_base(env.project, wanted, base, "--variants")
    directory = results_directory(env, out, suite)
    outcome = conduct.conduct(env, suites.Request(
        suite=suite, variants=wanted, tests=common.names(tests, "--tests") if tests else [],
        seconds=minutes * 60, seed=seed, threads=threads, accel=accel, smp=smp, memory=memory,
        append=append,
        directory=directory, confirm=confirm, resume=resume, jobs=jobs,
    ))
    finish(env, outcome, directory, as_json=as_json)


def results_directory(env: common.Setup, out: Path | None, suite: str) -> Path:
    """Where a run is written: ``--out``, or a directory of its own below results/."""
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return out or env.project.results / f"{stamp}-{suite}"


def finish(env: common.Setup, outcome: RunOutcome, directory: Path, *, as_json: bool) -> None:
    """Print what a run found and leave with its exit code."""
    if as_json:
        common.print_json(outcome.record())
    else:
        common.say(outcome.words())
    env.progress.say(f"verdicts: {directory}")
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)
