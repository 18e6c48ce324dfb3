"""``harness report``: say what was measured, from a run's files alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common
from harness.cli.common import Setup
from harness.core.errors import UserError


def report(
    runs: Annotated[
        list[Path] | None, typer.Argument(
            help="Run directories [the newest run]; those of `harness stability` add its verdicts.",
        )
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write [the first run].")
    ] = None,
    mail: Annotated[
        bool, typer.Option("--mail", help="Print plain text, 72 columns, for a mailing list.")
    ] = False,
    trend: Annotated[
        bool, typer.Option("--trend", help="Each metric across runs [all runs], steps marked.")
    ] = False,
    metric: Annotated[
        str, typer.Option("--metric", help="With --trend: only these [page tables and costs].")
    ] = "",
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Make tables, plots and pages from one or more runs, from their files alone.

    Example: harness report results/20260101-120000-quick --json
    """
    from harness.report.data import tested as stability  # noqa: PLC0415
    from harness.report.data.find import newest_run  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    results = env.project.results
    if metric and not trend:
        raise UserError("--metric chooses what --trend shows", hint="add --trend")
    if trend:
        _trend(env, list(runs or []), results, (out, metric), as_json)
        return
    directories = list(runs or [])
    if all(stability.is_run(directory) for directory in directories):
        directories.append(newest_run(results))
    measured = next(one for one in directories if not stability.is_run(one))
    if mail:
        from harness.report.data.load import load  # noqa: PLC0415
        from harness.report.pages.text import mail as as_mail  # noqa: PLC0415

        common.say(as_mail(load(directories)))
        return
    show(env, directories, out or measured, as_json)


def _trend(
    env: Setup, runs: list[Path], results: Path, chosen: tuple[Path | None, str], as_json: bool
) -> None:
    """Write trend.html and print the trends."""
    from harness.report.analysis import trend as trends  # noqa: PLC0415
    from harness.report.data.find import all_runs  # noqa: PLC0415
    from harness.report.pages.trend_page import write_trend  # noqa: PLC0415

    out, metric = chosen
    wanted = common.names(metric, "--metric") if metric else []
    found, warnings = trends.trends(runs or all_runs(results), wanted)
    path = write_trend(found, warnings, out or results)
    if as_json:
        common.print_json([trend.as_dict() for trend in found])
    else:
        common.say(trends.text(found, warnings))
    env.progress.say(f"trend: {path}")


def show(env: Setup, runs: list[Path], out: Path, as_json: bool) -> None:
    """Write a report and print what it says in short."""
    from harness.report.analysis.rows import rows  # noqa: PLC0415
    from harness.report.data.load import load  # noqa: PLC0415
    from harness.report.pages.text import terminal_summary  # noqa: PLC0415
    from harness.report.pages.write import write_report  # noqa: PLC0415

    data = load(runs)
    files = write_report(data, out)
    if as_json:
        common.print_json(rows(data))
    else:
        common.say(terminal_summary(data))
    env.progress.say(f"report: {files.html}")
