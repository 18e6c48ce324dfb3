"""Evidence that is measured again, as ``harness claims --check`` and ``--all`` do it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.project.claims import ClaimBook, Remeasure
from harness.records.plans import Plan, SuitePlan

if TYPE_CHECKING:
    from harness.lab import Lab

CHEAP_MINUTES = 10.0
"""What ``--check`` may plan together, kernels and the image aside."""

LONG_MINUTES = 60.0
"""Taken for a suite whose length nobody wrote down."""


@dataclass(frozen=True)
class Remeasuring:
    """One evidence and the plan by which it is had again."""

    evidence: str
    plan: Plan | SuitePlan
    minutes: float
    """Of the clock, about."""
    seldom: bool = False
    """Needs a kernel that nothing else does."""


def plan_all(lab: Lab, book: ClaimBook) -> list[Remeasuring]:
    """A plan for each evidence that says how it is had again, in the order of claims.toml.

    Raises :class:`UserError` for one that makes no sense.
    """
    return [
        _planned(lab, name, one.remeasure)
        for name, one in book.evidence.items() if one.remeasure is not None
    ]


def cheap(plans: Sequence[Remeasuring], minutes: float = CHEAP_MINUTES) -> list[Remeasuring]:
    """Those that fit into so many minutes together, the first of claims.toml first.

    What is marked as seldom is not among them.
    """
    found: list[Remeasuring] = []
    for one in plans:
        if not one.seldom and sum(other.minutes for other in found) + one.minutes <= minutes:
            found.append(one)
    return found


def remeasure(lab: Lab, plans: Sequence[Remeasuring], directory: Path) -> dict[str, Path]:
    """Carry plans out, each into a directory of its own below ``directory``.

    What is finished there already is left as it is, and what was interrupted goes on. Raises what
    building, booting and measuring raise.
    """
    from harness.records.store import is_run  # noqa: PLC0415

    found = {}
    for number, one in enumerate(plans, 1):
        lab.progress.say(f"{number} of {len(plans)}: {one.evidence}, about {one.minutes:.0f} min")
        place = directory / one.evidence
        if isinstance(one.plan, SuitePlan):
            lab.test(one.plan, directory=place)
        elif is_run(place):
            lab.resume(place)
        else:
            lab.measure(one.plan, place)
        found[one.evidence] = place
    return found


def _planned(lab: Lab, evidence: str, how: Remeasure) -> Remeasuring:
    based = lab.on_base(how.base or None)
    if how.suite:
        return _planned_suite(based, evidence, how)
    from harness.measure import plan_words, workloads  # noqa: PLC0415
    from harness.measure.planning import Overrides  # noqa: PLC0415

    plan = based.plan(
        how.profile or None, variants=how.variants, accel=how.accel or None, smp=how.smp,
        try_kvm=False, overrides=Overrides(
            threads=how.threads or None, boots=how.boots, repeat=how.repeat, rounds=how.rounds,
            workloads=how.workloads or None, control=how.control,
        ),
    )
    minutes = plan_words.minutes(plan, plan.boots, workloads.of(lab.project))
    return Remeasuring(evidence, plan, minutes, how.seldom)


def _planned_suite(lab: Lab, evidence: str, how: Remeasure) -> Remeasuring:
    from harness.suites.suiteplan import SuiteOptions, make_suite_plan  # noqa: PLC0415

    plan = make_suite_plan(lab.project, how.suite, SuiteOptions(
        variants=how.variants, wanted=how.tests or None, minutes=how.minutes, smp=how.smp,
        accel=how.accel or None,
    ))
    minutes = len(how.variants) * plan.seconds / 60 if plan.seconds else how.takes
    return Remeasuring(
        evidence, plan, LONG_MINUTES if minutes is None else minutes, how.seldom
    )
