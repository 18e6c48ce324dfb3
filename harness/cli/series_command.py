"""``harness series``: look at a series, edit it as git commits, check it, bisect it."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common, completions
from harness.cli.once import Command
from harness.core.deadline import Deadline
from harness.core.errors import EXIT_REGRESSION, GuestCrash, HarnessError, UserError
from harness.lab import Lab

if TYPE_CHECKING:
    from harness.kernel.series.branch import Branch
    from harness.kernel.series.patches import Series

TRY_SECONDS = 3600.0  # that a command on one prefix of the series may take
app = typer.Typer(
    no_args_is_help=True,
    help="The patch series of a base: status, edit, save, check, bisect, mail.",
)
VariantName = Annotated[
    str | None,
    typer.Option(
        "--variant", autocompletion=completions.variant,
        help="The variant whose series it is [the first default one with a series].",
    ),
]
Tree = Annotated[
    Path | None, typer.Option("--tree", metavar="DIR", help="Work tree [in the workspace].")
]


def named(env: Lab, variant: str | None) -> str:
    """The variant asked for, or the first with a series: of the default ones, of the base's."""
    project = env.project
    if variant is not None:
        project.variant(variant)
        return variant
    base = project.config.defaults.base
    names = [
        *project.config.defaults.variants,
        *(name for name in project.config.variants if project.base_name(name) == base),
    ]
    found = next((name for name in names if project.series_name(name)), "")
    if not found:
        raise UserError(f"no variant on base {base} has a series", hint="name one with --variant")
    return found


def directory_of(env: Lab, variant: str) -> Path | None:
    """The directory of a variant's series; None for a mailbox or a branch."""
    from harness.kernel.series.patchlist import table  # noqa: PLC0415

    name = env.project.series_name(variant)
    if not name:
        raise UserError(f"variant {variant} has no series", hint="name one with --variant")
    wanted = table(env.project, name)
    return env.project.path(wanted.path) if wanted.kind == "dir" else None


def _branch(env: Lab, variant: str) -> Branch | None:
    """The user's own commits that a variant's series is; None for a series of another kind."""
    from harness.kernel.series import branch  # noqa: PLC0415
    from harness.kernel.series.patchlist import table  # noqa: PLC0415

    name = env.project.series_name(variant)
    wanted = table(env.project, name)
    if wanted.kind != "git":
        return None
    return branch.find(wanted, env.project.path(wanted.path), name)


def series_of(env: Lab, variant: str) -> Series:
    """A variant's own series, fetched if need be."""
    from harness.kernel.series.patchlist import own_series  # noqa: PLC0415

    directory_of(env, variant)
    series = own_series(env.workspace, env.project, variant, env.progress, fetch=True)
    assert series is not None
    return series


def _tree(env: Lab, variant: str, tree: Path | None) -> Path:
    from harness.kernel.series.seriestree import tree_name  # noqa: PLC0415

    project = env.project
    name = tree_name(project.base_name(variant), project.series_name(variant))
    return (tree or env.workspace.dir("trees") / name).absolute()


def _warn_of_differences(env: Lab, variant: str, tree: Path) -> list[str]:
    """Say how a work tree and the patch files differ, where there is a work tree."""
    from harness.kernel.series import seriestree  # noqa: PLC0415

    directory = directory_of(env, variant)
    if (branch := _branch(env, variant)) and branch.uncommitted():
        said = [f"{branch.top} has uncommitted changes, which are not in the series"]
        env.progress.warn(said[0])
        return said
    if directory is None or not (tree / ".git").exists():
        return []
    said = seriestree.unsaved(tree, directory)
    for line in said:
        env.progress.warn(f"work tree {tree}: {line}")
    return said


@app.command(cls=Command)
def status(
    variant: VariantName = None, base: common.BaseName = None,
    tree: Tree = None, as_json: common.Json = False,
    quiet: common.Quiet = False, verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Which patches, what they touch, and where they are applied.

    Example: harness series status --json
    """
    from harness.kernel.build.builds import plan_build  # noqa: PLC0415
    from harness.kernel.series import seriestree  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    variant = named(env, variant)
    series = series_of(env, variant)
    plan = plan_build(env.workspace, env.project, variant)
    work = _tree(env, variant, tree)
    differences = _warn_of_differences(env, variant, work)
    if as_json:
        common.print_json({
            "directory": str(series.directory),
            "record": series.record.model_dump() if series.record else None,
            "build": str(plan.cached or ""),
            "tree": str(work) if work.exists() else "", "differences": differences,
            "patches": [
                {"name": p.name, "subject": p.subject, "sha256": p.sha256, "files": list(p.files)}
                for p in series.patches
            ],
        })
        return
    for patch in series.patches:
        common.say(f"{patch.name}\n    {', '.join(patch.files)}")
    common.say(f"{len(series.patches)} patches, {len(series.files)} files")
    common.say(f"built: {plan.cached or 'no'}")
    if work.exists():
        common.say(f"work tree: {work}, {len(seriestree.commits(work))} commits above the base")


@app.command(cls=Command)
def edit(
    variant: VariantName = None, base: common.BaseName = None,
    tree: Tree = None, mirror: common.MirrorUrl = None,
    quiet: common.Quiet = False, verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Make a git work tree of the base with one commit per patch, ready for `git rebase -i base`.

    A series that is a branch of your own tree is edited in place.

    Example: cd $(harness series edit) && git rebase -i base
    """
    from harness.kernel.series import seriestree  # noqa: PLC0415
    from harness.kernel.series.patches import SERIES_FILE  # noqa: PLC0415
    from harness.kernel.source.fetching import Wanted  # noqa: PLC0415
    from harness.kernel.source.sources import get_source  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    variant = named(env, variant)
    directory = directory_of(env, variant)
    if branch := _branch(env, variant):
        env.progress.say(
            f"the series is the branch {branch.topic.name} of {branch.top}: edit and commit there, "
            "nothing needs to be saved"
        )
        common.say(str(branch.top))
        return
    if why := seriestree.missing_identity():  # before a download
        raise UserError(f"git cannot commit here: {why}", hint=seriestree.IDENTITY_HINT)
    listing = directory / SERIES_FILE if directory else None
    begun = listing is None or (listing.exists() and any(
        line.strip() and not line.startswith("#") for line in listing.read_text().splitlines()
    ))
    series = series_of(env, variant) if begun else None
    source = get_source(
        env.workspace, env.project, env.project.base_name(variant), source_dir=None,
        wanted=Wanted(mirror=mirror), progress=env.progress,
    )
    work = _tree(env, variant, tree)
    if not seriestree.edit(series, source, work, env.progress, directory):
        env.progress.say("it was there already; remove it to start anew")
    env.progress.say("edit and commit there; `harness series save` writes the patches back")
    common.say(str(work))


@app.command(cls=Command)
def save(
    variant: VariantName = None, base: common.BaseName = None,
    tree: Tree = None,
    drop: Annotated[
        bool, typer.Option("--drop", help="The series may have fewer patches than before.")
    ] = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False, workspace: common.WorkspaceDir = None,
) -> None:
    """Write the work tree's commits back as patch files.

    Example: harness series save
    """
    from harness.kernel.series import seriestree  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    variant = named(env, variant)
    directory = directory_of(env, variant)
    if branch := _branch(env, variant):
        common.say(
            f"nothing to save: the series is the branch {branch.topic.name} of {branch.top}, and "
            f"its {len(branch.idents)} commits are what is built"
        )
        return
    if directory is None:
        raise UserError(
            f"the series of {variant} comes from a mailbox and cannot be written back",
            hint="name a directory as `series` of a variant, and save to that",
        )
    changed = seriestree.save(_tree(env, variant, tree), directory, drop=drop)
    common.say("\n".join(changed) if changed else "nothing changed")


@app.command(cls=Command)
def check(
    variant: VariantName = None, base: common.BaseName = None,
    each: Annotated[bool, typer.Option("--each", help="Build and boot every prefix.")] = False,
    accel: common.AccelName = "auto", jobs: common.Jobs = None, mirror: common.MirrorUrl = None,
    quiet: common.Quiet = False, verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """See that the series applies without fuzz and that checkpatch is silent.

    Example: harness series check --each
    """
    from harness.kernel.build.builds import plan_build  # noqa: PLC0415
    from harness.kernel.series import seriestree  # noqa: PLC0415
    from harness.kernel.source.fetching import Wanted  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    variant = named(env, variant)
    directory_of(env, variant)  # a variant without a series must not cost a download
    _warn_of_differences(env, variant, _tree(env, variant, None))
    plan = plan_build(
        env.workspace, env.project, variant, wanted=Wanted(mirror=mirror),
        progress=env.progress, fetch=True,
    )
    assert plan.series is not None and plan.source is not None
    _check_applies(env, plan.series, plan.source.path)
    said = seriestree.checkpatch(plan.series, plan.source)
    for name, text in said:
        common.say(f"{name}:\n{text}")
    common.say(f"{len(plan.series.changing)} patches apply without fuzz; checkpatch --strict: "
               + (f"remarks on {len(said)}" if said else "silent"))
    bad = bool(said)
    if each:
        for count in range(1, len(plan.series.changing) + 1):
            name = plan.series.changing[count - 1].name
            problem = _try(env, variant, count, accel, jobs, "uname -r")
            common.say(f"{'ok  ' if problem is None else 'FAIL'} {name}"
                       + (f": {problem}" if problem else ""))
            bad = bad or problem is not None
    if bad:
        raise typer.Exit(EXIT_REGRESSION)


def _check_applies(env: Lab, series: Series, tree: Path) -> None:
    from harness.kernel.series.patches import apply  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="check.", dir=env.workspace.dir("tmp")) as scratch:
        apply(series, tree, Path(scratch), env.progress)


def _try(
    lab: Lab, variant: str, patches: int, accel: str | None, jobs: int | None, command: str
) -> str | None:
    """Build the first ``patches`` patches, boot, run a command; what went wrong, or None."""
    try:
        build = lab.build(variant, jobs=jobs, patches=patches)
        with lab.boot(build, accel=accel) as session:
            result = session.run(command, deadline=Deadline(TRY_SECONDS), check=False)
            session.check()
        if session.events:
            return f"the console announced {session.events[0].title}"
    except (GuestCrash, HarnessError) as error:
        return error.line()
    return f"exit code {result.code}" if result.code else None


@app.command(cls=Command)
def bisect(
    command: Annotated[list[str], typer.Argument(help="The command, after --.")],
    variant: VariantName = None, base: common.BaseName = None,
    accel: common.AccelName = "auto", jobs: common.Jobs = None,
    quiet: common.Quiet = False, verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Find the patch at which a command in the guest starts to fail (or the guest to crash).

    Example: harness series bisect -- /bin/sh -c 'grep -q pte_table_freed /proc/vmstat && exit 1'
    """
    from harness.kernel.build.compat import Compat  # noqa: PLC0415
    from harness.kernel.series import seriestree  # noqa: PLC0415
    from harness.kernel.series.patchlist import stack  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    variant = named(env, variant)
    series = stack(env.project, variant, series_of(env, variant), Compat())
    assert series is not None
    line = command[0] if len(command) == 1 else shlex.join(command)

    def is_bad(count: int) -> bool:
        problem = _try(env, variant, count, accel, jobs, line)
        env.progress.say(f"{count} patches: {problem or 'good'}")
        return problem is not None

    bad = seriestree.first_bad(len(series.patches), is_bad)
    if bad == 0:
        raise UserError("the command fails without any patch", hint="nothing to bisect")
    common.say(f"first bad patch: {series.patches[bad - 1].name}")


@app.command(cls=Command)
def fetch(
    name: Annotated[
        str,
        typer.Argument(help="A series of harness.toml.", autocompletion=completions.series),
    ],
    mailbox: Annotated[
        Path | None,
        typer.Option("--mailbox", metavar="FILE", help="The thread, saved as a mailbox."),
    ] = None,
    as_json: common.Json = False, quiet: common.Quiet = False, verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Get a series from the mail archive, or from a saved thread, once and for all.

    Example: harness series fetch letter --mailbox /media/stick/letter.mbox
    """
    from harness.kernel.series.patchlist import get_series  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    found = get_series(
        env.workspace, env.project, name, env.progress, fetch=True, mailbox=mailbox
    )
    assert found is not None
    if as_json:
        common.print_json({
            "directory": str(found.directory),
            "record": found.record.model_dump() if found.record else None,
            "patches": [patch.record().model_dump() for patch in found.patches],
        })
        return
    common.say("\n".join(patch.name for patch in found.patches))
    common.say(f"{len(found.patches)} patches in {found.directory}")
