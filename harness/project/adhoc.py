"""A project made for the moment: two commits of a git tree, or a series on one, no file needed.

What a harness.toml at or above the working directory says of the image, the guests, workloads and
profiles holds here too; its kernels and comparisons do not.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import UserError
from harness.project import reading
from harness.project.bases import CommitBase
from harness.project.config import FILE_NAME, Config, Project
from harness.project.tables import (
    ComparisonTable,
    Defaults,
    Profile,
    SeriesTable,
    Variant,
    WorkloadPlan,
)
from harness.project.workload_tables import WorkloadTable

BASE, TIP = "base", "tip"
"""The two kernels of a comparison, in plans, records and reports."""
SERIES = "tried"
SEARCH = "search"
TREE = "compare"  # one work tree for both: only what differs between them is compiled
USUAL_CONFIG = ("guest", "mm", "lean")


def of_commits(
    tree: Path, base: str, tip: str, *, fragments: Sequence[str] = (),
) -> Project:
    """Commits ``base`` and ``tip`` of a git tree; an empty ``tip`` is its work tree as it lies.

    ``fragments`` are names of configuration fragments, or files. Raises :class:`UserError` for
    a file that is not there.
    """
    surroundings = around()
    config = _fragments(fragments)
    bases = {
        name: CommitBase(kind="commit", path=str(tree.absolute()), commit=commit, config=config)
        for name, commit in ((BASE, base), (TIP, tip))
    }
    variants = {name: Variant(base=name, tree=TREE) for name in bases}
    return _project(surroundings, surroundings.config.model_copy(update={
        "bases": bases, "series": {}, "variants": variants,
    }))


def of_series(
    tree: Path, revision: str, series: SeriesTable, *, fragments: Sequence[str] = (),
) -> Project:
    """A commit of a git tree, without and with a series on top."""
    surroundings = around()
    base = CommitBase(
        kind="commit", path=str(tree.absolute()), commit=revision, config=_fragments(fragments)
    )
    return _project(surroundings, surroundings.config.model_copy(update={
        "bases": {BASE: base}, "series": {SERIES: series},
        "variants": {
            BASE: Variant(base=BASE, tree=TREE),
            TIP: Variant(base=BASE, tree=TREE, series=SERIES),
        },
    }))


def of_commit(
    tree: Path, commit: str, workload: WorkloadPlan | None = None, *,
    fragments: Sequence[str] = (),
) -> Project:
    """One commit of a git tree as the variant ``tip``, to be measured by one workload in one boot.

    The work tree is that of :func:`of_commits`, so that only what differs is compiled.
    """
    surroundings = around()
    base = CommitBase(
        kind="commit", path=str(tree.absolute()), commit=commit, config=_fragments(fragments)
    )
    profiles = dict(surroundings.config.profiles)
    if workload is not None:
        profiles[SEARCH] = Profile(boots=1, histories=1, workloads=[workload])
    return Project(surroundings.root, surroundings.config.model_copy(update={
        "bases": {TIP: base}, "series": {}, "families": {}, "suites": {}, "published": [],
        "variants": {TIP: Variant(base=TIP, tree=TREE)}, "profiles": profiles, "comparisons": [],
        "defaults": Defaults(base=TIP, variants=[TIP], profile=SEARCH),
    }))


def _project(surroundings: Project, config: Config) -> Project:
    return Project(surroundings.root, config.model_copy(update={
        "families": {}, "suites": {}, "published": [],
        "defaults": Defaults(base=next(iter(config.bases)), variants=[BASE, TIP], profile="common"),
        "comparisons": [ComparisonTable(baseline=BASE, variants=[TIP])],
    }))


def around() -> Project:
    """The project of the working directory, or one that takes everything for granted."""
    nothing = {"bases": {BASE: {"kind": "commit", "path": "."}}}
    if any((folder / FILE_NAME).is_file() for folder in _upwards()):
        return reading.load(usual=nothing)
    return Project(Path.cwd(), reading.parse(nothing, "built-in", Path.cwd()))


def _upwards() -> list[Path]:
    here = Path.cwd().absolute()
    return [here, *here.parents]


def _fragments(given: Sequence[str]) -> list[str]:
    """As a base has them: a file by its whole path."""
    found = []
    for name in given or USUAL_CONFIG:
        path = Path(name).expanduser()
        if path.is_file():
            found.append(str(path.absolute()))
        elif "/" in name or name.endswith(".config") or name.startswith("."):
            raise UserError(f"--config {name}: there is no such file")
        else:
            found.append(name)
    return found


def with_program(
    project: Project, argv: Sequence[str], seconds: float | None = None
) -> tuple[Project, str]:
    """The project with a workload made of a command line, and that workload's name.

    A program that is a file of this host is copied into the guest; any other is the guest's own.
    ``seconds`` is how long a run may take on a fast machine.
    """
    program = Path(argv[0]).expanduser()
    words, push = list(argv), []
    if argv[0].startswith(("./", "../", "~")) and not program.is_file():
        raise UserError(f"there is no program {argv[0]}", hint="build it first")
    if program.is_file():
        push, words[0] = [str(program.absolute())], f"./{program.name}"
    name = re.sub(r"[^\w.+-]+", "-", program.name).strip("-.+") or "program"
    table = WorkloadTable(
        run=shlex.join(words).replace("{", "{{").replace("}", "}}"), title=shlex.join(argv),
        parse="number", push=push,
        seconds=WorkloadTable.model_fields["seconds"].default if seconds is None else seconds,
    )
    workloads = {**project.config.workloads, name: table}
    return Project(project.root, project.config.model_copy(update={"workloads": workloads})), name
