"""``harness report``: say what was measured, from runs' files alone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common, completions
from harness.cli.common import Words
from harness.core.errors import UserError
from harness.lab import Lab


def report(
    runs: Annotated[
        list[Path] | None, typer.Argument(
            autocompletion=completions.run,
            help="Run directories (default: the newest measurement); runs of suites among them "
                 "add what they found.",
        )
    ] = None,
    out: Annotated[
        Path | None, typer.Option(
            "--out", metavar="DIR",
            help="Where to write (default: the run itself; of several runs a new directory).",
        )
    ] = None,
    mail: Annotated[
        bool, typer.Option("--mail", help="Print plain text, 72 columns, for a mailing list.")
    ] = False,
    trend: Annotated[
        bool, typer.Option(
            "--trend", help="Each metric across runs (default: all runs), steps marked."
        )
    ] = False,
    metric: Annotated[
        Words | None, typer.Option(
            "--metric", parser=Words.parse, metavar="A,B",
            help="With --trend: only these (default: memory and costs).",
        )
    ] = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Make tables, plots and pages from one or more runs, from their files alone.

    Example: harness report results/20260101-120000-quick --json
    """
    from harness.project.adhoc import around  # noqa: PLC0415
    from harness.report.data.find import is_suite_run  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, project=around())
    results = env.project.results
    if metric is not None and not trend:
        raise UserError("--metric chooses what --trend shows", hint="add --trend")
    if trend:
        _trend(env, list(runs or []), results, (out, metric), as_json)
        return
    directories = list(runs or [])
    if all(is_suite_run(directory) for directory in directories):
        directories.append(_beside(directories, results, env))
    if mail:
        _mail(directories, alone=not as_json and out is None)
        return
    show(env, directories, out or place_for(directories, results), as_json)


def _mail(runs: list[Path], *, alone: bool) -> None:
    from harness.report.analysis.analyse import analyse  # noqa: PLC0415
    from harness.report.pages.mail import mail as as_mail  # noqa: PLC0415

    if not alone:
        raise UserError(
            "--mail prints the words of a mail, and no pages or JSON are made",
            hint="drop --json and --out",
        )
    common.say(as_mail(analyse(runs)))


def _beside(suite_runs: list[Path], results: Path, env: Lab) -> Path:
    """The newest measurement, for the tests that were named to stand beside; raises UserError."""
    from harness.report.data.find import newest_run  # noqa: PLC0415

    try:
        found = newest_run(results)
    except UserError as error:
        if not suite_runs:
            raise
        raise UserError(
            f"{suite_runs[0]} is a run of tests, and there is no measurement to put it beside",
            hint="name one too: harness report RUN TESTS; a run of tests has a page of its own",
        ) from error
    if suite_runs:
        env.progress.say(
            f"{suite_runs[0]} is a run of tests; beside it the newest measurement, {found}"
        )
    return found


def place_for(runs: list[Path], results: Path) -> Path:
    """Where a report is written: one run's own directory; several runs' in a new one.

    A run's own report says what that run says, and is not written over by a merged one.
    """
    if len({run.resolve() for run in runs}) == 1:
        return runs[0]
    stem = time.strftime("report-%Y%m%d-%H%M%S", time.gmtime())
    names = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 1000))
    return next(results / name for name in names if not (results / name).exists())


def _trend(
    env: Lab, runs: list[Path], results: Path, chosen: tuple[Path | None, Words | None],
    as_json: bool,
) -> None:
    """Write trend.html and print the trends."""
    from harness.report.analysis.trend import trends  # noqa: PLC0415
    from harness.report.data.find import all_runs  # noqa: PLC0415
    from harness.report.pages.trend_page import (  # noqa: PLC0415
        trend_json,
        trend_text,
        write_trend,
    )

    out, wanted = chosen
    found, warnings = trends(runs or all_runs(results), wanted or ())
    path = write_trend(found, warnings, out or results)
    if as_json:
        common.print_json(trend_json(found))
    else:
        common.say(trend_text(found, warnings))
    env.progress.say(f"trend: {path}")


def show(
    env: Lab, runs: list[Path], out: Path, as_json: bool, *, mail: bool = False,
    explain: bool = False,
) -> set[str]:
    """Write a report and print what it says in short; the verdicts of costs, as words.

    ``explain`` adds which functions hold the differences; in JSON they are always.
    """
    from harness.report.analysis.analyse import analyse  # noqa: PLC0415
    from harness.report.pages.exports import as_json as exported  # noqa: PLC0415
    from harness.report.pages.mail import mail as as_mail  # noqa: PLC0415
    from harness.report.pages.terminal import terminal_text  # noqa: PLC0415
    from harness.report.pages.write import write_report  # noqa: PLC0415
    from harness.report.profiles import profile_text  # noqa: PLC0415
    from harness.report.profiles.whereabouts import whereabouts  # noqa: PLC0415

    analysis = analyse(runs)
    files = write_report(analysis, out)
    if as_json:
        common.print_json(exported(analysis, files.explained))
    else:
        where = whereabouts(files.explained, analysis.rows)
        common.say(as_mail(analysis) if mail else terminal_text(analysis, where=where))
        if explain and files.explained:
            common.say("\n" + profile_text.render_all(
                files.explained.differences, files.explained.groups
            ))
    if explain and not files.explained:
        env.progress.warn("nothing to explain: the run recorded no profiles")
    env.progress.say(f"report: {files.html}")
    return {
        claim.word for row in analysis.rows if row.is_cost for claim in row.claims.values()
    }
