"""``vmpte``: page-table memory of a process that touched and dropped 50 GiB.

The loop (guest/vmpte.c): mmap 50 GiB; for each 2 MiB: touch it, MADV_DONTNEED it. Memory is read
by the harness from outside the process while it lives, from ``/proc/<pid>/status``, and for the
whole guest from ``/proc/vmstat`` and ``/proc/meminfo``. ``touch = "page"`` touches one page per
2 MiB: the same page tables in a fraction of the faults, but another peak of RSS.
Cannot show: the cost (see multi-fault), or tables of files and huge pages.

Source: "Free user PTE page table pages", linux-mm, 19 August 2021, under "Testing".
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from pydantic import Field

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.machine.session import Process, Session
from harness.measure.workloads.workload import (
    CellParams,
    Context,
    Line,
    Measurement,
    TypedWorkload,
    json_line,
    push_program,
)
from harness.records.workloads import Metric

STATUS_FIELDS = ("VmSize", "VmRSS", "VmPTE")
END = "--end--"
SAMPLE_EVERY_S = 0.05  # at first; the interval grows so that a long loop gives some 200 points
FAULT_S = 40e-6  # of a fault under TCG, for the time estimate
CHUNK_S = 100e-6
TABLES_SLACK_KB = 8.0  # a stack or a mapping may lie across two tables
RSS_SLACK_KB = 256.0  # a task adds 64 faults to its mm's counter at a time, until 6.2


def watched(*, wanders: bool = False) -> tuple[Metric, ...]:
    """The metrics of :func:`watch`; ``wanders``: a background thread gives memory back."""
    exact = not wanders
    return (
        Metric(name="VmPTE", unit="kB", kind="memory", better="less", exact=exact,
               slack=TABLES_SLACK_KB, headline=True,
               label="page tables of the process (VmPTE)"),
        Metric(name="VmRSS", unit="kB", kind="memory", better="less", slack=RSS_SLACK_KB,
                label="resident memory (VmRSS)"),
        Metric(name="VmHWM", unit="kB", kind="memory", better="less", slack=RSS_SLACK_KB,
                label="peak of resident memory (VmHWM)"),
        Metric(name="VmSize", unit="kB", kind="memory", exact=exact,
               label="address space (VmSize)"),
        Metric(name="PageTables", unit="kB", kind="memory", better="less", slack=8.0,
                label="page tables of the guest (PageTables)"),
        Metric(name="nr_page_table_pages", unit="pages", kind="memory", better="less", slack=2.0,
                label="page-table pages of the guest"),
    )


class VmPteParams(CellParams):
    """Parameters of one cell."""

    size_gib: int = Field(default=50, ge=1, le=1024)
    touch: Literal["page", "all"] = "all"
    chunk_kib: int = Field(default=2048, ge=4, le=2048)
    """How much one MADV_DONTNEED covers; below 2048 the drops are piecewise."""
    loops: int = Field(default=1, ge=1)


class VmPte(TypedWorkload[VmPteParams]):
    """The workload."""

    name = "vmpte"
    title = "page-table memory of a process that touched and dropped a lot of memory"
    metrics = watched()
    model = VmPteParams

    def words(self, cell: VmPteParams) -> str:
        """``50 GiB loop, one page per 2 MiB``."""
        touch = "one page per 2 MiB" if cell.touch == "page" else "every page"
        chunk = "" if cell.chunk_kib == 2048 else f", drops of {cell.chunk_kib} KiB"
        loops = "" if cell.loops == 1 else f", {cell.loops} times"
        return f"{cell.size_gib} GiB loop, {touch}{chunk}{loops}"

    def estimate(self, cell: VmPteParams, accel: str) -> float:
        """Host seconds, about."""
        tables = float(cell.size_gib * 512 * cell.loops)
        faults = tables * (512 if cell.touch == "all" else 1)
        return 2.0 + (0.05 if accel == "kvm" else 1.0) * (faults * FAULT_S + tables * CHUNK_S)

    def run(self, session: Session, cell: VmPteParams, context: Context) -> Iterator[Measurement]:
        """Run the loop, watch the process, take the last values while it still lives."""
        command = (
            f"{push_program(session, context, 'vmpte')} --size {cell.size_gib}G "
            f"--touch {cell.touch} --chunk {cell.chunk_kib * 1024} --loops {cell.loops}"
        )
        context.keep("command", command + "\n")
        patience = 60.0 + 5.0 * self.estimate(cell, session.accel) + session.scaled(10.0)
        for repeat in range(context.repeat):
            yield from watch(
                session, command, self.name, context, repeat=repeat, deadline=Deadline(patience)
            )


def watch(
    session: Session, command: str, name: str, context: Context, *, repeat: int, deadline: Deadline,
    on_line: Callable[[Line, float], Iterable[Measurement]] | None = None,
) -> Iterator[Measurement]:
    """Run a program that prints its pid, then progress, then ``done``, and watch its memory.

    The last values are read after ``done``, while the process still lives; they come as
    the end of the series and as the result. ``on_line`` sees every line with the seconds
    since the start, while the program lives, and may make measurements of it. Raises
    :class:`InfrastructureError` when the program fails or dies on the way.
    """
    seen = on_line or (lambda state, t: ())
    process = session.start(command)
    first = process.line(deadline)
    if first is None:
        raise InfrastructureError(f"{name} ended at once", excerpt=process.stderr)
    state = json_line(first, name)
    probe = Probe(session, int(state["pid"]))
    start = time.monotonic()
    yield from seen(state, 0.0)
    due = 0.0
    while True:
        line = process.line(deadline)
        if line is None:
            raise InfrastructureError(f"{name} died in its loop", excerpt=process.stderr)
        state = json_line(line, name)
        t = time.monotonic() - start
        yield from seen(state, t)
        if "done" in state:
            break
        if t >= due:
            yield from probe.read(deadline, repeat, t)
            due = t + max(SAMPLE_EVERY_S, t / 100)
    t = time.monotonic() - start
    last = list(probe.read(deadline, repeat, None))
    context.keep(f"status-{repeat}", probe.last)
    yield from (Measurement(m.metric, m.value, m.unit, repeat, t) for m in last)
    yield from last
    # The kernel's own: what is read now and then from outside misses peaks.
    yield Measurement("VmHWM", status_field(probe.last, "VmHWM"), "kB", repeat)
    process.close_input()
    probe.close(deadline)
    if process.wait(deadline) != 0:
        raise InfrastructureError(f"{name} failed", excerpt=process.stderr)


class Probe:
    """A shell in the guest that prints a process's memory whenever it is asked."""

    def __init__(self, session: Session, pid: int) -> None:
        self.last = ""
        self._shell: Process = session.start(
            f"while read _; do cat /proc/{pid}/status; grep nr_page_table_pages /proc/vmstat; "
            f"grep PageTables /proc/meminfo; echo {END}; done"
        )

    def read(self, deadline: Deadline, repeat: int, t: float | None) -> Iterator[Measurement]:
        """The memory now."""
        self._shell.write(b"\n")
        lines = []
        while (line := self._shell.line(deadline)) != END:
            if line is None:
                raise InfrastructureError("the probe in the guest ended")
            lines.append(line)
        self.last = "\n".join(lines)
        for metric, value, unit in parse_memory(self.last):
            yield Measurement(metric, value, unit, repeat, t)

    def close(self, deadline: Deadline) -> None:
        """End the shell."""
        self._shell.close_input()
        self._shell.wait(deadline)


def parse_memory(text: str) -> list[tuple[str, float, str]]:
    """VmSize, VmRSS, VmPTE, PageTables (kB) and nr_page_table_pages out of /proc's text.

    Raises :class:`InfrastructureError` when one is missing: the process is gone, or
    the kernel does not say.
    """
    found = [(name, status_field(text, name), "kB") for name in (*STATUS_FIELDS, "PageTables")]
    match = re.search(r"^nr_page_table_pages (\d+)$", text, re.MULTILINE)
    if not match:
        raise InfrastructureError("no nr_page_table_pages in the guest's /proc/vmstat")
    found.append(("nr_page_table_pages", float(match.group(1)), "pages"))
    return found


def status_field(text: str, name: str) -> float:
    """A field of /proc/<pid>/status or /proc/meminfo in kB.

    Raises :class:`InfrastructureError` when it is missing.
    """
    match = re.search(rf"^{name}:\s+(\d+) kB$", text, re.MULTILINE)
    if not match:
        raise InfrastructureError(f"no {name} in the guest's /proc", excerpt=text[-300:])
    return float(match.group(1))
