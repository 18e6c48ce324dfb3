"""A boot that stood still: what is kept of it before it is begun once more.

QEMU's TCG now and then loses a guest at boot: its console ends in the middle, as if its
time stood still. Once is put down to QEMU, but never forgotten: the console, the state of the
vCPUs and a :class:`FalseStart` stay, for a kernel may hang now and then, too. Twice is the
kernel's hang. A guest that mistook the speed of its clock is begun again in the same way.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import BootStalled, InfrastructureError
from harness.core.proc import tail
from harness.records.events import FalseStart

if TYPE_CHECKING:
    from harness.machine.qmp import Monitor

TRIES = 2
QUIET_SHARE = 0.5  # of a boot's deadline that may pass without a line


def words(start: FalseStart) -> str:
    """A false start in one line, for a person."""
    return (
        f"a boot stood still and was started again: {start.reason}; its last words: "
        f"{start.last_line or 'none'} ({start.console})"
    )


def set_aside(log: Path, number: int, error: BootStalled, seconds: float) -> FalseStart:
    """Keep the console of the ``number``-th try from the next one's overwriting it."""
    kept = log.with_name(f"{log.stem}-stalled-{number}{log.suffix}")
    with contextlib.suppress(FileNotFoundError):
        log.replace(kept)
    return FalseStart(
        reason=error.message, seconds=round(seconds, 1), last_line=tail(kept, 1).strip(),
        console=str(kept),
    )


def write_state(monitor: Monitor, path: Path) -> None:
    """What the vCPUs and interrupt controllers do, twice: who runs, who sleeps, what is pending."""
    with contextlib.suppress(InfrastructureError, OSError):
        path.write_text(monitor.state())
        time.sleep(1.0)
        with path.open("a") as stream:
            stream.write("\n\n" + monitor.state())
