"""A search through a tree's history for the commit that moved a number or broke a test.

:mod:`harness.measure.bisection` says which commit is next; here each is built, booted and looked
at. The record in ``bisect.json`` is written after every commit, and a search goes on from it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.core.errors import GuestCrash, InfrastructureError, UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace, write_atomic
from harness.kernel.source import commits
from harness.lab import Lab
from harness.measure import bisection
from harness.measure.planning import Overrides
from harness.project import adhoc
from harness.project.tables import WorkloadPlan
from harness.records.bisections import Bisection, Tried
from harness.records.record import Scalar
from harness.records.store import load_samples
from harness.suites.suiteplan import SuiteOptions

BISECT_FILE = "bisect.json"
RESOLUTION_PCT = 0.25
"""What a counted metric must move by: five times what a boot done again differs by at most."""


@dataclass(frozen=True)
class Stretch:
    """The history to search."""

    tree: Path
    good: str
    bad: str
    fragments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Effect:
    """The number that has moved."""

    workload: str
    params: Mapping[str, Scalar]
    metric: str
    accel: str = "icount"
    resolution_pct: float = RESOLUTION_PCT


@dataclass(frozen=True)
class BrokenTest:
    """The test that fails now."""

    suite: str
    test: str


@dataclass(frozen=True)
class SearchResult:
    """Where a search has come to."""

    record: Bisection
    culprits: list[Tried]
    """The first bad commit; several where some could not be tried. Empty: the bad one is good."""

    def exported(self) -> dict[str, object]:
        """For --json."""
        return {
            "search": self.record.model_dump(),
            "culprits": [one.model_dump() for one in self.culprits],
        }


def begin(where: Stretch, what: Effect | BrokenTest) -> Bisection:
    """The record of a new search.

    Raises :class:`UserError` for a range that holds no commit.
    """
    repository = commits.open_repository(where.tree)
    good, bad = (commits.find_commit(repository, name) for name in (where.good, where.bad))
    after = commits.commits_between(good, bad)
    if not after:
        raise UserError(
            f"{where.good} and {where.bad} are one commit", hint="name a good one and a later one"
        )
    chain = [good, *after]
    record = Bisection(
        tree=str(where.tree.absolute()), commits=[one.ident for one in chain],
        subjects=[one.subject for one in chain],
    )
    if isinstance(what, BrokenTest):
        return record.model_copy(update={"test": f"{what.suite}/{what.test}"})
    return record.model_copy(update={
        "workload": what.workload, "params": dict(what.params), "metric": what.metric,
        "accel": what.accel, "resolution_pct": what.resolution_pct,
    })


def load(directory: Path) -> Bisection:
    """The record of a search that was begun; raises :class:`UserError` when there is none."""
    path = directory / BISECT_FILE
    try:
        return Bisection.model_validate_json(path.read_text())
    except OSError as error:
        raise UserError(f"{directory} holds no search: it has no {BISECT_FILE}") from error
    except ValidationError as error:
        raise UserError(f"{path} is damaged: {error.errors()[0]['msg']}") from error


def run(
    record: Bisection, directory: Path, *, workspace: Workspace, progress: Progress,
    fragments: tuple[str, ...] = (), jobs: int | None = None,
) -> SearchResult:
    """Try commits until nothing more can be learnt; the record grows on the way.

    A commit that does not build or boot is skipped. Raises :class:`UserError` for what the user
    can mend (the first commit cannot be built, the workload has no such metric).
    """
    directory.mkdir(parents=True, exist_ok=True)
    look = _by_test if record.test else _by_metric
    while (at := bisection.next_commit(record)) is not None:
        left = bisection.builds_left(record)
        commit = record.commits[at]
        progress.say(f"{commit[:12]} {record.subjects[at]} (about {left} more to try)")
        lab = Lab(
            adhoc.of_commit(
                Path(record.tree), commit, _workload(record), fragments=fragments
            ),
            workspace=workspace, progress=progress,
        )
        tried = _try(
            lab, record, at=at, directory=directory / f"{at:03d}-{commit[:12]}", look=look,
            jobs=jobs,
        )
        record.tried.append(tried)
        write_atomic(directory / BISECT_FILE, record.model_dump_json(indent=1) + "\n")
        progress.say(f"{commit[:12]} is {tried.state}{_why(record, tried)}")
    known = record.known()
    return SearchResult(record, [
        known.get(at, Tried(index=at, commit=record.commits[at], subject=record.subjects[at],
                            state="bad"))
        for at in bisection.culprits(record)
    ])


Look = Callable[[Lab, Bisection, Path], tuple[bool | None, float | None, str]]


def _try(
    lab: Lab, record: Bisection, *, at: int, directory: Path, look: Look, jobs: int | None
) -> Tried:
    """Build, boot, look; what cannot be built or does not come up is skipped."""
    tried = Tried(index=at, commit=record.commits[at], subject=record.subjects[at], state="good")
    try:
        lab.build(adhoc.TIP, jobs=jobs)
        bad, value, reason = look(lab, record, directory)
    except UserError:
        raise
    except (InfrastructureError, GuestCrash) as error:
        if at == 0:
            raise
        return tried.model_copy(update={"state": "skipped", "reason": error.line()})
    if bad is None:  # a metric, and it says by itself
        bad = at > 0 and value is not None and bisection.is_moved(record, value)
    if at == 0 and bad:
        raise UserError(
            f"{record.test} fails on the good commit {record.commits[0][:12]} already: {reason}",
            hint="name an earlier one",
        )
    state = "bad" if bad else "good"
    return tried.model_copy(update={"state": state, "value": value, "reason": reason})


def _by_metric(
    lab: Lab, record: Bisection, directory: Path
) -> tuple[bool | None, float | None, str]:
    plan = lab.plan(
        adhoc.SEARCH, variants=[adhoc.TIP], accel=record.accel, comparisons=[],
        overrides=Overrides(boots=1, again=False, control=False),
    )
    lab.measure(plan, _fresh(directory))
    samples, _ = load_samples(_last(directory))
    values = [one.value for one in samples if one.metric == record.metric and one.t is None]
    if not values:
        names = sorted({one.metric for one in samples if one.t is None})
        raise UserError(
            f"{record.workload} gives no {record.metric} here",
            hint=f"--metric: one of {', '.join(names)}" if names else "see its log",
        )
    record.unit = next(one.unit for one in samples if one.metric == record.metric)
    return None, statistics.median(values), ""


def _by_test(
    lab: Lab, record: Bisection, directory: Path
) -> tuple[bool | None, float | None, str]:
    suite, _, test = record.test.partition("/")
    options = SuiteOptions(variants=[adhoc.TIP], wanted=[test], confirm=False)
    outcome = lab.test(suite, options, directory=_fresh(directory))
    verdicts = [one for one in outcome.verdicts if one.test == test]
    if any(one.verdict in ("skip", "not run") for one in verdicts) or not verdicts:
        raise InfrastructureError(f"{record.test} was not run: {outcome.words()}")
    bad = outcome.exit_code != 0
    return bad, None, next((one.reason for one in verdicts if one.reason), "")


def _fresh(directory: Path) -> Path:
    """A directory for one more attempt: a killed one is left as it is."""
    number = 1
    while (path := directory / str(number)).exists():
        number += 1
    return path


def _last(directory: Path) -> Path:
    return max(directory.iterdir(), key=lambda path: int(path.name))


def _workload(record: Bisection) -> WorkloadPlan | None:
    if record.test:
        return None
    return WorkloadPlan(name=record.workload, params=dict(record.params), repeat=1)


def _why(record: Bisection, tried: Tried) -> str:
    if tried.state == "skipped":
        return f": {tried.reason}"
    if tried.value is None:
        return f" ({tried.reason})" if tried.reason else ""
    first = record.known().get(0, tried).value or tried.value
    change = 100 * (tried.value / first - 1) if first else 0.0
    return f": {tried.value:,.1f} {record.unit} ({change:+.2f} %)"


def words(found: SearchResult) -> str:
    """What was found, for a person."""
    record, known = found.record, found.record.known()
    what = record.test or f"{record.workload} {record.metric}"
    built = sum(one.state != "skipped" for one in record.tried)
    if not found.culprits:
        last = known.get(len(record.commits) - 1)
        if last is not None and last.state == "skipped":
            return f"cannot tell: {last.commit[:12]} could not be tried: {last.reason}"
        return (
            f"{what} is the same on {record.commits[-1][:12]} as on {record.commits[0][:12]}: "
            "nothing to find"
        )
    if len(found.culprits) > 1:
        lines = [f"one of these changed {what}; those between could not be tried:"]
        lines += [f"  {one.commit[:12]} {one.subject}" for one in found.culprits]
        return "\n".join(lines)
    culprit = found.culprits[0]
    line = f"{culprit.commit[:12]} {culprit.subject}\nis the first commit that changed {what}"
    before = max((at for at, one in known.items() if at < culprit.index and one.state == "good"),
                 default=0)
    old, new = known[before].value, culprit.value
    if old is not None and new is not None:
        line += f": {old:,.1f} -> {new:,.1f} {record.unit} ({100 * (new / old - 1):+.2f} %)"
    return f"{line}\n({built} of {len(record.commits) - 1} commits were built)"

