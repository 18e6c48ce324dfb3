"""The suites: what each needs on the host and in the guest, and which tests it has."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cli.common import Setup
from harness.core import digest
from harness.core.errors import UserError
from harness.core.proc import capture
from harness.image.disk import get_disk
from harness.image.programs import GUEST_DIR, build_programs
from harness.kernel.source.sources import get_source
from harness.machine.guest import Guest
from harness.suites import ltp, races, selftests, stressors
from harness.suites import ltp_tree as ltptree
from harness.suites import selftests_tree as compiled
from harness.suites.suite import Suite, TestCase

SUITES = ("races", "piecewise", "selftests", "stress-ng", "trinity")


@dataclass(frozen=True)
class LtpRequest:
    """What only LTP needs to know."""

    tree: Path | None
    suites: Sequence[str]
    skip_file: Path | None
    seconds: float
    whole: bool = False
    """All of the tree's lists: whoever has a command of one of them needs no choice."""


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
    confirm: bool = True
    resume: bool = False
    jobs: int = 1
    gdb: bool = False
    ltp: LtpRequest | None = None


@dataclass(frozen=True)
class Arrangement:
    """A suite made ready: its tests, or how to ask a guest for them."""

    suite: Suite
    tests: Sequence[TestCase] = ()
    ask: Callable[[Guest], list[TestCase]] | None = None
    disks: tuple[Path, ...] = ()
    append: str = ""


def arrange(env: Setup, request: Request) -> Arrangement:
    """Make ready the suite that a request names.

    Raises :class:`UserError` for an unknown suite or test, and what compiling it raises.
    """
    known = {
        "races": _races, "piecewise": _piecewise, "selftests": _selftests, "ltp": _ltp,
        "stress-ng": _stress, "trinity": _trinity,
    }
    if request.suite not in known:
        raise UserError(f"unknown suite '{request.suite}'", hint=f"known: {', '.join(known)}")
    return known[request.suite](env, request)


def _races(env: Setup, request: Request) -> Arrangement:
    programs = build_programs(env.workspace, env.project, env.progress)
    tests = races.plan(
        programs, only=request.tests, seed=request.seed, seconds=request.seconds,
        threads=request.threads,
    )
    return Arrangement(_pushed("races", programs, tests), tests)


def _piecewise(env: Setup, request: Request) -> Arrangement:
    programs = build_programs(env.workspace, env.project, env.progress)
    cases = request.tests or capture([str(programs / "piecewise"), "list"]).split()
    tests = [TestCase(case, f"{GUEST_DIR}/piecewise {case}", 20.0, fixed=120.0) for case in cases]
    return Arrangement(_pushed("piecewise", programs, tests), tests)


def _pushed(name: str, programs: Path, tests: Sequence[TestCase]) -> Suite:
    wanted = sorted({Path(test.command.split()[0]).name for test in tests})
    return Suite(name, lambda guest: races.push(guest, programs, wanted), leaks=True)


def _selftests(env: Setup, request: Request) -> Arrangement:
    bases = {env.project.base_name(variant) for variant in request.variants}
    if len(bases) > 1:
        raise UserError(
            f"the variants have different bases: {', '.join(sorted(bases))}",
            hint="each base has selftests of its own; run them apart",
        )
    source = get_source(env.workspace, env.project, bases.pop(), progress=env.progress)
    extras = env.project.root / "guest" / "suites"
    files = [extras / selftests.HOOK, extras / "sudo"]
    key = digest.key([compiled.key(source), *map(digest.of_file, files)])

    def populate(root: Path) -> None:
        compiled.compile_into(env.workspace, source, root, env.progress)
        (root / "bin").mkdir()
        shutil.copy(files[0], root / selftests.HOOK)
        shutil.copy(files[1], root / "bin" / "sudo")

    disk = get_disk(env.workspace, selftests.NAME, key, populate, env.progress)
    return Arrangement(
        Suite(selftests.NAME, selftests.prepare, selftests.judge), disks=(disk,),
        ask=lambda guest: selftests.plan(guest, request.tests),
    )


def _stress(env: Setup, request: Request) -> Arrangement:
    return Arrangement(
        Suite("stress-ng", _nothing, stressors.judge_stress),
        ask=lambda guest: stressors.plan_stress(
            guest, request.tests, request.seconds, request.seed
        ),
    )


def _trinity(env: Setup, request: Request) -> Arrangement:
    return Arrangement(
        Suite("trinity", _nothing, stressors.judge_trinity),
        ask=lambda guest: stressors.plan_trinity(
            guest, request.tests, request.seconds, request.seed
        ),
    )


def _nothing(guest: Guest) -> None:
    """The image has all that these suites need."""


def _ltp(env: Setup, request: Request) -> Arrangement:
    config, asked = env.project.config.ltp, request.ltp
    named = asked.tree if asked and asked.tree else None
    if named is None and config.path:
        named = env.project.root / Path(config.path).expanduser()
    tree = ltptree.open_tree(env.workspace, named)
    skip = asked.skip_file if asked else None
    if skip is None and config.skip_file:
        skip = env.project.root / config.skip_file
    lists = (asked.suites if asked else ()) or config.suites
    tests = ltp.plan(
        tree, sorted(tree.runtest) if asked and asked.whole else lists, only=request.tests,
        skip=ltp.read_skips(skip), seconds=asked.seconds if asked else ltp.SECONDS,
    )
    disk = tree.disk(env.workspace, env.progress)
    return Arrangement(Suite(ltp.NAME, ltp.prepare, ltp.judge), tests, disks=(disk,))
