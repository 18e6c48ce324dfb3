"""Conducts a run of a suite: builds, boots, verdicts, repetitions, and the run's record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import digest, moments
from harness.core.errors import HarnessError, UserError
from harness.core.plurals import plural
from harness.dumps.keeping import FREEZE, DumpKeeper
from harness.dumps.opening import require_drgn
from harness.kernel.build.builds import Build
from harness.kernel.build.decode import decode
from harness.kernel.source.sources import find_source
from harness.measure.hoststate import describe_harness, describe_host
from harness.project.machine_tables import GUEST
from harness.records.plans import PlannedTest, SuitePlan
from harness.records.runs import Run, RunStatus
from harness.records.store import RunWriter, is_run, load_run, load_verdicts
from harness.records.verdicts import BAD, Verdict, not_run
from harness.suites import shards
from harness.suites.batches import PreparedSuite, Spread, Spreading, TestRound, cut
from harness.suites.compare import CONFIRMATIONS, to_confirm
from harness.suites.outcome import SuiteOutcome, line
from harness.suites.registry import find_suite
from harness.suites.suite import Suite
from harness.suites.suite_pages import write_page
from harness.suites.suiteplan import alone
from harness.suites.testboots import TestBoot
from harness.suites.testrunner import SuiteRunner, TestQueue
from harness.suites.triage import load_known
from harness.suites.workbench import Workbench

if TYPE_CHECKING:
    from harness.machine.session import Session

BOOTS = "boots"  # consoles, a directory for each boot
OOPSES = "oopses"
FOREVER = 7 * 86400.0  # seconds that a guest waits for a debugger


def conduct(
    lab: Workbench, plan: SuitePlan, directory: Path, spreading: Spreading | None = None
) -> SuiteOutcome:
    """Run a suite on every variant, repeat what differs, judge; all of it is on disk as well.

    With ``spreading`` others run the tests, in batches; this process alone writes the record.

    A directory that holds a run of this plan already is gone on with: tests that have a verdict
    are not repeated. Raises :class:`UserError` for a directory with another run, and what
    building, booting or planning raises, with the run's record written first.
    """
    suite = find_suite(plan.suite)
    if plan.dump:
        require_drgn()
    tests = list(plan.tests) or suite.tests(lab, plan)  # a wrong name must not cost a build
    writer, earlier = _open(lab, plan, directory)
    for variant in alone(plan):
        lab.progress.warn(f"{variant} is compared with nothing: no [[comparisons]] of harness.toml "
                          "names it with another variant of this run")
    try:
        outcome = _Conductor(lab, suite, writer, earlier, spreading).run(tests)
    except KeyboardInterrupt:
        _close(writer, "interrupted")
        lab.progress.warn(f"go on with: harness stability --resume {directory}")
        raise
    except HarnessError:
        _close(writer, "failed")
        raise
    return outcome


def resumed(directory: Path) -> SuitePlan:
    """The plan of a run of a suite, to go on with; :class:`UserError` when it holds none."""
    plan = load_run(directory).plan
    if not isinstance(plan, SuitePlan):
        raise UserError(
            f"{directory} is a measurement, no run of a suite",
            hint=f"go on with it by `harness bench --resume {directory}`",
        )
    return plan


def new_run(lab: Workbench, plan: SuitePlan, directory: Path) -> Run:
    """The record of a run that begins now: plan, host and harness."""
    return Run(
        run=directory.name, started=moments.now(), plan=plan, host=describe_host(),
        harness=describe_harness(),
    )


def _open(lab: Workbench, plan: SuitePlan, directory: Path) -> tuple[RunWriter, list[Verdict]]:
    """The record of a new run, or of the one to go on with and its verdicts so far."""
    run = new_run(lab, plan, directory)
    if is_run(directory):
        recorded = load_run(directory)
        if not isinstance(recorded.plan, SuitePlan) or _bare(recorded.plan) != _bare(plan):
            raise UserError(
                f"{directory} holds another run already",
                hint=f"go on with it by --resume {directory}, or write elsewhere with --out",
            )
        run = recorded
        run.status, run.finished = "running", ""
    verdicts, _ = load_verdicts(directory)
    return RunWriter(directory, run), verdicts


def _bare(plan: SuitePlan) -> SuitePlan:
    """A plan without the tests, which it has only once it was begun."""
    return plan.model_copy(update={"tests": []})


def _close(writer: RunWriter, status: RunStatus) -> None:
    writer.run.status, writer.run.finished = status, moments.now()
    writer.save()


def free_number(directory: Path, variant: str) -> int:
    """The first number behind those of all boots of a variant that a run has."""
    names = (path.name for path in (directory / BOOTS).glob(f"{variant}-[0-9]*"))
    numbers = (name.removeprefix(f"{variant}-") for name in names)
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=-1)


@dataclass(frozen=True)
class Boots:
    """What boots guests of one build for a suite, each with a number and a directory of its own."""

    lab: Workbench
    plan: SuitePlan
    build: Build
    disks: Sequence[Path]
    writer: RunWriter
    numbers: count[int]
    gdb: bool = False

    @classmethod
    def of(
        cls, lab: Workbench, plan: SuitePlan, build: Build, disks: Sequence[Path],
        writer: RunWriter, *, gdb: bool = False,
    ) -> Boots:
        """The same, numbered on behind those that the run has already."""
        free = free_number(writer.directory, build.variant)
        return cls(lab, plan, build, disks, writer, count(free), gdb)

    def __call__(self) -> TestBoot:
        """A boot that is not started yet."""
        number, plan = next(self.numbers), self.plan
        session = self.lab.boot(
            self.build, smp=plan.smp, memory=plan.memory,
            append=f"{plan.cmdline}{FREEZE if plan.dump else ''}", accel=plan.accel,
            directory=self.writer.directory / BOOTS / f"{self.build.variant}-{number:02d}",
            disks=self.disks, gdb=self.gdb,
            crowd=shards.crowding(plan.jobs, plan.smp, plan.memory),
            boot_seconds=FOREVER if self.gdb else None,
        )
        return TestBoot(
            number, self.build.variant, session, self.writer.directory, self.writer.boot
        )


def dump_keeper(
    lab: Workbench, plan: SuitePlan, build: Build, directory: Path
) -> DumpKeeper | None:
    """What keeps the memory of a build's guests, where the plan asks for it."""
    if not plan.dump:
        return None
    return DumpKeeper(
        directory, build.vmlinux, lab.types(build), build.release, plan.memory, lab.progress
    )


class _Conductor:
    """One run; ``found`` so far is not repeated."""

    def __init__(
        self, lab: Workbench, suite: Suite, writer: RunWriter, found: list[Verdict],
        spreading: Spreading | None,
    ) -> None:
        self.spreading = spreading
        self.disks: Sequence[Path] = ()
        self.lab, self.suite, self.writer, self.found = lab, suite, writer, found
        self.builds: dict[str, Build] = {}
        self.boots: dict[str, Boots] = {}
        self.keepers: dict[str, DumpKeeper | None] = {}

    @property
    def plan(self) -> SuitePlan:
        """The plan, with the tests once they are known."""
        plan = self.writer.run.plan
        assert isinstance(plan, SuitePlan)
        return plan

    def run(self, tests: Sequence[PlannedTest] | None) -> SuiteOutcome:
        """All of it; ``tests``: None when a guest is to be asked."""
        if self.spreading is None:  # before anything is built
            shards.crowding(self.plan.jobs, self.plan.smp, self.plan.memory)
        self._make_ready()
        if tests is None:
            tests = self._ask()
        self.writer.run.plan = self.plan.model_copy(update={"tests": list(tests)})
        self.writer.save()
        with self._execution() as execute:
            execute([TestRound(variant, tuple(tests)) for variant in self.plan.variants])
            for pair in self.plan.comparisons if self.plan.confirm else []:
                wanted = set(to_confirm(self.found, pair.baseline, pair.variant))
                chosen = tuple(test for test in tests if (test.name, test.seed) in wanted)
                execute([
                    TestRound(variant, chosen, attempt)
                    for attempt in range(1, CONFIRMATIONS + 1) if chosen
                    for variant in (pair.baseline, pair.variant)
                ])
        return self._finish()

    @contextlib.contextmanager
    def _execution(self) -> Iterator[Callable[[Sequence[TestRound]], None]]:
        """What executes rounds: this process, or others in batches."""
        if self.spreading is None:
            yield self._execute
            return
        prepared = PreparedSuite(self.lab, self.plan, self.builds, self.disks, self.writer)
        with self.spreading(prepared) as spread:
            yield partial(self._spread, spread)

    def _spread(self, spread: Spread, rounds: Sequence[TestRound]) -> None:
        """Have rounds executed elsewhere, all of them at once."""
        left = [replace(one, tests=tuple(self._left(one))) for one in rounds]
        taken = {
            variant: free_number(self.writer.directory, variant) for variant in self.plan.variants
        }
        run = self.writer.run  # another one of that name on the same scheduler has other batches
        name = f"{run.run}-{digest.key([run.run, run.started])[:8]}"
        batches = cut(name, left, spread.guests, taken)
        if batches:
            spread.run(batches, self._take)

    def _left(self, one: TestRound) -> list[PlannedTest]:
        """The tests of a round that have no verdict yet."""
        done = {
            (v.test, v.seed) for v in self.found
            if (v.variant, v.attempt) == (one.variant, one.attempt)
        }
        return [test for test in one.tests if (test.name, test.seed) not in done]

    def _take(self, verdict: Verdict) -> None:
        """Into the record."""
        self.writer.verdict(verdict)
        self.found.append(verdict)
        if verdict.verdict in BAD:
            self.lab.progress.warn(line(verdict))

    def _make_ready(self) -> None:
        """Kernels, disks, image; all of them into the record before the first boot."""
        plan, run = self.plan, self.writer.run
        for variant in plan.variants:
            build = self.builds[variant] = self.lab.build(variant)
            known = run.kernels.get(variant)
            if known is not None and known.key != build.key:
                raise UserError(
                    f"the run was begun with another build of '{variant}' "
                    f"({known.key}, now {build.key})", hint="start a new one",
                )
            run.kernels[variant] = build.kernel
        disks = self.disks = self.suite.disks(self.lab, plan)
        chosen = self.lab.accel(plan.accel, self.builds[plan.variants[0]], plan.smp)
        run.accels = [chosen.record()]
        run.image = self.lab.image().record if plan.machine == GUEST else None
        run.host = self.lab.measured_host() or run.host
        self.writer.save()
        for variant, build in self.builds.items():
            self.boots[variant] = Boots.of(self.lab, plan, build, disks, self.writer)
            self.keepers[variant] = dump_keeper(self.lab, plan, build, self.writer.directory)

    def _ask(self) -> list[PlannedTest]:
        """Ask a guest of the first variant which tests there are."""
        boot = self.boots[self.plan.variants[0]]()
        with boot.kept() as session:
            session.boot()
            self._prepare(session)
            tests = self.suite.ask(session, self.plan)
            session.power_off()
        return tests

    def _prepare(self, session: Session) -> None:
        self.suite.prepare(session, self.lab, self.plan)

    def _execute(self, rounds: Sequence[TestRound]) -> None:
        """Execute rounds one after another, in as many guests at a time as were asked for."""
        for one in rounds:
            left = self._left(one)
            if left:
                self._execute_here(one, left)

    def _execute_here(self, one: TestRound, left: Sequence[PlannedTest]) -> None:
        variant = one.variant
        runner = SuiteRunner(
            self.suite, variant, self.boots[variant], self.writer.directory / f"tests-{variant}",
            prepare=self._prepare, attempt=one.attempt, keeper=self.keepers[variant],
        )
        again = f", repetition {one.attempt}" if one.attempt else ""
        title = f"{self.suite.name} on {variant}: {plural(len(one.tests), 'test')}{again}"
        with self.lab.progress.task(title, len(one.tests)) as task:
            verdicts = shards.run(runner, TestQueue(left), self.plan.jobs)
            for number, verdict in enumerate(verdicts, len(one.tests) - len(left) + 1):
                self._take(verdict)
                task.update(number, verdict.test)

    def _finish(self) -> SuiteOutcome:
        """Judge, and write what is made from the run's files."""
        run, directory = self.writer.run, self.writer.directory
        self.found += not_run(self.plan, self.found)
        crashed = any(verdict.verdict == "crash" for verdict in self.found)
        _close(self.writer, "crashed" if crashed else "complete")
        outcome = SuiteOutcome(run, self.found, load_known(self.lab.project.root), directory)
        outcome.write()
        self._write_oopses(outcome)
        write_page(outcome)
        return outcome

    def _write_oopses(self, outcome: SuiteOutcome) -> None:
        """One file per bug: where it was seen, and its first oops with addresses resolved."""
        for bug in outcome.bugs:
            variant = bug.variants[0]
            base = self.writer.run.kernels[variant].base
            source = find_source(self.lab.workspace, self.lab.project, base)
            tree = source.path if source else None
            text = decode(bug.text, self.builds[variant].directory, tree)
            seen = "\n".join(f"  {line(verdict)}" for verdict in bug.where)
            known = f", known: {bug.known}" if bug.known else ""
            path = self.writer.directory / OOPSES / f"{bug.signature.ident}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text(
                f"{bug.signature.text}\nsignature {bug.signature.ident}, "
                f"seen {plural(bug.count, 'time')}{known}:\n{seen}\n\n{text}\n"
            )


