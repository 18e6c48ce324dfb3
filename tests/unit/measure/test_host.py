"""What the host did during a boot, out of /proc, and when that spoils a figure."""

from __future__ import annotations

import os
import time

import pytest

from harness.measure import hoststate as host
from harness.records.hosts import HostState

STAT = """cpu  1480646 48014 329080 441760 5377 0 3810 19836 0 0
cpu0 100 10 20 500 5 1 2 30 7 0
cpu1 200 20 40 600 6 3 4 50 9 0
cpu2 1 1
intr 12980198 0
"""
CPUINFO = """processor	: 0
model name	: Some CPU
cpu MHz		: 2445.404

processor	: 1
model name	: Some CPU
cpu MHz		: 1200.000

"""


def test_cpu_times_of_chosen_cpus() -> None:
    assert host.cpu_times(STAT, {0}) == (133, 30, 668)
    assert host.cpu_times(STAT, {0, 1, 2}) == (133 + 267, 80, 668 + 923)
    assert host.cpu_times("", {0}) == (0, 0, 0)


def test_frequencies() -> None:
    assert host.frequencies(CPUINFO, {0, 1}) == [2445.4, 1200.0]
    assert host.frequencies(CPUINFO, {1}) == [1200.0]
    assert host.frequencies("processor\t: 0\n\n", {0}) == []


@pytest.mark.parametrize(
    "state, word",
    [
        (HostState(), ""),
        (HostState(others_pct=3.0, steal_pct=1.0, mhz=[2400, 2445]), ""),
        (HostState(others_pct=40.2), "other processes took 40 %"),
        (HostState(steal_pct=7.0), "hypervisor took 7 %"),
        (HostState(mhz=[1200, 2445]), "from 1200 to 2445 MHz"),
    ],
)
def test_what_makes_a_boot_useless(state: HostState, word: str) -> None:
    found = state.troubles()
    assert (word in found[0]) if word else not found


def test_a_watch_tells_our_time_from_that_of_others() -> None:
    with host.HostWatch() as watch:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
    assert watch.state.seconds is not None and watch.state.seconds >= 0.3
    assert watch.state.load is not None
    assert watch.state.steal_pct is None or 0 <= watch.state.steal_pct <= 100
    assert watch.state.others_pct is None or 0 <= watch.state.others_pct <= 100


def test_cpus_are_spared_only_where_there_are_more_than_vcpus() -> None:
    cpus = os.sched_getaffinity(0)
    assert host.spare_cpus(len(cpus)) == []
    if len(cpus) > 1:
        chosen = host.spare_cpus(len(cpus) - 1)
        assert len(chosen) == len(cpus) - 1 and set(chosen) < cpus
