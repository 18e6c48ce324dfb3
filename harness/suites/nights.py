"""A night: the suites of harness.toml within a budget, gone on with when it was killed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from harness.core import moments
from harness.core.deadline import Deadline
from harness.core.errors import (
    EXIT_GUEST_CRASH,
    EXIT_INFRASTRUCTURE,
    EXIT_OK,
    EXIT_REGRESSION,
    HarnessError,
    UserError,
)
from harness.core.workspace import write_atomic
from harness.kernel.build import forecast
from harness.project.config import NightlySuite
from harness.records.night import NIGHT_FILE, Night, NightPart
from harness.records.plans import SuitePlan
from harness.records.store import load_boots
from harness.suites.history import append_history, load_history, rows_of, yields
from harness.suites.kcidb import write_kcidb
from harness.suites.nightstats import by_host, in_words
from harness.suites.outcome import SuiteOutcome
from harness.suites.registry import find_suite
from harness.suites.suite_pages import write_nights
from harness.suites.suiteplan import SuiteOptions, describe_suite_plan, make_suite_plan
from harness.suites.workbench import Workbench

FOLDER = "nightly"  # below the project's results
VERDICTS = {EXIT_OK: "ok", EXIT_REGRESSION: "regression", EXIT_INFRASTRUCTURE: "infrastructure",
            EXIT_GUEST_CRASH: "crash"}
GRAVITY = (EXIT_OK, EXIT_INFRASTRUCTURE, EXIT_REGRESSION, EXIT_GUEST_CRASH)
DETAILS = ("boots", "tests-*")  # what retention removes; verdicts and oopses stay
HOOK_SECONDS = 300.0
NO_TIME = "the night's time was used up before it"
Conduct = Callable[[SuitePlan, Path], SuiteOutcome]
"""Runs a part on the base of its plan, and leaves its run in the directory."""


@dataclass(frozen=True)
class NightEnd:
    """How a night ended, or a call that went on with it."""

    code: int
    """The gravest of its parts'."""
    page: Path
    """The history of all nights."""

    @property
    def verdict(self) -> str:
        """``ok``, ``regression``, ``infrastructure`` or ``crash``."""
        return VERDICTS[self.code]


def nights_folder(lab: Workbench) -> Path:
    """Where the project's nights are."""
    return lab.project.results / FOLDER


def plan_night(lab: Workbench, *, hours: float | None = None, ltp: Path | None = None) \
        -> list[SuitePlan]:
    """What a night would do now, in its order: what found most in earlier nights comes first.

    ``hours``: another budget than harness.toml's; suites that run for a time get their share of
    it, others take as long as their tests take. ``ltp``: the LTP tree.
    Raises :class:`UserError` when harness.toml plans no night, or one that cannot be.
    """
    settings = lab.project.config.nightly
    if not settings.suites:
        raise UserError("harness.toml plans no night", hint="add [[nightly.suites]]")
    share = (settings.hours if hours is None else hours) / settings.hours
    plans = [
        part_plan(lab, part, base, share, ltp)
        for part in possible(lab, settings.suites, ltp)
        for base in part.bases or [lab.project.config.defaults.base]
    ]
    return in_order(plans, yields(load_history(nights_folder(lab))))


def part_plan(
    lab: Workbench, part: NightlySuite, base: str, share: float, ltp: Path | None
) -> SuitePlan:
    """The plan of one entry of ``[[nightly.suites]]`` on one of its bases.

    Raises :class:`UserError` for a variant that is of another base.
    """
    takes = find_suite(part.suite).takes
    project = lab.project.on_base(base)
    plan = make_suite_plan(project, part.suite, SuiteOptions(
        variants=part.variants or None, wanted=part.tests or None, minutes=part.minutes,
        lists=part.lists or None, ltp=ltp if "ltp" in takes else None, smp=part.smp,
        memory=part.memory, jobs=part.jobs,
    ))
    for name in plan.variants if part.bases else ():
        if (own := project.base_name(name)) != base:
            raise UserError(
                f"[[nightly.suites]] runs {part.suite} on {base}, and variant {name} is of {own}",
                hint="name other variants or bases there",
            )
    return plan.model_copy(update={"seconds": plan.seconds * share})


def possible(
    lab: Workbench, parts: Sequence[NightlySuite], tree: Path | None
) -> list[NightlySuite]:
    """Without LTP where no tree of it is named: one cannot be got by any package."""
    if tree or lab.project.config.ltp.path:
        return list(parts)
    without = [part for part in parts if "ltp" not in find_suite(part.suite).takes]
    if len(without) < len(parts):
        lab.progress.warn(
            "ltp is left out of the night: it is not known where an LTP tree is installed; "
            "name it with --ltp DIR, or with path in [settings.ltp] of harness.toml"
        )
    return without


def in_order(
    plans: Sequence[SuitePlan], found: Mapping[tuple[str, str], float]
) -> list[SuitePlan]:
    """What found most comes first; the rest keeps its order."""
    return sorted(plans, key=lambda plan: -found.get((plan.suite, plan.base), 0.0))


def describe(
    lab: Workbench, *, hours: float | None = None, new: bool = False, ltp: Path | None = None
) -> str:
    """What :func:`hold` would do, for people: the parts in their order, and what is built first."""
    night = None if new else unfinished(nights_folder(lab))
    if night is None:
        plans, lines = plan_night(lab, hours=hours, ltp=ltp), []
    else:
        plans = [part.plan for part in night.parts if part.code is None]
        lines = [f"goes on with the night {night.night}"]
    usual = lab.project.config.defaults.base
    lines += [
        describe_suite_plan(plan) + (f", of {plan.base}" if plan.base != usual else "")
        for plan in plans
    ]
    first = announce(lab, plans)
    return "\n".join([*lines, *([first] if first else [])])


def announce(lab: Workbench, plans: Sequence[SuitePlan]) -> str:
    """Which kernels must be built before the suites can run, and their time; empty for none."""
    variants: dict[str, list[str]] = {}
    for plan in plans:
        variants.setdefault(plan.base, []).extend(plan.variants)
    return forecast.words([
        one if base in ("", lab.project.config.defaults.base)
        else replace(one, variant=f"{one.variant} of {base}")
        for base, names in variants.items()
        for one in forecast.forecast(lab.workspace, lab.project.on_base(base), names)
    ])


def begin(root: Path, plans: Sequence[SuitePlan], hours: float) -> Night:
    """A new night, on disk. Each part tries seeds of its own, and a night gone on with the same."""
    root.mkdir(parents=True, exist_ok=True)
    name = moments.stamp()
    parts = []
    for number, plan in enumerate(plans):
        key = f"{number:02d}-{plan.suite}"
        seeded = "seed" in find_suite(plan.suite).takes
        seed = first_seed(name, key) if seeded else plan.seed
        parts.append(NightPart(key=key, plan=plan.model_copy(update={"seed": seed})))
    night = Night(night=name, started=moments.now(), hours=hours, parts=parts)
    (root / name).mkdir()
    save(root, night)
    return night


def first_seed(night: str, key: str) -> int:
    """Of one part of one night. Nights begin at the same time of day: that alone will not do."""
    return zlib.crc32(f"{night}/{key}".encode()) % 1_000_000


def save(root: Path, night: Night) -> None:
    """Write what is done; a reader sees the old state or the new."""
    write_atomic(root / night.night / NIGHT_FILE, night.model_dump_json(indent=1) + "\n")


def unfinished(root: Path) -> Night | None:
    """The last night, when it was not finished.

    Raises :class:`UserError` when its state cannot be read.
    """
    for path in sorted(root.glob(f"*/{NIGHT_FILE}"), reverse=True)[:1]:
        try:
            night = Night.model_validate_json(path.read_text())
        except (OSError, ValidationError) as error:
            raise UserError(
                f"{path} cannot be read as a night's state",
                hint="begin another with `harness nightly --new`",
            ) from error
        return None if night.finished else night
    return None


def hold(
    lab: Workbench, conduct: Conduct, *, hours: float | None = None, new: bool = False,
    ltp: Path | None = None,
) -> NightEnd:
    """Run a night, or go on with the one that was not finished unless a ``new`` one is asked for.

    Raises :class:`UserError` when another nightly runs in this workspace.
    """
    root, settings = nights_folder(lab), lab.project.config.nightly
    budget = settings.hours if hours is None else hours
    with lab.workspace.sole("nightly", "a nightly runs"):
        night = None if new else unfinished(root)
        if night is None:
            night = begin(root, plan_night(lab, hours=hours, ltp=ltp), budget)
        if first := announce(lab, [part.plan for part in night.parts if part.code is None]):
            lab.progress.say(f"nightly: {first}")
        code = run_parts(lab, root, night, Deadline(3600 * budget), conduct)
        retain(root, settings.keep)
        write_kcidb(root / night.night)
        rows = load_history(root)
        page = write_nights(root, rows)
        for line in in_words(rows):
            lab.progress.say(f"all nights: {line}")
        if settings.hook:
            call_hook(lab, settings.hook, root, night, code)
    return NightEnd(code, page)


def run_parts(
    lab: Workbench, root: Path, night: Night, deadline: Deadline, conduct: Conduct
) -> int:
    """The parts that are not done yet; the gravest exit code of all.

    One that ended for want of a guest, a build or a network is gone on with once more at
    the end, when there is time: most such troubles have passed by then.
    """
    for part in night.parts:
        if part.code is None:
            if deadline.expired:
                lab.progress.warn(f"not run, the time budget is used up: {part.key}")
                part.code, part.error = EXIT_REGRESSION, NO_TIME  # what did not run is no pass
            else:
                run_part(lab, root, night, part, conduct)
            save(root, night)
    for part in night.parts:
        if part.code == EXIT_INFRASTRUCTURE and not deadline.expired:
            lab.progress.say(f"nightly: {part.key} once more")
            run_part(lab, root, night, part, conduct)
            save(root, night)
    night.finished = moments.now()
    save(root, night)
    codes = [EXIT_OK if part.code is None else part.code for part in night.parts]
    return max(codes, key=GRAVITY.index, default=EXIT_OK)


def run_part(
    lab: Workbench, root: Path, night: Night, part: NightPart, conduct: Conduct
) -> None:
    """One suite; an infrastructure failure is recorded and the others go on."""
    lab.progress.say(f"nightly: {part.key}")
    try:
        outcome = conduct(part.plan, root / night.night / part.key)
    except HarnessError as error:
        lab.progress.warn(f"nightly: {part.key}: {error.line()}")
        part.code, part.error = EXIT_INFRASTRUCTURE, error.line()
        return
    except KeyboardInterrupt:
        lab.progress.warn("and with the whole night by: harness nightly")
        raise
    part.code, part.error = outcome.exit_code, ""
    lab.progress.say(outcome.words())
    append_history(root, rows_of(
        night.night, part.key, outcome.run,
        by_host(outcome.verdicts, outcome.run, load_boots(outcome.directory)[0]),
        outcome.regressions(),
    ))


def retain(root: Path, keep: int) -> None:
    """Remove logs and consoles of all but the last ``keep`` nights; verdicts are kept."""
    nights = sorted(path.parent for path in root.glob(f"*/{NIGHT_FILE}"))
    for night in nights[:-keep]:
        for pattern in DETAILS:
            for path in night.glob(f"*/{pattern}"):
                shutil.rmtree(path, ignore_errors=True)


def call_hook(lab: Workbench, hook: str, root: Path, night: Night, code: int) -> None:
    """Tell somebody: the verdict in the environment, the parts' codes on standard input."""
    said = {"NIGHTLY_VERDICT": VERDICTS[code], "NIGHTLY_EXIT": str(code),
            "NIGHTLY_DIR": str(root / night.night)}
    codes = json.dumps({part.key: part.code for part in night.parts})
    try:
        done = subprocess.run(
            ["sh", "-c", hook], env={**os.environ, **said}, input=codes, text=True,
            timeout=HOOK_SECONDS, check=False, cwd=lab.project.root,
        )
        if done.returncode:
            lab.progress.warn(f"the hook of the night ended with exit code {done.returncode}")
    except subprocess.TimeoutExpired:
        lab.progress.warn(f"the hook of the night was not done after {HOOK_SECONDS:.0f} s")
