"""``harness reproduce``: one test of an earlier run again, alone, in a fresh guest."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common, completions, suite_options
from harness.core.errors import UserError

if TYPE_CHECKING:
    from harness.lab import Lab
    from harness.suites.reproduce import Found

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
Drgn = Annotated[
    bool,
    typer.Option(
        "--drgn",
        help="Open the memory of its guest in drgn; without a dump of it the test is run first.",
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
    drgn: Drgn = False,
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

    _check(until_fail, gdb=gdb, shrink=shrink, drgn=drgn)
    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    if drgn and (dumped := again.find_dump(run or lab.project.results, ident)):
        return _open(lab, dumped)
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
            until_fail=until_fail, gdb=gdb, dump=drgn,
        )
    common.say(done.words())
    if drgn and (dumped := again.find_dump(directory, ident)):
        return _open(lab, dumped)
    if done.exit_code:
        raise typer.Exit(done.exit_code)


def _check(until_fail: int, *, gdb: bool, shrink: bool, drgn: bool) -> None:
    """That what is asked for goes together; raises :class:`UserError`."""
    if shrink and (gdb or until_fail != 1):
        raise UserError("--shrink plays parts of the sequence as often as it needs, without gdb",
                        hint="leave --until-fail and --gdb out")
    if drgn and (gdb or shrink):
        raise UserError("--drgn opens a guest that has crashed", hint="leave --gdb or --shrink out")


def _open(lab: Lab, found: Found) -> None:
    """Give a prompt on a dump; without a terminal say what it shows and how to open it."""
    from harness.dumps import look  # noqa: PLC0415
    from harness.dumps.keeping import told  # noqa: PLC0415
    from harness.dumps.opening import require_drgn  # noqa: PLC0415
    from harness.suites.reproduce import dump_files  # noqa: PLC0415

    require_drgn()
    base = lab.on_base(found.plan.base or None)
    files = dump_files(base, found)
    argv = look.argv(files, prompt=True)
    shown = told(files.vmcore)
    if shown.exists():
        common.say(shown.read_text())
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        common.say(f"in a terminal this opens it:\n{shlex.join(argv)}")
        return
    code = subprocess.run(argv, check=False).returncode
    if code:
        raise typer.Exit(code)
