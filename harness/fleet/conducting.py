"""A measurement whose boots a fleet does: what :class:`harness.lab.Lab` calls."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import harness
from harness.core.errors import UserError
from harness.fleet import guestboots
from harness.fleet.dispatch import Dispatcher
from harness.fleet.engine import LOCAL, Connection, FleetChoice, connected, require_dask
from harness.fleet.grouping import BootTask, group
from harness.fleet.guestboots import Orders, Packed
from harness.fleet.jobs import BootJob, Desk, Stand, Supplies
from harness.measure.measuring import Conductor, Prepared, here
from harness.project.machine_tables import GUEST
from harness.records.plans import Plan
from harness.records.samples import Sample
from harness.records.store import RunWriter, load_samples


@contextlib.contextmanager
def conductor(lab: Orders, choice: FleetChoice, plan: Plan) -> Iterator[Conductor]:
    """What does a plan's boots on a fleet.

    A scheduler of the user's is asked first of all, for a typing error must not cost a build;
    workers of this host begin when everything is built. Raises :class:`UserError` for a plan whose
    machine is no guest, and what :func:`harness.fleet.engine.connected` raises.
    """
    require_dask()
    if plan.machine != GUEST:
        raise UserError(
            f"a fleet boots guests, and the plan's machine is {plan.machine}",
            hint="leave --fleet out",
        )
    if choice.where == LOCAL:
        def on_this_host(prepared: Prepared, writer: RunWriter) -> int:
            # What is timed wants this host for itself; what is counted minds no neighbour.
            timed, counted = of_clock(plan, counted=False), of_clock(plan, counted=True)
            if choice.workers is None and timed.boots and counted.boots:
                here(lab, replace(prepared, plan=timed), writer, planned=len(plan.boots))
                prepared = replace(prepared, plan=counted)
            with connected(choice, prepared.plan, lab.workspace, lab.progress) as connection:
                return conduct(lab, connection, prepared, writer, together=False)

        yield on_this_host
        return
    with connected(choice, plan, lab.workspace, lab.progress) as connection:
        yield partial(conduct, lab, connection)


def of_clock(plan: Plan, *, counted: bool) -> Plan:
    """The part of a plan whose instructions are ``counted``, or the one that is timed."""
    blocks = [block for block in plan.blocks if block.counts == counted]
    names = {block.accel for block in blocks}
    boots = [boot for boot in plan.boots if boot.accel in names]
    return plan.model_copy(update={"blocks": blocks, "boots": boots})


def conduct(
    lab: Orders, connection: Connection, prepared: Prepared, writer: RunWriter,
    together: bool = True,
) -> int:
    """Do the boots that a run still lacks on a fleet; returns how many machines died.

    ``together``: what is compared with each other stays on one host.
    """
    packed = Packed(lab, prepared)
    dispatcher = Dispatcher(connection, writer, lab.progress, packed.parcels)
    return spread(dispatcher, prepared.plan, guestboots.make, packed.supplies, together)


def spread(
    dispatcher: Dispatcher, plan: Plan, make: Callable[[BootJob, Desk, Path], Stand],
    supplies: Supplies | None = None, together: bool = True,
) -> int:
    """Hand a plan's boots to a fleet whose workers make their benches by ``make``."""
    earlier: dict[int, list[Sample]] = {}
    for one in load_samples(dispatcher.writer.directory)[0]:
        if one.boot not in dispatcher.finished:
            earlier.setdefault(one.boot, []).append(one)
    run = dispatcher.writer.run
    # The plan may be a part of the run's.
    planned = len(run.plan.boots if isinstance(run.plan, Plan) else plan.boots)

    def job(task: BootTask) -> BootJob:
        return BootJob(
            run.run, _part(plan, task), planned, dispatcher.topic, harness.__version__,
            make, supplies,
            tuple(one for boot in task.boots for one in earlier.get(boot.index, ())),
        )

    dispatcher.run(group(run, plan.boots, dispatcher.finished, together), job)
    return dispatcher.crashes


def _part(plan: Plan, task: BootTask) -> Plan:
    """The plan of one task: nothing in it that only a report wants."""
    return plan.model_copy(update={
        "boots": list(task.boots), "published": [], "comparisons": [],
    })
