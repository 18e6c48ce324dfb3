"""Conducts a stability run: builds, boots, verdicts, record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.bench.host import describe_harness, describe_host
from harness.bench.runner import now
from harness.cli import machines
from harness.cli.common import Setup
from harness.core.proc import capture
from harness.guest.image import Image
from harness.guest.programs import GUEST_DIR, build_programs
from harness.kernel.build import Build
from harness.machine.accel import Accel
from harness.machine.guest import Guest
from harness.stability import races
from harness.stability.record import StabilityRun, Verdict, VerdictWriter
from harness.stability.suite import SuiteRunner, TestCase


@dataclass(frozen=True)
class Request:
    """What the flags ask for."""

    suite: str
    variants: Sequence[str]
    tests: Sequence[str]
    seconds: float
    seed: int
    threads: int
    accel: str
    smp: int
    memory: str
    append: str
    directory: Path


def conduct(env: Setup, request: Request) -> list[Verdict]:
    """Run the suite on every variant; the verdicts, which are on disk as well."""
    writer = VerdictWriter(request.directory, StabilityRun(
        started=now(), suite=request.suite, seed=request.seed, seconds=request.seconds,
        host=describe_host(), harness=describe_harness(env.project.root),
        smp=request.smp or env.project.config.guest.smp,
    ))
    programs = build_programs(env.workspace, env.project, env.progress)
    tests = _tests(request, programs)
    found: list[Verdict] = []
    for variant in request.variants:
        build = machines.need_build(env, variant)
        image = machines.need_image(env)
        accel = machines.need_accel(env, request.accel, build, request.smp or 4)
        writer.run.variants[variant] = build.metadata
        writer.run.accel = accel.record()
        writer.save()
        runner = SuiteRunner(
            request.suite, variant, _booter(env, request, build, image, accel),
            lambda guest: races.push(guest, programs, sorted({_program(t) for t in tests})),
        )
        title = f"{request.suite} on {variant}: {len(tests)} tests"
        with env.progress.task(title, len(tests)) as task:
            for number, verdict in enumerate(runner.run(tests), 1):
                writer.add(verdict)
                found.append(verdict)
                task.update(number, verdict.test)
                if verdict.verdict not in ("pass", "skip"):
                    env.progress.warn(
                        f"{variant} {verdict.test} seed {verdict.seed}: {verdict.verdict}: "
                        f"{verdict.reason}"
                    )
    writer.run.finished = now()
    writer.save()
    return found


def _tests(request: Request, programs: Path) -> list[TestCase]:
    if request.suite == "races":
        return races.plan(
            programs, only=request.tests, seed=request.seed, seconds=request.seconds,
            threads=request.threads,
        )
    cases = request.tests or capture([str(programs / "piecewise"), "list"]).split()
    return [TestCase(case, f"{GUEST_DIR}/piecewise {case}", 30.0) for case in cases]


def _program(test: TestCase) -> str:
    return Path(test.command.split()[0]).name


def _booter(
    env: Setup, request: Request, build: Build, image: Image, accel: Accel
) -> Callable[[int], Guest]:
    spec = machines.make_spec(
        env, build, image, accel, smp=request.smp, memory=request.memory, append=request.append
    )

    def boot(number: int) -> Guest:
        folder = request.directory / "boots" / f"{build.variant}-{number:02d}"
        return machines.make_guest(spec, build, image, folder)

    return boot


def summary(verdicts: Sequence[Verdict]) -> str:
    """Counts per variant, then every verdict that is neither pass nor skip, then the skips."""
    lines = []
    for variant in dict.fromkeys(v.variant for v in verdicts):
        counts = Counter(v.verdict for v in verdicts if v.variant == variant)
        lines.append(f"{variant}: " + ", ".join(f"{n} {word}" for word, n in counts.most_common()))
    for v in verdicts:
        if v.verdict not in ("pass", "skip"):
            lines.append(f"  {v.verdict:5} {v.variant} {v.test} seed {v.seed}: {v.reason}")
    skips = {(v.test, v.reason) for v in verdicts if v.verdict == "skip"}
    lines += [f"  skip  {test}: {reason}" for test, reason in sorted(skips)]
    return "\n".join(lines)
