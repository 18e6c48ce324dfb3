"""Somewhere to swap to, for suites whose tests skip themselves without."""

from __future__ import annotations

from harness.machine.session import Session

FILE, MIB = "/var/tmp/harness.swap", 1024
OFF, ON = f"swapoff {FILE}", f"swapon {FILE}"


def give_swap(session: Session) -> None:
    """Add a swap file of ``MIB`` on the guest's root disk, which lasts as long as the boot.

    Raises :class:`InfrastructureError` when that cannot be done.
    """
    session.run(f"fallocate -l {MIB}M {FILE} && chmod 600 {FILE} && mkswap -q {FILE} && "
              f"{ON}", seconds=30.0)
