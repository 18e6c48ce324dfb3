"""The commands and their names."""

from __future__ import annotations

from typing import Annotated

import typer

import harness
from harness.cli import bench, build, care, guest, series, stability
from harness.cli.common import say

app = typer.Typer(
    name="harness", no_args_is_help=True, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure what freeing empty user PTE page tables saves and costs.",
)
app.command()(build.build)
app.command()(guest.boot)
app.command()(guest.run)
app.command()(bench.bench)
app.command()(bench.report)
app.command()(stability.stability)
app.command()(care.doctor)
app.command()(care.cache)
app.add_typer(series.app, name="series")


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
