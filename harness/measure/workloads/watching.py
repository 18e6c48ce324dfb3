"""A process's memory seen from outside, while its program runs and at moments that it marks.

``/proc/PID/status`` of the process, ``/proc/vmstat`` and ``/proc/meminfo`` of the whole machine,
read by a shell in the guest whenever it is asked.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.machine.session import Process, Session
from harness.measure.workloads.workload import Context, Line, Measurement, json_line
from harness.records.workloads import Metric

STATUS_FIELDS = ("VmSize", "VmRSS", "VmPTE")
MARKED = ("VmPTE", "VmRSS")
PEAKED = ("VmPTE", "VmSize")
END = "--end--"
SAMPLE_EVERY_S = 0.05  # at first; the interval grows so that a long loop gives some 200 points
TABLES_SLACK_KB = 8.0  # a stack or a mapping may lie across two tables
RSS_SLACK_KB = 256.0  # a task adds 64 faults to its mm's counter at a time, until 6.2
PEAKS = (
    Metric(name="VmPTE_peak", unit="kB", kind="memory", better="less", slack=TABLES_SLACK_KB,
           headline=True, label="peak of the process's page tables"),
    Metric(name="VmSize_peak", unit="kB", kind="memory",
           label="peak of the address space"),
)


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


def marked(mark: str, words: str) -> tuple[Metric, ...]:
    """The metrics of :func:`watch` at a mark, for people ``page tables WORDS``."""
    return (
        Metric(name=f"VmPTE_{mark}", unit="kB", kind="memory", better="less", headline=True,
               slack=TABLES_SLACK_KB, label=f"page tables {words}"),
        Metric(name=f"VmRSS_{mark}", unit="kB", kind="memory", better="less", slack=RSS_SLACK_KB,
               label=f"resident memory {words}"),
    )


def watch(
    session: Session, command: str, name: str, context: Context, *, repeat: int, deadline: Deadline,
    on_line: Callable[[Line, float], Iterable[Measurement]] | None = None,
    marks: Sequence[str] = (),
) -> Iterator[Measurement]:
    """Run a program that prints its pid, then progress, then ``done``, and watch its memory.

    The last values are read after ``done``, while the process still lives; they come as
    the end of the series and as the result. ``on_line`` sees every line with the seconds
    since the start, while the program lives, and may make measurements of it. After a line
    ``{"mark": "NAME"}`` the program waits for a line of its input: what it has then comes as
    ``VmPTE_NAME`` and ``VmRSS_NAME``. Raises :class:`InfrastructureError` when the program
    fails, dies on the way, or leaves out one of ``marks``.
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
    missing = set(marks)
    while True:
        line = process.line(deadline)
        if line is None:
            raise InfrastructureError(f"{name} died in its loop", excerpt=process.stderr)
        state = json_line(line, name)
        t = time.monotonic() - start
        yield from seen(state, t)
        if "done" in state:
            break
        if "mark" in state:
            yield from probe.at_mark(str(state["mark"]), deadline, repeat, t)
            missing.discard(str(state["mark"]))
            process.write(b"\n")
        elif t >= due:
            yield from probe.read(deadline, repeat, t)
            due = t + max(SAMPLE_EVERY_S, t / 100)
    if missing:
        raise InfrastructureError(f"{name} left out its mark {', '.join(sorted(missing))}")
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


def with_peaks(repeat: int, measurements: Iterator[Measurement]) -> Iterator[Measurement]:
    """Those of :func:`watch`, then the highest of what the kernel keeps no high-water mark of.

    ``VmPTE_peak`` and ``VmSize_peak`` in kB, as :data:`PEAKS` declares them.
    """
    highest: dict[str, float] = {}
    for one in measurements:
        if one.metric in PEAKED:
            highest[one.metric] = max(one.value, highest.get(one.metric, 0.0))
        yield one
    for metric, value in highest.items():
        yield Measurement(f"{metric}_peak", value, "kB", repeat)


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

    def at_mark(
        self, mark: str, deadline: Deadline, repeat: int, t: float
    ) -> Iterator[Measurement]:
        """The memory now, as a point of the series and as the mark's own metrics."""
        for one in self.read(deadline, repeat, t):
            yield one
            if one.metric in MARKED:
                yield Measurement(f"{one.metric}_{mark}", one.value, one.unit, repeat)

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
