"""``harness stability``: suites on one or more variants, and what they did to the kernels."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common
from harness.core.errors import EXIT_GUEST_CRASH, EXIT_REGRESSION, UserError

SUITES = ("races", "piecewise")


def stability(
    suite: Annotated[str, typer.Option("--suite", help="races or piecewise.")] = "races",
    variants: Annotated[
        str, typer.Option("--variants", help="Comma-separated [after-debug].")
    ] = "after-debug",
    tests: Annotated[str, typer.Option("--tests", help="Only these, comma-separated.")] = "",
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.1, help="Guest minutes per variant.")
    ] = 5.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="First seed.")] = 1,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Per race [its own].")] = 0,
    accel: common.AccelName = "auto",
    smp: common.Smp = 0,
    memory: common.Memory = "",
    append: common.Append = "numa=fake=2",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write [results/...].")
    ] = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Run a test suite on variants; a crash is recorded and the rest goes on.

    Example: harness stability --suite races --variants before-debug,after-debug --minutes 30
    """
    from harness.cli import suites  # noqa: PLC0415

    if suite not in SUITES:
        raise UserError(f"unknown suite '{suite}'", hint=f"known: {', '.join(SUITES)}")
    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    wanted = common.names(variants, "--variants")
    for name in wanted:
        env.project.variant(name)
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    directory = out or env.project.root / env.project.config.defaults.results / f"{stamp}-{suite}"
    verdicts = suites.conduct(env, suites.Request(
        suite=suite, variants=wanted, tests=common.names(tests, "--tests") if tests else [],
        seconds=minutes * 60, seed=seed, threads=threads, accel=accel, smp=smp, memory=memory,
        append=append, directory=directory,
    ))
    if as_json:
        common.print_json([verdict.model_dump() for verdict in verdicts])
    else:
        common.say(suites.summary(verdicts))
    env.progress.say(f"verdicts: {directory}")
    words = {verdict.verdict for verdict in verdicts}
    if "crash" in words:
        raise typer.Exit(EXIT_GUEST_CRASH)
    if words & {"fail", "hang"}:
        raise typer.Exit(EXIT_REGRESSION)
