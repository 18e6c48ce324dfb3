"""What is asked of a guest before and after each test, in one command."""

from __future__ import annotations

from dataclasses import dataclass

from harness.core import versions
from harness.core.errors import InfrastructureError
from harness.machine.session import Session

# One fork (df) only: under TCG each costs as much as a small test.
PROBE = """echo 1 > /proc/sys/vm/stat_refresh
read taint < /proc/sys/kernel/tainted
while read -r key tables; do [ "$key" = nr_page_table_pages ] && break; done < /proc/vmstat
read pid < /run/sshd.pid; [ -d /proc/$pid ] && sshd=1 || sshd=0
read -r _ _ release _ < /proc/version
echo "$release $taint $tables $sshd" $(df -k --output=avail / /tmp)"""
IGNORED_TAINT = 1 << 12 | 1 << 16 | 1 << 18  # out-of-tree, auxiliary, a test module
BYSTANDERS = 16  # page tables that sshd and other processes may gain meanwhile
COUNTS_ITS_OWN = (6, 16)
"""The first version whose nr_page_table_pages has the kernel's own tables in it."""
VMALLOC = 64
"""Page tables that vmalloc may gain and never gives back: it leaves up to 32 MiB of freed areas for
each doubling of the CPUs, 96 MiB with four (lazy_max_pages() in mm/vmalloc.c), and each thread's
stack and each large LDT is such an area."""
FULL_KIB = 64 * 1024  # less free than this beside what was free before: the next test would feel it

TAINTS = {0: "proprietary module", 4: "machine check", 5: "bad page", 7: "died", 9: "warning",
          14: "soft lockup"}


@dataclass(frozen=True)
class Health:
    """A guest's state between two tests."""

    release: str
    """``uname -r``."""
    taint: int
    page_tables: int
    sshd: bool
    free_kib: tuple[int, int]
    """Of / and /tmp."""

    def taint_words(self, before: Health) -> str:
        """What the kernel is tainted with now and was not before; empty for nothing."""
        new = self.taint & ~before.taint & ~IGNORED_TAINT
        return ", ".join(TAINTS.get(bit, f"bit {bit}") for bit in range(32) if new >> bit & 1)

    def leaked(self, before: Health) -> int:
        """How many page tables it has more than before; 0 where others may have taken them."""
        spare = BYSTANDERS + (VMALLOC if versions.parse(self.release) >= COUNTS_ITS_OWN else 0)
        gained = self.page_tables - before.page_tables
        return gained if gained > spare else 0

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
        release, *numbers = words
        taint, tables, sshd, root, tmp = (int(word) for word in numbers)
    except ValueError as error:
        raise InfrastructureError(f"the guest's state reads '{text.strip()[:80]}'") from error
    return Health(release, taint, tables, bool(sshd), (root, tmp))
