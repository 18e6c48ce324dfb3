"""``harness ltp``: the Linux Test Project on one or more variants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common
from harness.cli.stability_command import (
    Confirm,
    Guests,
    Out,
    Resume,
    Tests,
    finish,
    results_directory,
)


def ltp(
    tree: Annotated[
        Path | None,
        typer.Option("--ltp", metavar="DIR", help="An installed LTP tree or a tarball of one."),
    ] = None,
    suite: Annotated[str, typer.Option("--suite", help="Runtest files [mm].")] = "",
    tests: Tests = "",
    skip_file: Annotated[
        Path | None,
        typer.Option("--skip-file", metavar="FILE", help="Tests not to run, one a line."),
    ] = None,
    variants: Annotated[
        str, typer.Option("--variants", help="Comma-separated [before-ltp,after-ltp].")
    ] = "",
    base: common.BaseName = "",
    test_seconds: Annotated[
        float, typer.Option("--test-seconds", min=0.1, help="Most a test may take, under KVM.")
    ] = 120.0,
    confirm: Confirm = True,
    jobs: Guests = 1,
    resume: Resume = False,
    accel: common.AccelName = "auto",
    smp: common.Smp = 0,
    memory: common.Memory = "",
    append: common.Append = "numa=fake=2",
    out: Out = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Run LTP on variants, test by test; a crash names its test and the rest goes on.

    Example: harness ltp --ltp /opt/ltp --suite mm --variants before,after
    """
    from harness.cli import conduct, suites  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    config = env.project.config
    wanted = (
        common.names(variants, "--variants") if variants
        else env.project.suite("ltp").variants or config.defaults.variants
    )
    common.check_base(env.project, wanted, base, "--variants")
    directory = results_directory(env, out, "ltp")
    outcome = conduct.conduct(env, suites.Request(
        suite="ltp", variants=wanted, tests=common.names(tests, "--tests") if tests else [],
        seconds=0, seed=0, threads=0, accel=accel, smp=smp, memory=memory, append=append,
        directory=directory, confirm=confirm, resume=resume, jobs=jobs,
        ltp=suites.LtpRequest(
            tree, common.names(suite, "--suite") if suite else [], skip_file, test_seconds
        ),
    ))
    finish(env, outcome, directory, as_json=as_json)
