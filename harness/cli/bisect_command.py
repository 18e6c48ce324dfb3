"""``harness bisect``: the commit that moved a number, or broke a test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common, completions
from harness.cli.compare_command import Fragments
from harness.core.errors import UserError
from harness.core.plurals import plural
from harness.core.progress import Progress
from harness.core.workspace import Workspace

if TYPE_CHECKING:
    from harness.search import BrokenTest, Effect


Workload = Annotated[
    str | None,
    typer.Option(
        "--workload", autocompletion=completions.workload, help="What is measured, see --metric.",
    ),
]
Metric = Annotated[
    str | None,
    typer.Option(
        "--metric",
        help="The number that has moved, as `compare --json` names it; a wrong name is answered "
        "with those there are.",
    ),
]
Least = Annotated[
    float | None,
    typer.Option("--least", min=0.0, help="By how many percent it must move [0.25]."),
]
Accel = Annotated[str | None, typer.Option("--accel", help="icount, kvm or tcg [icount].")]
Stability = Annotated[
    str | None,
    typer.Option(
        "--stability", metavar="SUITE/TEST", help="A test that fails now, instead of a metric."
    ),
]
Resume = Annotated[
    Path | None, typer.Option("--resume", metavar="DIR", help="Go on with this search.")
]
Out = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Its directory [below results/].")
]


def bisect(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TREE] GOOD BAD",
            help="A good commit and a later bad one of a git tree [the one around here].",
        ),
    ] = None,
    workload: Workload = None,
    metric: Metric = None,
    param: common.Parameters = None,
    least: Least = None,
    accel: Accel = None,
    stability: Stability = None,
    config: Fragments = None,
    resume: Resume = None,
    out: Out = None,
    jobs: common.Jobs = None,
    dry_run: common.DryRun = False,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Find the commit that made something dearer, or from which a test fails.

    Counting instructions one boot a commit decides. What does not build is skipped.

    Example: harness bisect ~/linux v6.12 HEAD --workload common --param op=pipe
             --metric instructions_per_op
    """
    from harness import search  # noqa: PLC0415
    from harness.core import moments  # noqa: PLC0415
    from harness.measure import bisection  # noqa: PLC0415
    from harness.project import adhoc  # noqa: PLC0415

    if resume is not None:
        _only_resume(words, workload, metric, param, stability, out, config, accel, least)
        record, directory = search.load(resume), resume
    else:
        tree, good, bad = _range(words or [])
        what = _what(workload, metric, param, least, accel, stability)
        record = search.begin(search.Stretch(tree, good, bad, tuple(config or ())), what)
        directory = out or adhoc.around().results / f"{moments.stamp()}-bisect"
    space, progress = Workspace(workspace), Progress(-1 if quiet else 1 if verbose else 0)
    search.check(record, workspace=space, progress=progress)
    if dry_run:
        common.say(
            f"{plural(len(record.commits) - 1, 'commit')} to search; kernels to build and boot: at "
            f"most {bisection.builds_left(record)}, and the bad commit when none of them is bad"
        )
        return
    found = search.run(record, directory, workspace=space, progress=progress, jobs=jobs)
    if as_json:
        common.print_json(found.exported())
    else:
        common.say(search.words(found))


def _only_resume(*given: object) -> None:
    if any(option is not None and option != [] for option in given):
        raise UserError(
            "--resume goes on with a search as it is",
            hint="give --jobs, --dry-run, --json and what is said on the way, nothing else",
        )


def _range(words: list[str]) -> tuple[Path, str, str]:
    if len(words) == 2 and not Path(words[0]).expanduser().is_dir():
        return Path.cwd(), words[0], words[1]
    if len(words) == 3:
        return Path(words[0]).expanduser(), words[1], words[2]
    raise UserError(
        "a search needs a good and a bad commit", hint="harness bisect [TREE] GOOD BAD"
    )


def _what(
    workload: str | None, metric: str | None, param: list[str] | None, least: float | None,
    accel: str | None, stability: str | None,
) -> Effect | BrokenTest:
    from harness import search  # noqa: PLC0415

    if stability is not None:
        if workload or metric or param or least is not None:
            raise UserError("--stability and a metric are both given", hint="give one of them")
        suite, slash, test = stability.partition("/")
        if not slash or not test:
            raise UserError(
                f"--stability {stability} names no test", hint="SUITE/TEST, as in races/race-fork"
            )
        return search.BrokenTest(suite, test)
    if not workload or not metric:
        raise UserError(
            "nothing says what is searched for",
            hint="--workload W --metric M, or --stability SUITE/TEST",
        )
    return search.Effect(
        workload, common.parameters(param), metric, accel or "icount",
        search.RESOLUTION_PCT if least is None else least,
    )
