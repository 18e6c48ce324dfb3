"""``harness nightly``: the suites of harness.toml, in order, within a budget, night after night."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common


def nightly(
    hours: Annotated[
        float | None,
        typer.Option(
            "--hours", min=0.01,
            help="Time budget; suites that run for a time get their share of it [harness.toml].",
        ),
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Do not go on with an unfinished night.")
    ] = False,
    unfinished: Annotated[
        bool,
        typer.Option(
            "--unfinished", help="Only go on with an unfinished night; do nothing without one."
        ),
    ] = False,
    ltp: Annotated[
        Path | None,
        typer.Option("--ltp", metavar="DIR", help="An installed LTP tree [harness.toml]."),
    ] = None,
    fleet: common.FleetPlace = None,
    workers: common.Workers = None,
    dry_run: common.DryRun = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Run the night that harness.toml plans; goes on with a night that was killed.

    Example: harness nightly --hours 2
    """
    from harness.suites import nights  # noqa: PLC0415

    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    if dry_run:
        common.say(nights.describe(lab, hours=hours, new=new, ltp=ltp))
        return
    if unfinished and nights.unfinished(nights.nights_folder(lab)) is None:
        lab.progress.say("no night is unfinished")
        return
    choice = common.fleet(fleet, workers)
    end = nights.hold(
        lab, lambda plan, directory: lab.test(plan, directory=directory, fleet=choice),
        hours=hours, new=new, ltp=ltp,
    )
    lab.progress.say(f"{end.verdict}: {end.page}")
    if end.code:
        raise typer.Exit(end.code)
