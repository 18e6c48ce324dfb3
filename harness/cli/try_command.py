"""``harness try``: a mail thread, a mailbox or a directory of patches on a commit of a tree."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common, compare_command
from harness.cli.bench_command import (
    Accels,
    Boots,
    Repeat,
    Resume,
    Rounds,
    Threads,
    only_with_resume,
)
from harness.cli.compare_command import (
    WITH_RESUME,
    Conclusion,
    Explain,
    FailOn,
    Fragments,
    Layouts,
    Mail,
    Measured,
    Patience,
    RunDirectory,
    overrides,
)
from harness.cli.once import PROGRAM
from harness.core.errors import UserError

if TYPE_CHECKING:
    from harness.cli.common import Words
    from harness.project.config import Project
    from harness.project.tables import SeriesTable

Version = Annotated[
    int | None, typer.Option("--version", min=1, help="The N of [PATCH vN] [the only one].")
]


Series = Annotated[
    str, typer.Argument(metavar="SERIES", help="A message-id, a mailbox, a directory of patches."),
]
On = Annotated[
    str,
    typer.Option(
        "--on", metavar="TREE[@REV]",
        help="A git tree of the kernel; without a revision the base-commit that the mail names, "
        "else HEAD.",
    ),
]


def try_series(
    context: typer.Context,
    series: Series,
    on: On,
    version: Version = None,
    workload: Measured = None,
    param: common.Parameters = None,
    config: Fragments = None,
    accel: Accels = None,
    boots: Boots = None,
    layouts: Layouts = None,
    repeat: Repeat = None, threads: Threads = None, rounds: Rounds = None,
    seconds: Patience = None,
    smp: common.Smp = None, memory: common.Memory = None, append: common.Append = None,
    out: RunDirectory = None,
    resume: Resume = None,
    jobs: common.Jobs = None,
    fail_on: FailOn = None,
    mail: Mail = False,
    explain: Explain = False,
    caches: common.Caches = None,
    fleet: common.FleetPlace = None, workers: common.Workers = None,
    dry_run: common.DryRun = False, as_json: common.Json = False,
    quiet: common.Quiet = False, verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Put a series on a kernel tree, boot it with and without, measure, and say what changed.

    The tree is only read. A patch that does not apply is named with its hunk.

    Example: harness try 20210819031858.98043-1-zhengqi.arch@bytedance.com --on ~/linux@v5.14
    """
    from harness.project import adhoc  # noqa: PLC0415

    spread, sizes = common.fleet(fleet, workers), common.cache_sizes(caches)
    if resume is not None:
        only_with_resume(context, (*WITH_RESUME, "series", "on", "version"))
    tree, revision = _place(on)
    setup = partial(common.setup, quiet=quiet, verbose=verbose, workspace=workspace)
    put = partial(
        _put, table_of(series, version), tree, config or (),
        (list(context.meta[PROGRAM]), workload, seconds),
    )
    project, workload = put(revision or "HEAD")
    lab = setup(project=project)
    if not revision and (revision := lab.base_commit(adhoc.SERIES, tree)):
        lab.progress.say(f"the series names its base-commit, and {tree} has it: {revision[:12]}")
        lab = setup(project=put(revision)[0])
    if resume is None and not dry_run:
        lab.reserve(out)
    lab.check_series(adhoc.TIP)
    plan = lab.recorded_plan(resume) if resume is not None else lab.plan(
        accel=accel, smp=smp, memory=memory, append=append or "", try_kvm=not dry_run,
        overrides=overrides(threads, boots, repeat, rounds, workload, layouts, param),
        command="try",
    )
    compare_command.conclude(lab, plan, Conclusion(
        out, resume, jobs, dry_run, as_json, mail, fail_on, explain, spread,
        _said(tree, revision), sizes,
    ))


def _place(on: str) -> tuple[Path, str]:
    """The tree and the revision that --on names, which may be none."""
    place, at, revision = on.partition("@")
    if at and not revision:
        raise UserError(f"--on {on}: no revision stands behind the @", hint="TREE@v6.12, or TREE")
    return Path(place).expanduser(), revision


def _put(
    series: SeriesTable, tree: Path, fragments: Sequence[str],
    what: tuple[list[str], Words | None, float | None], revision: str,
) -> tuple[Project, Words | None]:
    """A project with the series on a revision, and what is measured."""
    from harness.project import adhoc  # noqa: PLC0415

    project = adhoc.of_series(tree, revision, series, fragments=fragments)
    return compare_command.measured(project, *what)


def _said(tree: Path, revision: str) -> str:
    from harness.kernel.source import commits  # noqa: PLC0415

    on = commits.find_commit(commits.open_repository(tree), revision or "HEAD")
    return f"base: {compare_command.named(on)} '{on.subject}'\ntip: the series on it"


def table_of(series: str, version: int | None) -> SeriesTable:
    """What was named, as harness.toml would say it; raises :class:`UserError` for neither."""
    from harness.project.tables import SeriesTable  # noqa: PLC0415

    path = Path(series).expanduser()
    if path.is_dir():
        if version is not None:
            raise UserError("--version is for mail", hint="a directory holds one version: drop it")
        return SeriesTable(kind="dir", path=str(path.absolute()))
    if path.is_file():
        return SeriesTable(kind="mbox", path=str(path.absolute()), version=version or 0)
    ident = series.strip("<>")
    if "@" in ident and "/" not in ident:
        return SeriesTable(kind="lore", message_id=ident, version=version or 0)
    raise UserError(
        f"'{series}' is no message-id, mailbox or directory of patches",
        hint="a message-id has an @ in it",
    )
