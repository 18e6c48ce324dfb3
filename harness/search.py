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
from harness.kernel.build.kconfig import load_fragments
from harness.kernel.source import commits
from harness.lab import Lab
from harness.measure import bisection
from harness.measure.planning import Overrides
from harness.project import adhoc
from harness.project.tables import WorkloadPlan
from harness.records.bisections import Bisection, Tried
from harness.records.plans import Plan
from harness.records.record import Scalar
from harness.records.store import load_samples
from harness.suites.registry import find_suite
from harness.suites.suiteplan import SuiteOptions, make_suite_plan

BISECT_FILE = "bisect.json"
LISTED = ("races", "piecewise", "model")
"""Suites whose tests are known without a kernel."""
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
        subjects=[one.subject for one in chain], fragments=list(where.fragments),
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
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged: {error}") from error


def check(record: Bisection, *, workspace: Workspace, progress: Progress) -> None:
    """That what is searched for can be measured or tested at all, before anything is built.

    Raises :class:`UserError`, for an unknown workload, parameter, accel, fragment, suite or test of
    ours. A metric's name is known when the first commit has been measured, and the tests of other
    suites when there is a kernel.
    """
    lab = _lab(record, record.commits[0], workspace, progress)
    load_fragments(lab.project, record.fragments)
    if not record.test:
        _plan(lab, record, try_kvm=False)
        return
    suite, options = _test(record)
    plan = make_suite_plan(lab.project, suite, options)
    if suite in LISTED:
        find_suite(suite).tests(lab, plan)


def run(
    record: Bisection, directory: Path, *, workspace: Workspace, progress: Progress,
    jobs: int | None = None,
) -> SearchResult:
    """Try commits until nothing more can be learnt; the record grows on the way.

    A commit that does not build or boot is skipped. Raises :class:`UserError` for what the user
    can mend (the first commit cannot be built, the workload has no such metric).
    """
    directory.mkdir(parents=True, exist_ok=True)
    _write(record, directory)
    look = _by_test if record.test else _by_metric
    while (at := bisection.next_commit(record)) is not None:
        left = bisection.builds_left(record)
        commit = record.commits[at]
        progress.say(f"{commit[:12]} {record.subjects[at]} (about {left} more to try)")
        lab = _lab(record, commit, workspace, progress)
        tried = _try(
            lab, record, at=at, directory=directory / f"{at:03d}-{commit[:12]}", look=look,
            jobs=jobs,
        )
        record.tried.append(tried)
        _write(record, directory)
        progress.say(f"{commit[:12]} is {tried.state}{_why(record, tried)}")
    known = record.known()
    return SearchResult(record, [
        known.get(at, Tried(index=at, commit=record.commits[at], subject=record.subjects[at],
                            state="bad"))
        for at in bisection.culprits(record)
    ])


def _write(record: Bisection, directory: Path) -> None:
    write_atomic(directory / BISECT_FILE, record.model_dump_json(indent=1) + "\n")


def _lab(record: Bisection, commit: str, workspace: Workspace, progress: Progress) -> Lab:
    project = adhoc.of_commit(
        Path(record.tree), commit, _workload(record), fragments=record.fragments
    )
    return Lab(project, workspace=workspace, progress=progress)


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
    lab.measure(_plan(lab, record), _fresh(directory))
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
    suite, options = _test(record)
    outcome = lab.test(suite, options, directory=_fresh(directory))
    verdicts = [one for one in outcome.verdicts if one.test in (options.wanted or ())]
    if any(one.verdict in ("skip", "not run") for one in verdicts) or not verdicts:
        raise InfrastructureError(f"{record.test} was not run: {outcome.words()}")
    bad = outcome.exit_code != 0
    return bad, None, next((one.reason for one in verdicts if one.reason), "")


def _plan(lab: Lab, record: Bisection, *, try_kvm: bool = True) -> Plan:
    return lab.plan(
        adhoc.SEARCH, variants=[adhoc.TIP], accel=record.accel, comparisons=[], try_kvm=try_kvm,
        overrides=Overrides(boots=1, again=False, control=False),
    )


def _test(record: Bisection) -> tuple[str, SuiteOptions]:
    suite, _, test = record.test.partition("/")
    return suite, SuiteOptions(variants=[adhoc.TIP], wanted=[test], confirm=False)


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

