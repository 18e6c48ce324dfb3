"""The commands and their names."""

from __future__ import annotations

from typing import Annotated

import typer

import harness
from harness.cli import (
    bases_command,
    bench_command,
    bisect_command,
    build_command,
    calibrate_command,
    care,
    census_command,
    claims_command,
    compare_command,
    explain_command,
    guest_command,
    init_command,
    ltp_command,
    machines_command,
    nightly_command,
    report_command,
    reproduce_command,
    series_command,
    series_mail,
    stability_command,
    try_command,
)
from harness.cli.common import say
from harness.cli.once import Command, CommandWithProgram

app = typer.Typer(
    name="harness", no_args_is_help=True, pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help texts have words in brackets
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Say what a change to the kernel costs and saves, and whether both kernels survive it. "
    "Two commits of your own tree: harness compare TREE BASE TIP. Everything else: harness init "
    "writes a project, harness bench measures it.",
)
app.command(cls=Command)(init_command.init)
app.command(cls=Command)(build_command.build)
app.command(cls=Command)(bases_command.bases)
app.command(cls=Command)(guest_command.boot)
app.command(cls=Command)(guest_command.run)
app.command(cls=CommandWithProgram)(compare_command.compare)
app.command(cls=Command)(bisect_command.bisect)
app.command("try", cls=CommandWithProgram)(try_command.try_series)
app.command(cls=Command)(bench_command.bench)
app.command(cls=Command)(report_command.report)
app.command(cls=Command)(explain_command.explain)
app.command(cls=Command)(calibrate_command.calibrate)
app.command(cls=Command)(ltp_command.ltp)
app.command(cls=Command)(stability_command.stability)
app.command(cls=Command)(nightly_command.nightly)
app.command(cls=Command)(reproduce_command.reproduce)
app.command(cls=Command)(machines_command.machines)
app.command(cls=Command)(care.doctor)
app.command(cls=Command)(care.cache)
app.command(cls=Command)(census_command.census)
series_command.app.command(cls=Command)(series_mail.mail)
app.command(cls=Command)(claims_command.claims)
app.add_typer(series_command.app, name="series")


def _version(asked: bool) -> None:
    if asked:
        say(f"harness {harness.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """The root command."""
