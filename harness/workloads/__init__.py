"""Programs measured in the guest, and how their output becomes numbers."""

from __future__ import annotations

from harness.core.config import nearest
from harness.core.errors import UserError
from harness.workloads.allocator import Allocator
from harness.workloads.base import Workload
from harness.workloads.churn import Churn
from harness.workloads.micro import Micro
from harness.workloads.multi_fault import MultiFault
from harness.workloads.page_fault import PageFault
from harness.workloads.piecewise import Piecewise
from harness.workloads.redis import Redis
from harness.workloads.server_snapshot import ServerSnapshot
from harness.workloads.vmpte import VmPte

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
