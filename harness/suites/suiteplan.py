"""What a run of a suite is going to do: the options, and harness.toml where none was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

from harness.core import sizes
from harness.core.errors import UserError
from harness.project.config import Project
from harness.project.machine_tables import GUEST
from harness.records.plans import SuitePlan
from harness.suites.registry import find_suite
from harness.suites.suite import Option, Suite

T = TypeVar("T")
FIRST_SEED = 1
LEAST_MEMORY = 64 * sizes.MIB
FLAGS = {
    "variants": "--variants", "wanted": "--tests", "minutes": "--minutes", "seed": "--seed",
    "threads": "--threads", "ltp": "--ltp", "lists": "--suite", "skip_file": "--skip-file",
    "test_seconds": "--test-seconds", "accel": "--accel", "smp": "--smp", "memory": "--memory",
    "append": "--append", "machine": "--machine", "confirm": "--confirm", "jobs": "--jobs",
    "dump": "--dump",
}
"""Fields of :class:`SuiteOptions` as the command line calls them."""
_WHY: dict[Option, str] = {
    "minutes": "its tests take as long as they take",
    "seed": "nothing in it is random",
    "threads": "its tests have numbers of their own",
}


@dataclass(frozen=True)
class SuiteOptions:
    """What may be asked for; None: not given, so harness.toml or the suite decides."""

    variants: Sequence[str] | None = None
    wanted: Sequence[str] | None = None
    """Patterns of tests."""
    minutes: float | None = None
    seed: int | None = None
    threads: int | None = None
    ltp: Path | None = None
    lists: Sequence[str] | None = None
    skip_file: Path | None = None
    test_seconds: float | None = None
    accel: str | None = None
    smp: int | None = None
    memory: str | None = None
    append: str | None = None
    machine: str | None = None
    confirm: bool | None = None
    jobs: int | None = None
    dump: bool | None = None

    def given(self, option: str) -> bool:
        """Whether an option was given."""
        return getattr(self, option) is not None

    def flags(self) -> list[str]:
        """All that were given, as the command line calls them."""
        return [flag for option, flag in FLAGS.items() if self.given(option)]


def make_suite_plan(project: Project, name: str, asked: SuiteOptions) -> SuitePlan:
    """The plan of a run. Its tests are not in it yet: see :func:`harness.suites.conductor.conduct`.

    Raises :class:`UserError` for an unknown suite or variant, for an option that the suite would
    ignore, and for a size that is none.
    """
    suite = find_suite(name)
    check_options(suite, asked)
    table = project.suite(name)
    guest, defaults = project.config.guest, project.config.defaults
    variants = list(_given(asked.variants, table.variants or defaults.variants))
    for variant in variants:
        project.variant(variant)
    machine = _given(asked.machine, GUEST)
    if real := machine != GUEST:  # which has what it has, but for what is asked for
        project.machine(machine)
        if asked.jobs not in (None, 1):
            raise UserError(
                f"{machine} is one computer and runs one kernel at a time", hint="leave --jobs out"
            )
        if asked.dump:
            raise UserError(
                f"{machine} is a real computer, whose memory only its own crash kernel can dump",
                hint="leave --dump out; docs/hosts.md has the way of kdump",
            )
    memory = _given(asked.memory, "" if real else _given(table.memory, guest.memory))
    if memory or not real:
        sizes.parse(memory, "--memory", least=LEAST_MEMORY)
    timed = "minutes" in suite.takes
    ltp = project.config.ltp if "ltp" in suite.takes else None
    return SuitePlan(
        suite=name, base=defaults.base, variants=variants,
        seed=_given(asked.seed, FIRST_SEED) if "seed" in suite.takes else 0,
        seconds=60.0 * _given(asked.minutes, table.minutes) if timed else 0.0,
        threads=_given(asked.threads, 0), accel=_given(asked.accel, "auto"),
        machine=machine, memory=memory,
        smp=_given(asked.smp, 0 if real else _given(table.smp, guest.smp)),
        cmdline=_given(asked.append, "" if real else table.append),
        jobs=1 if real else _given(asked.jobs, table.jobs),
        confirm=_given(asked.confirm, True), dump=bool(asked.dump), wanted=list(asked.wanted or ()),
        ltp=_path(project, asked.ltp, ltp.path if ltp else ""),
        lists=list(_given(asked.lists, ltp.suites if ltp else [])),
        skip_file=_path(project, asked.skip_file, ltp.skip_file if ltp else ""),
        test_seconds=asked.test_seconds,
        comparisons=project.pairs(variants),
    )


def check_options(suite: Suite, asked: SuiteOptions) -> None:
    """That nothing is asked for which the suite would ignore; raises :class:`UserError`."""
    for option in get_args(Option):
        if asked.given(option) and option not in suite.takes:
            why = f": {_WHY[option]}" if option in _WHY else ""
            raise UserError(
                f"{FLAGS[option]} means nothing to the suite {suite.name}{why}",
                hint=f"leave {FLAGS[option]} out",
            )


def describe_suite_plan(plan: SuitePlan) -> str:
    """A plan in one line, for people."""
    timed = f", {plan.seconds / 60:.3g} guest minutes each" if plan.seconds else ""
    only = f", of its tests {', '.join(plan.wanted)}" if plan.wanted else ""
    return f"{plan.suite} on {', '.join(plan.variants)}{timed}{only}"


def alone(plan: SuitePlan) -> list[str]:
    """The variants that are tested and compared with nothing."""
    compared = {name for pair in plan.comparisons for name in (pair.baseline, pair.variant)}
    return [name for name in plan.variants if name not in compared]


def _given(*values: T | None) -> T:
    """The first value that is one."""
    return next(value for value in values if value is not None)


def _path(project: Project, given: Path | None, configured: str) -> str:
    """A path as a run remembers it: absolute; relative ones of harness.toml are to its place."""
    if given is not None:
        return str(given.expanduser().absolute())
    return str(project.path(configured).absolute()) if configured else ""
