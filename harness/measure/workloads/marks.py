"""What a watched process had at moments that its program marks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.measure.workloads.vmpte import RSS_SLACK_KB, TABLES_SLACK_KB
from harness.measure.workloads.workload import Line, Measurement
from harness.records.workloads import Metric

EMPTIED = (
    Metric(name="VmPTE_emptied", unit="kB", kind="memory", better="less", headline=True,
           slack=TABLES_SLACK_KB, label="page tables after the first delete"),
    Metric(name="VmRSS_emptied", unit="kB", kind="memory", better="less", slack=RSS_SLACK_KB,
           label="resident memory after the first delete"),
)
"""The metrics of a program that marks ``emptied``."""


class Marks:
    """The latest VmPTE and VmRSS at each line ``{"mark": "NAME"}``."""

    def __init__(self) -> None:
        self._memory: dict[str, float] = {}
        self._found: dict[str, float] = {}

    def memory(self, measurements: Iterator[Measurement]) -> Iterator[Measurement]:
        """Pass them on, and remember them for the marks."""
        for one in measurements:
            if one.metric in ("VmPTE", "VmRSS"):
                self._memory[one.metric] = one.value
            yield one

    def line(self, state: Line, t: float) -> Iterable[Measurement]:
        """A line of the program, for :func:`watch`; one without a mark changes nothing."""
        if "mark" in state:
            self._found.update({f"{k}_{state['mark']}": v for k, v in self._memory.items()})
        return ()

    def measurements(self, repeat: int) -> Iterator[Measurement]:
        """``VmPTE_emptied`` and so on, in kB; none if nothing was marked."""
        for metric, kb in self._found.items():
            yield Measurement(metric, kb, "kB", repeat)
