"""A plan cut into the tasks of a fleet: what must happen on one host stays together.

A task holds the boots of one accel and one seed, so every variant and layout of it, its A/A
control and the boot that is done again: they are compared with each other, and hosts differ.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from harness.core import digest
from harness.records.plans import PlannedBoot
from harness.records.runs import Run


@dataclass(frozen=True)
class BootTask:
    """Boots that one worker does in their order, as far as they are not done yet."""

    ident: str
    """Names it on the scheduler: the same whenever the same run is gone on with."""
    boots: tuple[PlannedBoot, ...]
    whole: tuple[int, ...]
    """Indices of all boots of the group, done or not."""


def group(
    run: Run, boots: Sequence[PlannedBoot], done: Collection[int], together: bool = True
) -> list[BootTask]:
    """The tasks of a run that hold any boot that is not ``done``, in the plan's order.

    Without ``together`` each boot is a task of its own: all workers are of one host.
    """
    groups: dict[tuple[str, int], list[PlannedBoot]] = {}
    for boot in boots:
        place = (boot.accel, boot.seed) if together else ("", boot.index)
        groups.setdefault(place, []).append(boot)
    # Another run of the same name on the same scheduler has other tasks.
    whose = digest.key([
        run.run, run.started, {name: kernel.key for name, kernel in run.kernels.items()},
        [kernel.key for kernel in run.other_layouts],
    ])
    found = []
    for members in groups.values():
        left = tuple(boot for boot in members if boot.index not in done)
        if left:
            first = "-".join(str(boot.index) for boot in left)
            ident = f"{run.run}-{whose}-{left[0].accel}-{left[0].seed}-boots-{first}"
            found.append(BootTask(ident, left, tuple(boot.index for boot in members)))
    return found
