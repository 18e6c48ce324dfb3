"""Programs measured in the guest, and how their output becomes numbers."""

from __future__ import annotations

from harness.core.errors import UserError
from harness.measure.workloads.allocator import Allocator
from harness.measure.workloads.churn import Churn
from harness.measure.workloads.micro import Micro
from harness.measure.workloads.multi_fault import MultiFault
from harness.measure.workloads.page_fault import PageFault
from harness.measure.workloads.piecewise import Piecewise
from harness.measure.workloads.redis import Redis
from harness.measure.workloads.server_snapshot import ServerSnapshot
from harness.measure.workloads.vmpte import VmPte
from harness.measure.workloads.workload import Workload
from harness.project.config import nearest

_KNOWN: tuple[Workload, ...] = (
    VmPte(),
    MultiFault(),
    ServerSnapshot(),
    Allocator(),
    Redis(),
    Micro(),
    Churn(),
    Piecewise(),
    PageFault(),
)
ALL = {workload.name: workload for workload in _KNOWN}


def get(name: str) -> Workload:
    """The workload of that name, or a :class:`UserError` that names the nearest."""
    try:
        return ALL[name]
    except KeyError:
        raise UserError(f"unknown workload '{name}'", hint=nearest(name, ALL)) from None
