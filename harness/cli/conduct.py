"""Conducts a stability run: builds, boots, verdicts, record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

from harness.cli import machines
from harness.cli.common import Setup
from harness.cli.experiment import declared_pairs
from harness.cli.suites import Arrangement, Request, arrange
from harness.core.errors import UserError
from harness.kernel.build.builds import Build
from harness.kernel.build.decode import decode
from harness.kernel.source.sources import find_source
from harness.machine.guest import Guest
from harness.measure.hoststate import describe_harness, describe_host
from harness.measure.runner import now
from harness.records.old_runs import old_kernel
from harness.records.old_verdicts import (
    BAD,
    StabilityRun,
    Verdict,
    VerdictWriter,
    load_run,
    load_verdicts,
    not_run,
)
from harness.suites import shards
from harness.suites.compare import CONFIRMATIONS, to_confirm
from harness.suites.formats import Pair
from harness.suites.outcome import RunOutcome, line
from harness.suites.suite import Queue, Suite, SuiteRunner, TestCase
from harness.suites.suite_page import write_report
from harness.suites.triage import load_known

FOREVER = 7 * 86400.0  # seconds that a guest waits for a debugger
Booter = Callable[[], tuple[int, Guest]]


def conduct(env: Setup, request: Request) -> RunOutcome:
    """Run the suite on every variant, repeat what differs, judge; all of it is on disk as well."""
    arrangement = arrange(env, request)
    writer, earlier = _open(env, request)
    builds = {variant: machines.need_build(env, variant) for variant in request.variants}
    for variant, build in builds.items():
        _note(writer.run, variant, build)
    runs = {
        variant: booter(env, request, arrangement, build, writer.run)
        for variant, build in builds.items()
    }
    tests = list(arrangement.tests) or _ask(runs[request.variants[0]], arrangement)
    writer.run.planned = {variant: [(test.name, test.seed) for test in tests] for variant in runs}
    writer.save()
    conductor = Conductor(env, request, arrangement.suite, writer, earlier)
    for variant, boot in runs.items():
        conductor.execute(variant, boot, tests)
    pairs: list[Pair] = [(old, new) for old, new in declared_pairs(env, request.variants)]
    for before, after in pairs if request.confirm else []:
        wanted = set(to_confirm(conductor.found, before, after))
        chosen = [test for test in tests if (test.name, test.seed) in wanted]
        for attempt in range(1, CONFIRMATIONS + 1) if chosen else ():
            for variant in (before, after):
                conductor.execute(variant, runs[variant], chosen, attempt)
    writer.run.finished = now()
    writer.save()
    found = conductor.found + not_run(writer.run, conductor.found)
    outcome = RunOutcome(found, pairs, load_known(env.project.root))
    outcome.write(request.directory)
    write_oopses(env, request.directory, outcome, builds)
    write_report(request.directory, writer.run, found, outcome.differences, outcome.bugs)
    return outcome


def _open(env: Setup, request: Request) -> tuple[VerdictWriter, list[Verdict]]:
    """The record of a new run, or of the one to go on with and its verdicts so far."""
    earlier = load_verdicts(request.directory)
    if earlier and not request.resume:
        raise UserError(
            f"{request.directory} holds a run already", hint="--resume goes on with it"
        )
    run = StabilityRun(started=now(), suite=request.suite, seed=request.seed)
    if earlier:
        run, _ = load_run(request.directory)
        if (run.suite, run.seed) != (request.suite, request.seed):
            raise UserError(f"{request.directory} is a run of {run.suite} with seed {run.seed}")
    run.seconds, run.host = request.seconds, describe_host()
    run.harness = describe_harness(env.project.root)
    run.smp = request.smp or env.project.config.guest.smp
    tree = request.ltp.tree if request.ltp else None
    run.guest = {"memory": request.memory, "append": request.append,
                 "accel": request.accel, "threads": request.threads,
                 "ltp": str(tree.absolute()) if tree else ""}
    return VerdictWriter(request.directory, run), earlier


def _note(run: StabilityRun, variant: str, build: Build) -> None:
    """Put a build into the record; a run is not gone on with on another kernel."""
    known = run.variants.get(variant, {}).get("key", build.key)
    if known != build.key:
        raise UserError(
            f"the run was begun with another build of '{variant}' ({known}, now {build.key})",
            hint="start a new one",
        )
    run.variants[variant] = old_kernel(build.kernel)


class Conductor:
    """Runs tests on variants and records what they say; ``found`` so far is not repeated."""

    def __init__(
        self, env: Setup, request: Request, suite: Suite, writer: VerdictWriter,
        found: list[Verdict],
    ) -> None:
        self.env, self.request, self.suite, self.writer = env, request, suite, writer
        self.found = found

    def execute(
        self, variant: str, boot: Booter, tests: Sequence[TestCase], attempt: int = 0
    ) -> None:
        """Run the tests once, in as many guests at a time as were asked for."""
        done = {
            (v.test, v.seed) for v in self.found
            if (v.variant, v.attempt) == (variant, attempt) and v.verdict != "not run"
        }
        queue = Queue(test for test in tests if (test.name, test.seed) not in done)
        runner = SuiteRunner(
            self.suite, variant, boot, self.request.directory / f"tests-{variant}", attempt
        )
        again = f", repetition {attempt}" if attempt else ""
        title = f"{self.suite.name} on {variant}: {len(tests)} tests{again}"
        with self.env.progress.task(title, len(tests)) as task:
            verdicts = shards.run(runner, queue, self.request.jobs)
            for number, verdict in enumerate(verdicts, len(done) + 1):
                self.writer.add(verdict)
                self.found.append(verdict)
                task.update(number, verdict.test)
                if verdict.verdict in BAD:
                    self.env.progress.warn(line(verdict))


def write_oopses(
    env: Setup, directory: Path, outcome: RunOutcome, builds: dict[str, Build]
) -> None:
    """One file per bug: where it was seen, and its first oops with addresses resolved."""
    for bug in outcome.bugs:
        variant = bug.variants[0]
        source = find_source(env.workspace, env.project, env.project.base_name(variant))
        text = decode(bug.text, builds[variant].directory, source.path if source else None)
        seen = "\n".join(f"  {line(verdict)}" for verdict in bug.where)
        path = directory / "oopses" / f"{bug.signature.ident}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(
            f"{bug.signature.text}\nsignature {bug.signature.ident}, seen {bug.count} times"
            f"{', known: ' + bug.known if bug.known else ''}:\n{seen}\n\n{text}\n"
        )


def _ask(boot: Booter, arrangement: Arrangement) -> list[TestCase]:
    """Ask a guest of the first variant which tests there are."""
    if arrangement.ask is None:
        return []
    _, guest = boot()
    with guest:
        arrangement.suite.prepare(guest)
        return arrangement.ask(guest)


def booter(
    env: Setup, request: Request, arrangement: Arrangement, build: Build, run: StabilityRun
) -> Booter:
    """What boots guests of a build, each with a number and a directory of its own."""
    image = machines.need_image(env)
    accel = machines.need_accel(env, request.accel, build, request.smp or 4)
    run.accel = accel.record()
    words = " ".join(part for part in (arrangement.append, request.append) if part)
    spec = replace(
        machines.make_spec(
            env, build, image, accel, smp=request.smp, memory=request.memory, append=words,
            gdb=request.gdb,
        ),
        disks=arrangement.disks,
    )
    crowd = shards.crowding(request.jobs, spec.smp, spec.memory)
    numbers = count(_boots(request.directory, build.variant))

    def boot() -> tuple[int, Guest]:
        number = next(numbers)
        folder = request.directory / "boots" / f"{build.variant}-{number:02d}"
        patience = FOREVER if request.gdb else None

        def warn(text: str) -> None:
            run.false_starts.append(f"{folder.name}: {text}")
            env.progress.warn(run.false_starts[-1])

        return number, machines.make_guest(spec, build, image, folder, warn, patience, crowd)

    return boot


def _boots(directory: Path, variant: str) -> int:
    """How many boots of a variant the directory has already."""
    return len(list((directory / "boots").glob(f"{variant}-[0-9]*")))
