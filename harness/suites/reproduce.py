"""One test of an earlier run again, alone, in a fresh guest."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import moments
from harness.core.errors import (
    EXIT_GUEST_CRASH,
    EXIT_OK,
    EXIT_REGRESSION,
    UserError,
)
from harness.core.plurals import plural
from harness.dumps.keeping import DumpKeeper
from harness.dumps.opening import DumpFiles, require_drgn
from harness.kernel.build.builds import Build
from harness.project.machine_tables import GUEST
from harness.records.plans import PlannedTest, SuitePlan
from harness.records.runs import Run
from harness.records.store import RUN_FILE, VERDICTS_FILE, RunWriter, load_run, load_verdicts
from harness.records.verdicts import BAD, Verdict, not_run
from harness.suites.conductor import BOOTS, FOREVER, Boots, dump_keeper, new_run
from harness.suites.registry import find_suite
from harness.suites.suite import Suite
from harness.suites.testrunner import SuiteRunner, TestQueue
from harness.suites.workbench import Workbench

if TYPE_CHECKING:
    from harness.machine.session import Session

STAY = " panic=0"  # a panic that rebooted would end QEMU under the debugger's eyes
SHOWN = 4000  # characters of the end of a test's output


@dataclass(frozen=True)
class Found:
    """A verdict and the run that it is of."""

    directory: Path
    run: Run
    verdict: Verdict

    @property
    def plan(self) -> SuitePlan:
        """The plan of the run."""
        assert isinstance(self.run.plan, SuitePlan)
        return self.run.plan


@dataclass(frozen=True)
class Reproduction:
    """What the attempts gave."""

    old: Verdict
    verdicts: list[Verdict]
    attempts: int
    directory: Path

    @property
    def bad(self) -> Verdict | None:
        """The last verdict that is bad."""
        return next((v for v in reversed(self.verdicts) if v.verdict in BAD), None)

    @property
    def exit_code(self) -> int:
        """4 a guest crashed, 1 the test failed otherwise or could not be run, 0 it did neither."""
        if self.bad is not None:
            return EXIT_GUEST_CRASH if self.bad.verdict == "crash" else EXIT_REGRESSION
        return EXIT_REGRESSION if any(v.verdict == "not run" for v in self.verdicts) else EXIT_OK

    def words(self) -> str:
        """What was seen, for people; of a bad verdict its oopses and the end of its output."""
        record = f"record: {self.directory}"
        bad, times = self.bad, plural(self.attempts, "attempt")
        if bad is not None:
            texts = [event.text for event in bad.events]
            if bad.log:
                texts.append((self.directory / bad.log).read_text(errors="replace")[-SHOWN:])
            return "\n".join([*texts, record])
        ends = ", ".join(dict.fromkeys(v.verdict for v in self.verdicts)) or "no verdict"
        if self.old.verdict in BAD:
            return f"not reproduced in {times} (it ended with: {ends}); {record}"
        if ends == self.old.verdict:
            return f"{times} ended as the run's own did: {ends}; {record}"
        return f"{times} ended with {ends}, the run's own with {self.old.verdict}; {record}"


def find_verdict(root: Path, ident: str) -> Found:
    """The newest run at or below ``root`` that has a test of this ID, and its last verdict.

    Raises :class:`UserError` when there is none, and when kernels of two bases have a test of this
    ID: a night runs the same tests on variants of the same names.
    """
    files = sorted(root.rglob(VERDICTS_FILE), key=lambda path: path.stat().st_mtime, reverse=True)
    found: dict[str, Found] = {}  # by base
    for path in files:
        if not (path.parent / RUN_FILE).exists():
            continue
        verdicts, _ = load_verdicts(path.parent)
        match = [v for v in verdicts if v.ident == ident and v.command]
        run = load_run(path.parent)
        if not match and isinstance(run.plan, SuitePlan):
            match = [v for v in not_run(run.plan, verdicts) if v.ident == ident]
        if match:
            found.setdefault(run.plan.base, Found(path.parent, run, match[-1]))
    if len(found) > 1:
        places = "; ".join(f"{base}: {one.directory}" for base, one in found.items())
        raise UserError(
            f"{ident} is a test on kernels of several bases ({places})",
            hint="name one of these runs with --run",
        )
    for one in found.values():
        return one
    raise UserError(
        f"no run below {root} has a test with the ID {ident}",
        hint="IDs stand in brackets behind verdicts: on the terminal, in a run's report.html, "
        "results.tap and verdicts.json",
    )


def find_dump(root: Path, ident: str) -> Found | None:
    """The newest run at or below ``root`` that has a dump behind a test of this ID, if any."""
    files = sorted(root.rglob(VERDICTS_FILE), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files:
        if (path.parent / RUN_FILE).exists():
            for verdict in reversed(load_verdicts(path.parent)[0]):
                here = verdict.ident == ident and verdict.dump
                if here and (path.parent / verdict.dump).exists():
                    return Found(path.parent, load_run(path.parent), verdict)
    return None


def dump_files(lab: Workbench, found: Found) -> DumpFiles:
    """The dump behind a verdict and what it is read with.

    Raises :class:`UserError` when its kernel is not in the cache any more.
    """
    kernel = found.run.kernels[found.verdict.variant]
    directory = lab.workspace.published("builds", kernel.key)
    if directory is None:
        raise UserError(
            f"the kernel of the dump ({kernel.variant}, {kernel.key}) is not in the cache any more",
            hint=f"`harness build {kernel.variant}` makes it again while nothing of it has changed",
        )
    build = Build.load(directory, kernel.variant)
    return DumpFiles(
        found.directory / found.verdict.dump, build.vmlinux, lab.types(build), build.release
    )


def reproduce(
    lab: Workbench, found: Found, directory: Path, *, say: Callable[[str], None],
    variant: str | None = None, accel: str | None = None, until_fail: int = 1, gdb: bool = False,
    dump: bool = False,
) -> Reproduction:
    """Boot the variant of a verdict and run its test alone, with the same seed and limits.

    Up to ``until_fail`` times, until it fails; ``say`` is told each verdict. ``gdb`` lets the
    guest wait for a debugger, and leaves a dead one to it; ``dump`` keeps its memory. ``lab`` is
    on the base of the run.
    """
    name = variant or found.verdict.variant
    again = Again.begin(lab, found, directory, variant=name, accel=accel, gdb=gdb, dump=dump)
    plan, writer = again.plan, again.writer
    if gdb:
        stub = directory / BOOTS / f"{name}-00" / "gdb.sock"
        vmlinux = again.boots.build.vmlinux
        line = ["gdb", str(vmlinux), "-ex", f"target remote {stub}", "-ex", "continue"]
        lab.progress.say(f"the guest waits for:\n{shlex.join(line)}")
    seen: list[Verdict] = []
    attempt = 0
    for attempt in range(1, until_fail + 1):
        runner = again.runner(attempt - 1, examine=partial(_leave, lab) if gdb else None)
        for verdict in runner.run(TestQueue(plan.tests)):
            writer.verdict(verdict)
            seen.append(verdict)
            reason = f": {verdict.reason}" if verdict.reason else ""
            say(f"{attempt}: {verdict.verdict} {name} {verdict.test}{reason}")
        if any(verdict.verdict in BAD for verdict in seen):
            break
    again.close(crashed=any(verdict.verdict == "crash" for verdict in seen))
    return Reproduction(found.verdict, seen, attempt, directory)


@dataclass(frozen=True)
class Again:
    """A run that does a test of another run again: its record, and what boots its guests."""

    lab: Workbench
    suite: Suite
    plan: SuitePlan
    boots: Boots
    writer: RunWriter
    keeper: DumpKeeper | None = None

    @classmethod
    def begin(
        cls, lab: Workbench, found: Found, directory: Path, *, variant: str,
        accel: str | None = None, gdb: bool = False, dump: bool = False,
    ) -> Again:
        """Build the variant and write the record of the run; nothing is booted yet."""
        plan = _plan(found, variant, accel, gdb, dump)
        if plan.dump:
            require_drgn()
        suite = find_suite(plan.suite)
        build = lab.build(variant)
        disks = suite.disks(lab, plan)
        run = new_run(lab, plan, directory)
        run.kernels = {variant: build.kernel}
        run.image = lab.image().record if plan.machine == GUEST else None
        run.host = lab.measured_host() or run.host
        run.accels = [lab.accel(plan.accel, build, plan.smp).record()]
        writer = RunWriter(directory, run)
        boots = Boots.of(lab, plan, build, disks, writer, gdb=gdb)
        keeper = dump_keeper(lab, plan, build, directory)
        return cls(lab, suite, plan, boots, writer, keeper)

    def runner(
        self, attempt: int, examine: Callable[[Session], None] | None = None
    ) -> SuiteRunner:
        """What runs tests in guests of the variant."""
        variant = self.plan.variants[0]
        return SuiteRunner(
            self.suite, variant, self.boots, self.writer.directory / f"tests-{variant}",
            attempt=attempt, examine=examine, keeper=self.keeper,
            prepare=lambda session: self.suite.prepare(session, self.lab, self.plan),
        )

    def close(self, *, crashed: bool) -> None:
        """The end of the run, into its record."""
        self.writer.run.status = "crashed" if crashed else "complete"
        self.writer.run.finished = moments.now()
        self.writer.save()


def _plan(found: Found, variant: str, accel: str | None, gdb: bool, dump: bool) -> SuitePlan:
    """The run's plan with nothing in it but the one test on the one variant."""
    old, plan = found.verdict, found.plan
    seconds, fixed = old.limits
    test = PlannedTest(
        name=old.test, seed=old.seed, command=old.command, seconds=seconds,
        fixed=FOREVER if gdb else fixed,
    )
    return plan.model_copy(update={
        "variants": [variant], "tests": [test], "comparisons": [], "confirm": False, "jobs": 1,
        "dump": dump,
        "accel": plan.accel if accel is None else accel,
        "cmdline": f"{plan.cmdline}{STAY if gdb else ''}",
    })


def _leave(lab: Workbench, session: Session) -> None:
    """Leave a dead guest to the debugger until that, or Ctrl-C, ends it."""
    with contextlib.suppress(KeyboardInterrupt):  # as soon as it is announced
        lab.progress.say("the guest is dead and stays for gdb: its `kill`, or Ctrl-C here, ends it")
        session.wait_end()
