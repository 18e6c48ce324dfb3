"""``harness compare`` and ``harness try``: two commits of a git tree, or a series on one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import bench_command, common, completions, report_command
from harness.cli.bench_command import Accels, Boots, Repeat, Resume, Rounds, Threads
from harness.cli.common import Words
from harness.cli.once import PROGRAM
from harness.core.errors import EXIT_GUEST_CRASH, EXIT_REGRESSION, UserError

if TYPE_CHECKING:
    from harness.fleet.engine import FleetChoice
    from harness.kernel.source.commits import Commit
    from harness.lab import Lab
    from harness.measure.planning import Overrides
    from harness.project.config import Project
    from harness.records.costs import CacheSizes
    from harness.records.plans import Plan

Measured = Annotated[
    Words | None,
    typer.Option(
        "--workload", parser=Words.parse, metavar="A,B", autocompletion=completions.workloads,
        help="What is measured, comma-separated: common, micro, page-fault, multi-fault, churn, "
        "vmpte and more, or a workload of harness.toml [common: fifteen system calls].",
    ),
]
Fragments = Annotated[
    Words | None,
    typer.Option(
        "--config", parser=Words.parse, metavar="A,B",
        help="Your .config, or fragments: files, or names of built-in ones [guest,mm,lean].",
    ),
]
RunDirectory = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="The run's directory [below results/].")
]
Mail = Annotated[
    bool, typer.Option("--mail", help="Print plain text, 72 columns, for a mailing list.")
]
MOST_LAYOUTS = 64
VERDICTS = ("higher", "lower", "cannot tell")


def _verdicts(text: str) -> Words:
    found = Words.parse(text)
    for word in found:
        if word not in VERDICTS:
            raise UserError(
                f"--fail-on {word}: no such verdict", hint=f"one of {', '.join(VERDICTS)}"
            )
    return found


FailOn = Annotated[
    Words | None,
    typer.Option(
        "--fail-on", parser=_verdicts, metavar="VERDICT",
        help="Exit with 1 when a cost has this verdict: higher, lower or 'cannot tell'.",
    ),
]
Patience = Annotated[
    float | None,
    typer.Option(
        "--seconds", min=0.1, help="How long a run of the program may take on a fast machine [60].",
    ),
]
Layouts = Annotated[
    int | None,
    typer.Option(
        "--layouts", min=1, max=MOST_LAYOUTS, metavar="K",
        help="Measure each kernel in K layouts: the same code at other addresses [1].",
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain", help="Say which kernel functions hold the differences; of counted runs."
    ),
]
# What a run is made of stands in its record; what it was begun with has to be said again.
WITH_RESUME = (
    "resume", "config", "unrelated", "fleet", "workers", "jobs", "fail_on", "mail", "explain",
    "dry_run", "as_json", "quiet", "verbose", "workspace",
)
Unrelated = Annotated[
    bool, typer.Option("--unrelated", help="Compare although the two share no history.")
]


def compare(
    context: typer.Context,
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[TREE] BASE [TIP]",
            help="Two commits (or BASE..TIP) of a git tree of the kernel [the one around here]. "
            "Without a TIP: the work tree as it is, with what is not committed.",
        ),
    ],
    workload: Measured = None,
    param: common.Parameters = None,
    config: Fragments = None,
    accel: Accels = None,
    boots: Boots = None,
    layouts: Layouts = None,
    repeat: Repeat = None,
    threads: Threads = None,
    rounds: Rounds = None,
    seconds: Patience = None,
    unrelated: Unrelated = False,
    smp: common.Smp = None,
    memory: common.Memory = None,
    append: common.Append = None,
    out: RunDirectory = None,
    resume: Resume = None,
    jobs: common.Jobs = None,
    fail_on: FailOn = None,
    mail: Mail = False,
    explain: Explain = False,
    caches: common.Caches = None,
    fleet: common.FleetPlace = None,
    workers: common.Workers = None,
    dry_run: common.DryRun = False, as_json: common.Json = False,
    quiet: common.Quiet = False, verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Build two commits of a kernel tree, boot both, measure, and say what changed.

    The tree is only read. Without --workload fifteen common system calls are measured; a program of
    yours stands behind two dashes.

    Example: harness compare ~/linux v6.12 my-branch, or harness compare HEAD~3 HEAD -- ./mybench
    """
    place, sizes = common.fleet(fleet, workers), common.cache_sizes(caches)
    if resume is not None:
        bench_command.only_with_resume(context, (*WITH_RESUME, "words"))
    project, said = _project(words, config or [], unrelated)
    project, workload = measured(project, list(context.meta[PROGRAM]), workload, seconds)
    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, project=project)
    if not dry_run and resume is None:
        lab.reserve(out)
    plan = _plan_of(resume, lab) if resume else lab.plan(
        accel=accel, smp=smp, memory=memory, append=append or "", try_kvm=not dry_run,
        overrides=overrides(threads, boots, repeat, rounds, workload, layouts, param),
        command="compare",
    )
    conclude(lab, plan, Conclusion(
        out, resume, jobs, dry_run, as_json, mail, fail_on, explain, place, said, sizes,
    ))


def _plan_of(run: Path, lab: Lab) -> Plan:
    """What a run measures; raises :class:`UserError` when it is of other commits than the lab's."""
    from harness.kernel.source import commits  # noqa: PLC0415
    from harness.records.store import load_run  # noqa: PLC0415

    kernels = load_run(run).kernels
    for name, base in lab.project.config.bases.items():
        known = kernels.get(name)
        if known is None or base.kind != "commit" or not base.commit:
            continue
        wanted = commits.find_commit(commits.open_repository(Path(base.path)), base.commit)
        if known.source.digest != commits.tree_of(wanted):
            commit = known.source.details.get("commit", "another")
            raise UserError(
                f"{run} has {commit[:12]} as its {name}, not {named(wanted)}",
                hint="name the commits that it was begun with",
            )
    return lab.recorded_plan(run)


def _project(
    words: list[str], fragments: Sequence[str], unrelated: bool
) -> tuple[Project, str]:
    """A project of two variants, ``base`` and ``tip``, of what the command names; that in words."""
    from harness.project import adhoc  # noqa: PLC0415

    tree, base, tip = sides(words)
    first, second = check_sides(tree, base, tip, unrelated=unrelated)
    after = f"{named(second)} '{second.subject}'" if tip else "the work tree as it is"
    said = f"base: {named(first)} '{first.subject}'\ntip: {after}"
    return adhoc.of_commits(tree, base, tip, fragments=fragments), said


def measured(
    project: Project, program: list[str], workload: Words | None, seconds: float | None
) -> tuple[Project, Words | None]:
    """The project with the program as a workload, where one is given, and what is measured."""
    from harness.project import adhoc  # noqa: PLC0415

    if program and workload:
        raise UserError("a program and --workload are both given", hint="give one of them")
    if seconds is not None and not program:
        raise UserError("--seconds is for a program behind --", hint="leave it out")
    if not program:
        return project, workload
    project, name = adhoc.with_program(project, program, seconds)
    return project, Words([name])


def overrides(
    threads: common.Numbers | None, boots: int | None, repeat: int | None, rounds: int | None,
    workload: Words | None, layouts: int | None = None, param: list[str] | None = None,
) -> Overrides:
    """What the options change of the profile."""
    from harness.measure.planning import Overrides  # noqa: PLC0415

    return Overrides(
        threads=threads, boots=boots, repeat=repeat, rounds=rounds, workloads=workload,
        layouts=1 if layouts is None else layouts, params=common.parameters(param),
    )


@dataclass(frozen=True)
class Conclusion:
    """How a comparison is made and told."""

    out: Path | None
    resume: Path | None
    jobs: int | None
    dry_run: bool
    as_json: bool
    mail: bool
    fail_on: Words | None
    explain: bool = False
    fleet: FleetChoice | None = None
    said: str = ""
    """What is compared with what."""
    caches: CacheSizes | None = None
    """What is to be modelled."""


def conclude(lab: Lab, plan: Plan, how: Conclusion) -> None:
    """Measure and say what was found; leaves with 1 for a verdict that --fail-on names."""
    from harness.measure.measuring import Making  # noqa: PLC0415

    if how.explain and "icount" not in plan.accels:
        raise UserError(
            "--explain needs instructions that are counted", hint="add --accel icount"
        )
    if how.said:
        lab.progress.say(how.said)
    if how.dry_run:
        bench_command.preview(lab, plan, how.resume)
        return
    making = Making(jobs=how.jobs, caches=how.caches)
    if how.resume is not None:
        done = lab.resume(how.resume, making, how.fleet)
    else:
        done = lab.measure(plan, how.out, making, how.fleet)
    found = report_command.show(
        lab, [done.directory], done.directory, how.as_json, mail=how.mail,
        explain=how.explain,
    )
    if done.crashes:
        raise typer.Exit(EXIT_GUEST_CRASH)
    if how.fail_on and found & set(how.fail_on):
        raise typer.Exit(EXIT_REGRESSION)


def sides(words: list[str]) -> tuple[Path, str, str]:
    """The tree and its two revisions; an empty second one is the work tree."""
    *tree, last = words
    if tree and Path(tree[0]).expanduser().is_dir():
        place, revisions = Path(tree[0]).expanduser(), [*tree[1:], last]
    else:
        place, revisions = Path.cwd(), words
    if len(words) == 1 and "/" in last and Path(last).expanduser().is_dir():
        raise UserError(
            f"{last} is a directory, and no commit of it is named",
            hint=f"harness compare {last} HEAD compares HEAD with the work tree",
        )
    if len(revisions) == 1 and ".." in revisions[0]:
        base, dots, tip = re.split(r"(\.{2,3})", revisions[0], maxsplit=1)
        if dots == "...":  # as of git diff: what the second has that the first had not
            base = _where_they_part(place, base or "HEAD", tip or "HEAD")
        return place, base or "HEAD", tip or "HEAD"
    if len(revisions) > 2:
        raise UserError(
            f"'{revisions[0]}' is no directory, and three words name a tree and two commits",
            hint="harness compare TREE BASE TIP",
        )
    return place, revisions[0], revisions[1] if len(revisions) == 2 else ""


def _where_they_part(tree: Path, one: str, other: str) -> str:
    from harness.kernel.source import commits  # noqa: PLC0415

    repository = commits.open_repository(tree)
    first, second = (commits.find_commit(repository, name) for name in (one, other))
    found = commits.common_ancestor(first, second)
    if not found:
        raise UserError(
            f"{one} and {other} share no history, and three dots ask for where they part",
            hint=f"{one}..{other} --unrelated compares the two themselves",
        )
    return found


def check_sides(
    tree: Path, base: str, tip: str, *, unrelated: bool
) -> tuple[Commit, Commit]:
    """Both commits, which are there and have something to do with each other.

    Without a ``tip`` the second is the HEAD of the work tree. Raises :class:`UserError`.
    """
    from harness.kernel.source import commits  # noqa: PLC0415

    repository = commits.open_repository(tree)
    first = commits.find_commit(repository, base)
    second = commits.find_commit(repository, tip or "HEAD")
    commits.kernel_version(first)
    if not unrelated and not commits.common_ancestor(first, second):
        raise UserError(
            f"{base} and {tip or 'HEAD'} share no history: what differs would be two kernels",
            hint="--unrelated compares them all the same",
        )
    if not tip and commits.tree_of(first) == commits.tree_of(second) and not commits.changed(
        repository
    ):
        raise UserError(
            f"the work tree of {tree} is {named(first)} without a change: nothing can differ",
            hint="name a second commit: harness compare TREE BASE TIP",
        )
    if tip and commits.tree_of(first) == commits.tree_of(second):
        raise UserError(
            f"{named(first)} and {named(second)} have the same files: nothing can differ",
            hint="name two commits that differ",
        )
    return first, second


def named(commit: Commit) -> str:
    known = commit.ident.startswith(commit.name)
    return commit.short if known else f"{commit.name} ({commit.short})"
