"""Transparent huge pages: a setting of each workload, made and checked before it runs."""

from __future__ import annotations

from harness.core.errors import InfrastructureError
from harness.machine.session import Session
from harness.records.plans import Thp

SWITCH = "/sys/kernel/mm/transparent_hugepage/enabled"


def read(session: Session) -> str:
    """The switch's text, such as ``always madvise [never]``; ``absent`` in a kernel without."""
    return session.run(f"cat {SWITCH} 2> /dev/null || echo absent").stdout.strip()


def switch(session: Session, wanted: Thp) -> str:
    """Set the switch and see that it obeyed; returns its text.

    With huge pages most memory of a process has no page tables that could be measured, so a
    machine that does not obey is an :class:`InfrastructureError`. A kernel without huge pages is
    right for ``never`` and for nothing else.
    """
    if wanted == "as booted":
        return read(session)
    text = session.run(
        f"if [ -e {SWITCH} ]; then echo {wanted} > {SWITCH}; cat {SWITCH}; else echo absent; fi"
    ).stdout.strip()
    if f"[{wanted}]" in text or (text == "absent" and wanted == "never"):
        return text
    raise InfrastructureError(
        f"transparent huge pages cannot be switched to '{wanted}' in the guest: it says {text}"
    )
