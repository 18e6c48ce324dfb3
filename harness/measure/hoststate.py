"""What is known of the host and of this harness, for the record of a run and of each boot."""

from __future__ import annotations

import os
import platform
import re
import resource
import socket
import threading
import time
from pathlib import Path

import harness
from harness.core.proc import capture
from harness.project.builtin import builtin_root
from harness.records.hosts import HarnessVersion, Host, HostState

SAMPLE_EVERY_S = 1.0


def host_name() -> str:
    """This computer's name, as far as it can be one in a record."""
    return re.sub(r"[^\w.+-]+", "-", socket.gethostname()).strip("-.+")[:100] or "host"


def describe_host() -> Host:
    """Name, CPU model, number of cores this process may use, memory, kernel, load."""
    cpuinfo = _read("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.+)$", cpuinfo, re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", _read("/proc/meminfo"), re.MULTILINE)
    return Host(
        name=host_name(), cpu=model.group(1).strip() if model else platform.processor(),
        cores=len(os.sched_getaffinity(0)), memory_kb=int(memory.group(1)) if memory else 0,
        kernel=platform.release(), load=[round(value, 2) for value in os.getloadavg()],
    )


def describe_harness() -> HarnessVersion:
    """Version, and the git revision of the harness's checkout with whether it was changed."""
    root = builtin_root()
    if not (root / ".git").exists():
        return HarnessVersion(version=harness.__version__)
    git = ["git", "-C", str(root)]
    return HarnessVersion(
        version=harness.__version__,
        git=capture([*git, "rev-parse", "HEAD"], check=False).strip(),
        dirty=bool(capture([*git, "status", "--porcelain", "-uno"], check=False).strip()),
    )


class HostWatch:
    """Watches the host while a guest runs; use it as a context manager.

    The CPU time of the harness and of its children that have ended counts as our own;
    so leave the block after the guest's end.
    """

    def __init__(self) -> None:
        self.state = HostState()
        self._cpus = os.sched_getaffinity(0)
        self._end = threading.Event()
        self._mhz: list[float] = []
        self._load = 0.0
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> HostWatch:
        self._started, self._ours = time.monotonic(), _own_seconds()
        self._times = cpu_times(_read("/proc/stat"), self._cpus)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.state.seconds = round(time.monotonic() - self._started, 1)
        self.state.load = round(self._load, 2)
        self.state.mhz = [min(self._mhz), max(self._mhz)] if self._mhz else []
        times = cpu_times(_read("/proc/stat"), self._cpus)
        busy, steal, total = (now - then for now, then in zip(times, self._times, strict=True))
        if total > 0:
            tick = os.sysconf("SC_CLK_TCK")
            others = busy - (_own_seconds() - self._ours) * tick
            self.state.others_pct = round(100 * max(0.0, others) / total, 1)
            self.state.steal_pct = round(100 * steal / total, 1)

    def _sample(self) -> None:
        while True:
            self._load = max(self._load, os.getloadavg()[0])
            self._mhz += frequencies(_read("/proc/cpuinfo"), self._cpus)
            if self._end.wait(SAMPLE_EVERY_S):
                return


def cpu_times(text: str, cpus: set[int]) -> tuple[int, int, int]:
    """Busy, stolen and all clock ticks of some CPUs, out of /proc/stat (see proc(5))."""
    busy = steal = total = 0
    for number, fields in re.findall(r"^cpu(\d+) (.+)$", text, re.MULTILINE):
        ticks = [int(word) for word in fields.split()][:8]  # guest time is in user time already
        if int(number) not in cpus or len(ticks) < 8:
            continue
        user, nice, system, _idle, _iowait, irq, softirq, stolen = ticks
        busy += user + nice + system + irq + softirq
        steal += stolen
        total += sum(ticks)
    return busy, steal, total


def frequencies(text: str, cpus: set[int]) -> list[float]:
    """MHz of some CPUs out of /proc/cpuinfo; empty where it does not say."""
    block = r"^processor\s*: (\d+)$(?:\n.+)*?\ncpu MHz\s*: ([\d.]+)$"
    found = re.findall(block, text, re.MULTILINE)
    return [round(float(mhz), 1) for cpu, mhz in found if int(cpu) in cpus]


def spare_cpus(wanted: int) -> list[int]:
    """CPUs to bind ``wanted`` vCPU threads to; empty when that would leave none for the rest.

    One of each core first: two threads of one core slow each other down. The first CPUs
    last: that is where interrupts go.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) <= wanted:
        return []
    seen: dict[str, int] = {}
    ranked = []
    for cpu in reversed(cpus):
        path = f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        core = _read(path).strip() or str(cpu)
        ranked.append((seen.get(core, 0), cpu))
        seen[core] = seen.get(core, 0) + 1
    return sorted(cpu for _, cpu in sorted(ranked, key=lambda pair: pair[0])[:wanted])


def _own_seconds() -> float:
    """CPU seconds of the harness and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
