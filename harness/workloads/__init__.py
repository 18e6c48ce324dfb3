"""Programs measured in the guest, and how their output becomes numbers."""

from __future__ import annotations

from harness.core.config import nearest
from harness.core.errors import UserError
from harness.workloads.base import Workload
from harness.workloads.multi_fault import MultiFault
from harness.workloads.vmpte import VmPte

ALL: dict[str, Workload] = {workload.name: workload for workload in (VmPte(), MultiFault())}


def get(name: str) -> Workload:
    """The workload of that name, or a :class:`UserError` that names the nearest."""
    try:
        return ALL[name]
    except KeyError:
        raise UserError(f"unknown workload '{name}'", hint=nearest(name, ALL)) from None
