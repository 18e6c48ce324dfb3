"""What is asked of a guest before and after each test, in one command."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core.errors import InfrastructureError
from harness.machine.session import Session

# One fork (df) only: under TCG each costs as much as a small test.
PROBE = """echo 1 > /proc/sys/vm/stat_refresh
read taint < /proc/sys/kernel/tainted
while read -r key tables; do [ "$key" = nr_page_table_pages ] && break; done < /proc/vmstat
read pid < /run/sshd.pid; [ -d /proc/$pid ] && sshd=1 || sshd=0
echo "$taint $tables $sshd" $(df -k --output=avail / /tmp)"""
IGNORED_TAINT = 1 << 12 | 1 << 16 | 1 << 18  # out-of-tree, auxiliary, a test module
FULL_KIB = 64 * 1024  # less free than this beside what was free before: the next test would feel it

TAINTS = {0: "proprietary module", 4: "machine check", 5: "bad page", 7: "died", 9: "warning",
          14: "soft lockup"}


@dataclass(frozen=True)
class Health:
    """A guest's state between two tests."""

    taint: int
    page_tables: int
    sshd: bool
    free_kib: tuple[int, int]
    """Of / and /tmp."""

    def taint_words(self, before: Health) -> str:
        """What the kernel is tainted with now and was not before; empty for nothing."""
        new = self.taint & ~before.taint & ~IGNORED_TAINT
        return ", ".join(TAINTS.get(bit, f"bit {bit}") for bit in range(32) if new >> bit & 1)

    def unfit(self, before: Health) -> str:
        """Why the guest should not run another test; empty when it may."""
        if not self.sshd:
            return "sshd is gone"
        for place, now, then in zip(("/", "/tmp"), self.free_kib, before.free_kib, strict=True):
            if now < then and now < FULL_KIB:
                return f"{place} is full"
        return ""


def probe(session: Session) -> Health:
    """Ask the guest; raises :class:`InfrastructureError` when its answer makes no sense."""
    text = session.run(PROBE, seconds=20.0).stdout
    words = text.replace("Avail", "").split()
    try:
        taint, tables, sshd, root, tmp = (int(word) for word in words)
    except ValueError as error:
        raise InfrastructureError(f"the guest's state reads '{text.strip()[:80]}'") from error
    return Health(taint, tables, bool(sshd), (root, tmp))
