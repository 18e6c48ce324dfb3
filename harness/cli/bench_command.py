"""``harness bench``: measure, and say what was measured."""

from __future__ import annotations

import datetime
import resource
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common, report_command
from harness.cli.common import Setup
from harness.core.errors import EXIT_GUEST_CRASH, UserError


def bench(
    threads: Annotated[str, typer.Option("--threads", help="e.g. 1,8,16 [profile].")] = "",
    variants: Annotated[
        str, typer.Option("--variants", help="Comma-separated [those of harness.toml].")
    ] = "",
    base: common.BaseName = "",
    profile: Annotated[str, typer.Option("--profile", help="quick, letter, ... [quick].")] = "",
    workload: Annotated[
        str, typer.Option("--workload", help="Only these, comma-separated [profile].")
    ] = "",
    boots: Annotated[int, typer.Option("--boots", min=0, help="Per variant [profile].")] = 0,
    repeat: Annotated[int, typer.Option("--repeat", min=0, help="Per boot [profile].")] = 0,
    duration: Annotated[
        int, typer.Option("--duration", min=0, help="Seconds of each multi-fault run [profile].")
    ] = 0,
    rounds: Annotated[
        int, typer.Option("--rounds", min=0, help="Rounds of multi-fault instead of seconds.")
    ] = 0,
    accel: Annotated[
        str,
        typer.Option(
            "--accel",
            help="auto, kvm, tcg, icount (TCG that counts instructions); tcg,icount does both "
            "[profile, else auto].",
        ),
    ] = "",
    control: Annotated[
        bool | None,
        typer.Option(
            "--control/--no-control",
            help="Boot the first variant under a second name too (A/A) [where time is measured].",
        ),
    ] = None,
    smp: common.Smp = 0,
    memory: common.Memory = "",
    append: common.Append = "",
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The run's directory [results/...].")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="RUN", help="Go on with this run.")
    ] = None,
    source: common.SourceDir = None,
    mirror: common.MirrorUrl = None,
    jobs: common.Jobs = 0,
    dry_run: common.DryRun = False,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Build the variants, boot them in turn, measure, and write a report.

    Example: harness bench --threads 1,8,16
    """
    from harness.cli import experiment  # noqa: PLC0415
    from harness.measure import planning as plans  # noqa: PLC0415
    from harness.records.old_runs import load_run  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    if resume is not None:
        recorded = load_run(resume).plan
        plan = plans.from_record(recorded)
        env = replace(env, project=env.project.on_base(str(recorded.get("base", ""))))
        if base:
            raise UserError("--resume goes on with the run's own base", hint="drop --base")
        if out is not None:
            raise UserError("--resume goes on in the run's own directory", hint="drop --out")
    else:
        defaults, guest = env.project.config.defaults, env.project.config.guest
        plan = plans.make_plan(
            env.project, profile=profile or defaults.profile,
            variants=_variants(env, variants), accel=accel, smp=smp or guest.smp,
            memory=memory or guest.memory, cmdline=append,
            overrides=plans.Overrides(
                threads=plans.parse_threads(threads) if threads else (), boots=boots,
                repeat=repeat, seconds=duration, rounds=rounds, control=control,
                workloads=common.names(workload, "--workload") if workload else (),
            ),
        )
    directory = resume or _directory(env, out, plan.profile)
    if dry_run:
        common.say("\n".join(experiment.describe_plan(plan)))
        for baseline, name in experiment.declared_pairs(env, plan.variants):
            common.say(f"compared: {name} with {baseline}")
        return
    request = experiment.Request(plan, directory, source=source, mirror=mirror, jobs=jobs)
    crashes = experiment.conduct(env, request)
    report_command.show(env, [directory], directory, as_json)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    env.progress.detail(f"peak memory of the harness: {peak:.0f} MiB (aim <= 300 MiB)")
    if crashes:
        raise typer.Exit(EXIT_GUEST_CRASH)


def _variants(env: Setup, text: str) -> list[str]:
    """The variants to measure.

    Among the default ones, one whose series is still empty is left out with a warning;
    asked for by name it is an error.
    """
    if text:
        return common.names(text, "--variants")
    from harness.kernel.series.patchlist import own_series  # noqa: PLC0415

    found = []
    for name in env.project.config.defaults.variants:
        try:
            own_series(env.workspace, env.project, name, env.progress, fetch=False)
        except UserError as error:
            env.progress.warn(f"variant {name} is left out: {error.message}")
            continue
        found.append(name)
    return found


def _directory(env: Setup, out: Path | None, profile: str) -> Path:
    """Where the run goes; refuses a directory that holds one already."""
    if out is not None:
        if (out / "run.json").exists():
            raise UserError(f"{out} holds a run already", hint=f"use --resume {out}, or another")
        return out
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return env.project.results / f"{stamp}-{profile}"
