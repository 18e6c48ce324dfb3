"""``harness stability``: a suite of tests on one or more kernels."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import common, completions, suite_options

USUAL = "races"


def stability(
    suite: Annotated[
        str | None,
        typer.Option(
            "--suite", autocompletion=completions.suite,
            help=f"races, model, piecewise, selftests, ltp, stress-ng or trinity [{USUAL}].",
        ),
    ] = None,
    variants: suite_options.Variants = None,
    base: common.BaseName = None,
    tests: suite_options.Tests = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes", min=0.1,
            help="Guest minutes per kernel, for suites that run for a time [harness.toml, else 5].",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="First seed of what is random [1].")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", min=1, help="Of each race, or of the model [its own number]."),
    ] = None,
    accel: common.AccelName = None,
    smp: common.Smp = None,
    memory: common.Memory = None,
    append: common.Append = None,
    machine: common.MachineName = None,
    confirm: suite_options.Confirm = None,
    jobs: suite_options.Guests = None,
    dump: suite_options.Dump = None,
    fleet: common.FleetPlace = None,
    workers: common.Workers = None,
    resume: suite_options.Resume = None,
    out: suite_options.Out = None,
    dry_run: common.DryRun = False,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Run a test suite on kernels; a crash is recorded and the rest goes on.

    Example: harness stability --suite races --variants before-debug,after-debug --minutes 30
    """
    from harness.suites.suiteplan import SuiteOptions  # noqa: PLC0415

    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    call = suite_options.Call(suite, base, resume, out, dry_run, as_json,
                              common.fleet(fleet, workers))
    suite_options.run(lab, call, SuiteOptions(
        variants=variants, wanted=tests, minutes=minutes, seed=seed, threads=threads,
        accel=accel, smp=smp, memory=memory, append=append, machine=machine,
        confirm=confirm, jobs=jobs, dump=dump or None,
    ), usual=USUAL)
