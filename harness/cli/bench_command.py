"""``harness bench``: measure, and say what was measured."""

from __future__ import annotations

import resource
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common, completions, report_command
from harness.cli.common import Numbers, Words
from harness.core.errors import EXIT_GUEST_CRASH, UserError

if TYPE_CHECKING:
    from harness.lab import Lab
    from harness.measure.measuring import MeasuredRun
    from harness.records.plans import Plan

Threads = Annotated[
    Numbers | None,
    typer.Option("--threads", parser=Numbers.parse, metavar="N,N", help="e.g. 1,8,16 [profile]."),
]
Variants = Annotated[
    Words | None,
    typer.Option(
        "--variants", parser=Words.parse, metavar="A,B", autocompletion=completions.variants,
        help="Variants of harness.toml, comma-separated [its default ones].",
    ),
]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile", autocompletion=completions.profile,
        help="A profile of harness.toml [its default one].",
    ),
]
Workloads = Annotated[
    Words | None,
    typer.Option(
        "--workload", parser=Words.parse, metavar="A,B", autocompletion=completions.workloads,
        help="Only these, comma-separated [all of the profile].",
    ),
]
Boots = Annotated[int | None, typer.Option("--boots", min=1, help="Boots per kernel [profile].")]
Repeat = Annotated[int | None, typer.Option("--repeat", min=1, help="Runs in each boot [profile].")]
Duration = Annotated[
    int | None,
    typer.Option("--duration", min=1, help="Seconds of each run that lasts a time [profile]."),
]
Rounds = Annotated[
    int | None,
    typer.Option("--rounds", min=1, help="Rounds of each run; instead of seconds [profile]."),
]
Accels = Annotated[
    str | None,
    typer.Option(
        "--accel", metavar="A,B",
        help="auto, kvm, tcg, icount (TCG that counts instructions); tcg,icount does both "
        "[profile, else icount for costs, auto for memory].",
    ),
]
Control = Annotated[
    bool | None,
    typer.Option(
        "--control/--no-control",
        help="Boot the first variant a second time, apart (A/A) [where time is measured].",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="The run's directory [results/TIME-PROFILE]."),
]
Resume = Annotated[
    Path | None,
    typer.Option(
        "--resume", metavar="RUN", autocompletion=completions.run, help="Go on with this run.",
    ),
]

NoProfile = Annotated[
    bool,
    typer.Option(
        "--no-profile", help="Do not record which kernel functions the counted instructions are in."
    ),
]

WITH_RESUME = (
    "resume", "no_profile", "fleet", "workers", "source", "mirror", "jobs", "dry_run",
    "as_json", "quiet", "verbose", "workspace",
)


def bench(
    context: typer.Context,
    threads: Threads = None,
    variants: Variants = None,
    base: common.BaseName = None,
    profile: ProfileName = None,
    workload: Workloads = None,
    boots: Boots = None,
    repeat: Repeat = None,
    duration: Duration = None,
    rounds: Rounds = None,
    accel: Accels = None,
    control: Control = None,
    smp: common.Smp = None,
    memory: common.Memory = None,
    append: common.Append = None,
    machine: common.MachineName = None,
    out: Out = None,
    resume: Resume = None,
    source: common.SourceDir = None,
    mirror: common.MirrorUrl = None,
    jobs: common.Jobs = None,
    no_profile: NoProfile = False,
    caches: common.Caches = None,
    fleet: common.FleetPlace = None,
    workers: common.Workers = None,
    dry_run: common.DryRun = False, as_json: common.Json = False,
    quiet: common.Quiet = False, verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Build the variants, boot them in turn, measure, and write a report.

    Example: harness bench --threads 1,8,16
    """
    from harness.measure.measuring import Making  # noqa: PLC0415
    from harness.measure.planning import Overrides  # noqa: PLC0415

    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    how = (
        Making(_tree(source), mirror, jobs, not no_profile, common.cache_sizes(caches)),
        common.fleet(fleet, workers),
    )
    if resume is not None:
        only_with_resume(context, WITH_RESUME)
        plan = lab.recorded_plan(resume)
    else:
        if not dry_run:
            lab.reserve(out)
        plan = lab.plan(
            profile, variants=variants, accel=accel, smp=smp, memory=memory, append=append or "",
            machine=machine, try_kvm=not dry_run, overrides=Overrides(
                threads=threads, boots=boots, repeat=repeat, seconds=duration, rounds=rounds,
                control=control, workloads=workload,
            ),
        )
    if dry_run:
        return preview(lab, plan, resume, source)
    _conclude(
        lab, lab.measure(plan, out, *how) if resume is None else lab.resume(resume, *how), as_json
    )


def _tree(source: Path | None) -> Path | None:
    """What --source names, if it is a kernel tree; raises :class:`UserError`."""
    from harness.kernel.source.fetching import check_kernel_tree  # noqa: PLC0415

    if source is not None:
        check_kernel_tree(source)
    return source


def _conclude(lab: Lab, done: MeasuredRun, as_json: bool) -> None:
    """Say what was measured, and leave with the exit code that it stands for."""
    if done.resumed_for_nothing:
        return lab.progress.say(f"{done.directory} was finished: nothing is left to do")
    report_command.show(lab, [done.directory], done.directory, as_json)
    lab.progress.detail(f"peak memory of the harness: {_peak_mib():.0f} MiB (aim <= 300 MiB)")
    if done.crashes:
        raise typer.Exit(EXIT_GUEST_CRASH)


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def only_with_resume(context: typer.Context, allowed: Collection[str]) -> None:
    """What is measured stands in the run's record: options that change it would be ignored."""
    for option in context.command.params:
        name = option.name or ""
        source = context.get_parameter_source(name)
        if name not in allowed and source is not None and source.name == "COMMANDLINE":
            flag = max(option.opts, key=len)
            raise UserError(
                "--resume goes on with the run's own plan in its own directory",
                hint=f"drop {flag}",
            )


def preview(
    lab: Lab, plan: Plan, resumed: Path | None, source: Path | None = None
) -> None:
    """What would be built and measured, and how long it takes; for --dry-run."""
    from harness.kernel.build import forecast  # noqa: PLC0415
    from harness.measure import plan_words, workloads  # noqa: PLC0415

    if source is not None:
        common.say(f"kernels of {source} are built first, where the cache has none of its files")
    elif first := forecast.words(
        lab.on_base(plan.base).forecast(plan.variants, plan.layouts)
    ):
        common.say(first)
    if resumed is not None:
        common.say(f"{len(lab.boots_left(resumed))} of {len(plan.boots)} boots are left")
    common.say("\n".join(plan_words.describe(plan, workloads.of(lab.project))))
