"""A suite spread over several guests, and what that costs each of them."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from harness.core import sizes
from harness.core.errors import UserError
from harness.records.verdicts import Verdict
from harness.suites.testrunner import TestQueue

RESERVE_MIB = 1024  # for the host itself and the harness


class Runs(Protocol):
    """What runs tests of a queue: :class:`harness.suites.testrunner.SuiteRunner`."""

    def run(self, queue: TestQueue) -> Iterator[Verdict]:
        """A verdict per test that it takes."""
        ...


def run(runner: Runs, tests: TestQueue, jobs: int) -> Iterator[Verdict]:
    """The verdicts of ``jobs`` guests that take tests from one queue, as they come.

    The first error of any of them is raised when all have ended.
    """
    if jobs == 1:
        yield from runner.run(tests)
        return
    arrived: queue.Queue[Verdict | BaseException | None] = queue.Queue()

    def work() -> None:
        try:
            for verdict in runner.run(tests):
                arrived.put(verdict)
        except BaseException as error:  # it is raised in the thread that waits
            arrived.put(error)
        arrived.put(None)

    # Daemons: an interrupted harness must not wait for a test to end. Its guests die with it.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    running, failure = jobs, None
    while running:
        item = arrived.get()
        if item is None:
            running -= 1
        elif isinstance(item, BaseException):
            failure = failure or item
        else:
            yield item
    if failure:
        raise failure


def crowding(jobs: int, smp: int, memory: str) -> float:
    """How much longer each guest may take because of the others.

    Raises :class:`UserError` when the host has not memory enough for all.
    """
    if jobs == 1:
        return 1.0
    each = sizes.parse(memory, "memory") // sizes.MIB
    free = _available_mib() - RESERVE_MIB
    if jobs * each > free:
        raise UserError(
            f"{jobs} guests of {memory} need {jobs * each} MiB, {max(0, free)} MiB are free",
            hint="use fewer --jobs or less --memory",
        )
    return max(1.0, jobs * smp / max(os.cpu_count() or 1, smp))


def _available_mib() -> int:
    for row in Path("/proc/meminfo").read_text().splitlines():
        if row.startswith("MemAvailable:"):
            return int(row.split()[1]) // 1024
    return 0
