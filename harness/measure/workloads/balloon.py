"""``balloon``: the page tables of a QEMU whose memory a virtio-balloon takes away, twice.

In the guest a QEMU of Debian's runs with a virtio-balloon, and guest/balloon.py as its machine's
driver: it fills the machine's memory, and gives all but ``left_pct`` of it to the balloon. With
``unit = "page"`` by 4 KiB, each of which QEMU drops by a MADV_DONTNEED of its own; with ``"block"``
by 2 MiB, as free page reporting and virtio-mem do. The device is QEMU's own, its driver is ours:
no machine needs to be emulated in an emulated one.

``VmPTE_emptied`` is after the first inflation, ``VmPTE`` after the second.

Cannot show: the order in which a machine that has long run gives its pages away, which decides how
many tables are emptied; and what ballooning costs.

Source: own work, after section 5.5 of "Virtual I/O Device (VIRTIO) Version 1.2", OASIS, 2022.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import ClassVar, Literal, get_args

from pydantic import Field

from harness.core.deadline import Deadline
from harness.machine.session import Session
from harness.measure.workloads.vmpte import FAULT_S
from harness.measure.workloads.watching import PEAKS, marked, watch, watched, with_peaks
from harness.measure.workloads.workload import (
    CellParams,
    Context,
    Measurement,
    Settings,
    TypedWorkload,
    push_program,
)

PROGRAM = "balloon"
QEMU, PACKAGE = "qemu-system-x86_64", "qemu-system-x86"
EMPTIED = "emptied"
START_S = 20.0
PAGE_S = 60e-6  # of a page given away, under TCG
Unit = Literal["page", "block"]


class BalloonParams(CellParams):
    """Parameters of one cell."""

    unit: Unit
    size_mib: int = Field(default=256, ge=64, le=16384)
    """Memory of the machine, of which 16 MiB never go into the balloon."""
    left_pct: int = Field(default=0, ge=0, le=99)
    """How much of the rest does not either, at its lower end."""


class BalloonLoad(TypedWorkload[BalloonParams]):
    """The workload."""

    name = "balloon"
    title = "a QEMU whose memory a virtio-balloon takes away, twice"
    metrics = (
        *watched(wanders=True), *PEAKS, *marked(EMPTIED, "after the first inflation"),
    )
    usual: ClassVar[Settings] = {"unit": [*get_args(Unit)]}
    model = BalloonParams

    def words(self, cell: BalloonParams) -> str:
        """``4 KiB at a time``."""
        left = f", {cell.left_pct} % left" if cell.left_pct else ""
        return ("4 KiB" if cell.unit == "page" else "2 MiB") + f" at a time{left}"

    def estimate(self, cell: BalloonParams, accel: str) -> float:
        """Host seconds, about."""
        pages = 2 * cell.size_mib * 256
        slow = 0.05 if accel == "kvm" else 1.0
        return slow * (START_S + pages * (FAULT_S + (PAGE_S if cell.unit == "page" else 0.0)))

    def needs(self, cell: BalloonParams) -> tuple[str, ...]:
        """QEMU."""
        return (PACKAGE,)

    def run(self, session: Session, cell: BalloonParams, context: Context) -> Iterator[Measurement]:
        """Inflate twice; numbers over time, then what the process ended with."""
        if session.run(f"command -v {QEMU}", check=False).code:
            context.warn(f"a balloon cannot be measured here: install {PACKAGE}")
            return
        command = shlex.join([
            push_program(session, context, PROGRAM), cell.unit, str(cell.size_mib),
            str(cell.left_pct),
        ])
        context.keep("command", command + "\n")
        patience = 120.0 + 10.0 * self.estimate(cell, session.accel) + session.scaled(20.0)
        for repeat in range(context.repeat):
            yield from with_peaks(repeat, watch(
                session, command, self.name, context, repeat=repeat, deadline=Deadline(patience),
                marks=[EMPTIED],
            ))
