"""``harness reproduce``: one test of an earlier run again, alone, in a fresh guest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common, completions, suite_options
from harness.core.errors import UserError

UntilFail = Annotated[
    int, typer.Option("--until-fail", min=1, metavar="N", help="Up to N times, until it fails [1].")
]
Gdb = Annotated[
    bool, typer.Option("--gdb", help="Wait for gdb; prints its line. No time limits.")
]
Shrink = Annotated[
    bool,
    typer.Option(
        "--shrink", help="Find the shortest part of its sequence that fails, as C (suite model).",
    ),
]


def reproduce(
    ident: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="As printed behind the verdict.",
            autocompletion=completions.verdict,
        ),
    ],
    until_fail: UntilFail = 1,
    gdb: Gdb = False,
    shrink: Shrink = False,
    variant: Annotated[
        str | None,
        typer.Option(
            "--variant", autocompletion=completions.variant,
            help="Run it on this kernel [the verdict's].",
        ),
    ] = None,
    accel: Annotated[
        str | None, typer.Option("--accel", help="auto, kvm, tcg or icount [the run's].")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="DIR", help="Look for the ID at or below this [results/]."),
    ] = None,
    out: suite_options.Out = None,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Boot the kernel of a verdict and run its test alone, with the same seed and limits.

    Example: harness reproduce 1f2e3d4c --until-fail 20
    """
    from harness.suites import reproduce as again  # noqa: PLC0415
    from harness.suites import shrink as search  # noqa: PLC0415

    if shrink and (gdb or until_fail != 1):
        raise UserError("--shrink plays parts of the sequence as often as it needs, without gdb",
                        hint="leave --until-fail and --gdb out")
    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    found = again.find_verdict(run or lab.project.results, ident)
    # The base that the run was given, not harness.toml's default of today.
    base = lab.on_base(found.plan.base or None).on_machine(found.plan.machine)
    directory = out or lab.run_directory(f"reproduce-{ident}")
    done: again.Reproduction | search.Shrunk
    if shrink:
        done = search.shrink(base, found, directory, say=common.say, variant=variant, accel=accel)
    else:
        done = again.reproduce(
            base, found, directory, say=common.say, variant=variant, accel=accel,
            until_fail=until_fail, gdb=gdb,
        )
    common.say(done.words())
    if done.exit_code:
        raise typer.Exit(done.exit_code)
