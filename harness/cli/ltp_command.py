"""``harness ltp``: the Linux Test Project on one or more kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common, suite_options
from harness.cli.common import Words

NAME = "ltp"


Tree = Annotated[
    Path | None,
    typer.Option(
        "--ltp", metavar="DIR", help="An installed LTP tree or a tarball of one [harness.toml]."
    ),
]
Lists = Annotated[
    Words | None,
    typer.Option(
        "--suite", parser=Words.parse, metavar="A,B",
        help="LTP's runtest files [harness.toml, else mm].",
    ),
]
SkipFile = Annotated[
    Path | None,
    typer.Option(
        "--skip-file", metavar="FILE",
        help="Tests not to run, one a line, each with its reason behind it [harness.toml].",
    ),
]
TestSeconds = Annotated[
    float | None,
    typer.Option("--test-seconds", min=0.1, help="Most a test may take, under KVM [120]."),
]


def ltp(
    tree: Tree = None,
    lists: Lists = None,
    tests: suite_options.Tests = None,
    skip_file: SkipFile = None,
    variants: suite_options.Variants = None,
    base: common.BaseName = None,
    test_seconds: TestSeconds = None,
    confirm: suite_options.Confirm = None,
    jobs: suite_options.Guests = None,
    dump: suite_options.Dump = None,
    fleet: common.FleetPlace = None,
    workers: common.Workers = None,
    resume: suite_options.Resume = None,
    accel: common.AccelName = None,
    smp: common.Smp = None,
    memory: common.Memory = None,
    append: common.Append = None,
    out: suite_options.Out = None,
    dry_run: common.DryRun = False,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Run LTP on kernels, test by test; a crash names its test and the rest goes on.

    Example: harness ltp --ltp /opt/ltp --suite mm --variants before,after
    """
    from harness.suites.suiteplan import SuiteOptions  # noqa: PLC0415

    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    call = suite_options.Call(None, base, resume, out, dry_run, as_json,
                              common.fleet(fleet, workers))
    suite_options.run(lab, call, SuiteOptions(
        variants=variants, wanted=tests, ltp=tree, lists=lists, skip_file=skip_file,
        test_seconds=test_seconds, accel=accel, smp=smp, memory=memory, append=append,
        confirm=confirm, jobs=jobs, dump=dump or None,
    ), usual=NAME, only=NAME)
