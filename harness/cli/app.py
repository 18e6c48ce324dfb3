"""The commands and their names."""

from __future__ import annotations

from typing import Annotated

import typer

import harness
from harness.cli import (
    bases_command as bases,
)
from harness.cli import (
    bench_command as bench,
)
from harness.cli import (
    build_command as build,
)
from harness.cli import (
    care,
)
from harness.cli import (
    guest_command as guest,
)
from harness.cli import (
    ltp_command as ltp,
)
from harness.cli import (
    nightly_command as nightly,
)
from harness.cli import (
    reproduce_command as reproduce,
)
from harness.cli import (
    series_command as series,
)
from harness.cli import (
    stability_command as stability,
)
from harness.cli.common import say
from harness.cli.once import Command

app = typer.Typer(
    name="harness", no_args_is_help=True, pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure what freeing empty user PTE page tables saves and costs.",
)
app.command(cls=Command)(build.build)
app.command(cls=Command)(bases.bases)
app.command(cls=Command)(guest.boot)
app.command(cls=Command)(guest.run)
app.command(cls=Command)(bench.bench)
app.command(cls=Command)(bench.report)
app.command(cls=Command)(ltp.ltp)
app.command(cls=Command)(stability.stability)
app.command(cls=Command)(nightly.nightly)
app.command(cls=Command)(reproduce.reproduce)
app.command(cls=Command)(care.doctor)
app.command(cls=Command)(care.cache)
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
