"""The frequency of this host's time stamp counter, which TCG hands to its guests as theirs.

A guest that must find it out itself times the counter against an emulated PIT, in a loop that
the host may interrupt: on a busy host the guest then takes a fraction of the frequency for the
whole, and its clock runs up to fifty times too fast, without a complaint.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import time
from collections.abc import Callable

RDTSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")  # rdtsc; shl $32,%rdx; or %rdx,%rax; ret
APART_S = 0.02
TRIES = 20  # the reading that was interrupted least counts


@functools.cache
def early_khz() -> int | None:
    """What `tsc_early_khz=` should say, in whole MHz: a guest refines what is within 1 %.

    None where the host has no such counter or lets nobody make code.
    """
    if platform.machine() != "x86_64":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return None
    page.write(RDTSC)
    start = ctypes.addressof(ctypes.c_char.from_buffer(page))
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(start)
    before, began = _moment(read)
    time.sleep(APART_S)
    after, ended = _moment(read)
    return round((after - before) * 1e3 / (ended - began)) * 1000


def _moment(read: Callable[[], int]) -> tuple[int, int]:
    """One moment in ticks and in nanoseconds."""
    found = []
    for _ in range(TRIES):
        before = time.monotonic_ns()
        ticks = read()
        after = time.monotonic_ns()
        found.append((after - before, ticks, (before + after) // 2))
    _, ticks, nanoseconds = min(found)
    return ticks, nanoseconds
