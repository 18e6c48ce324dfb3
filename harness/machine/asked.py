"""What a real computer says of itself, for the record of a run."""

from __future__ import annotations

from harness.machine.keeper import HostKeeper
from harness.records.hosts import Host

ASK = """sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1; nproc
sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo; uname -r; cat /proc/loadavg"""


def describe_computer(keeper: HostKeeper) -> Host:
    """Its CPU, memory, kernel and load, by its own kernel; the lease is held."""
    lines = [line.strip() for line in keeper.run(ASK).stdout.splitlines()]
    model, cores, memory, kernel, load = (lines + [""] * 5)[:5]
    return Host(
        cpu=model, cores=int(cores) if cores.isdigit() else 0,
        memory_kb=int(memory) if memory.isdigit() else 0, kernel=kernel,
        load=[float(word) for word in load.split()[:3]],
    )
