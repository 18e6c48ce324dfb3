"""Programs measured in the guest, and how their output becomes numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from harness.core.errors import UserError
from harness.measure.workloads.allocator import Allocator
from harness.measure.workloads.balloon import BalloonLoad
from harness.measure.workloads.churn import Churn
from harness.measure.workloads.common_ops import Common
from harness.measure.workloads.declared import Declared
from harness.measure.workloads.emptied import Emptied
from harness.measure.workloads.micro import Micro
from harness.measure.workloads.multi_fault import MultiFault
from harness.measure.workloads.page_fault import PageFault
from harness.measure.workloads.piecewise import Piecewise
from harness.measure.workloads.redis import Redis
from harness.measure.workloads.runtime import RuntimeLoad
from harness.measure.workloads.server_snapshot import ServerSnapshot
from harness.measure.workloads.vmpte import VmPte
from harness.measure.workloads.workload import Workload
from harness.project.config import Project, nearest

Catalogue: TypeAlias = Mapping[str, Workload]
_KNOWN: tuple[Workload, ...] = (
    Common(),
    VmPte(),
    MultiFault(),
    ServerSnapshot(),
    Allocator(),
    Redis(),
    RuntimeLoad(),
    BalloonLoad(),
    Micro(),
    Churn(),
    Piecewise(),
    Emptied(),
    PageFault(),
)
ALL: Catalogue = {workload.name: workload for workload in _KNOWN}


def of(project: Project) -> Catalogue:
    """The workloads of a project: its own, and the built-in ones that it does not replace."""
    own = {
        name: Declared(
            name, table, [project.path(file) for file in table.push],
            project.path(table.source) if table.source else None,
        )
        for name, table in project.config.workloads.items()
    }
    return {**ALL, **own}


def get(name: str, known: Catalogue = ALL) -> Workload:
    """The workload of that name, or a :class:`UserError` that names the nearest."""
    try:
        return known[name]
    except KeyError:
        cells = [
            f"{one} ({key}={name})" for one, workload in known.items()
            for params in workload.cells({}) for key, value in params.items() if value == name
        ]
        hint = f"it is a cell of the workload {cells[0]}" if cells else nearest(name, known)
        raise UserError(f"unknown workload '{name}'", hint=hint) from None
