"""What profiling costs: CPU time of QEMU with the plugin against the same guest without.

The guests of a round run at once on one CPU, so that what else the host does slows all of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import pytest

from harness.image.programs import GUEST_DIR
from harness.kernel.build.builds import Build
from harness.lab import Lab
from harness.machine import qemu
from harness.measure.profiles import plugin, recorder, symbols

pytestmark = [
    pytest.mark.vm, pytest.mark.kernel, pytest.mark.timeout(3600),
    pytest.mark.skipif(
        "HARNESS_COSTS" not in os.environ,
        reason="needs HARNESS_COSTS=1: minutes of CPU time, and a host that does little else",
    ),
]

ROUNDS = 7
COUNTING, FOLLOWING = 1.05, 1.10
"""What counting may cost, and counting with call paths (boots of the first history only)."""
PROGRAMS = ("multi-fault", "micro")
WORK = (
    "./multi-fault --threads 1 --rounds 20 --warmup 8", "./micro --rounds 3 --size 16M fork_exit",
    "./micro --rounds 3 --size 16M munmap",
)


def user_seconds(pid: int) -> float:
    """CPU time of a process in user space."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")


def cost(lab: Lab, build: Build, words: Sequence[str], directory: Path) -> float:
    """CPU seconds of one guest, from power-on to the end of its work."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # this thread's and its children's
    thread = threading.get_native_id()
    with lab.boot(
        build, smp=1, memory="1G", accel="icount", directory=directory, plugin=words, crowd=8.0
    ) as guest:
        (pid,) = map(int, Path(f"/proc/self/task/{thread}/children").read_text().split())
        guest.run(f"mkdir -p {GUEST_DIR}")
        for name in PROGRAMS:
            guest.push(lab.programs() / name, f"{GUEST_DIR}/{name}")
        guest.run(f"cd {GUEST_DIR}; " + "; ".join(f"{one} > /dev/null" for one in WORK))
        return user_seconds(pid)


def test_what_counting_costs(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    lab = Lab()
    build = lab.build("before")
    library = plugin.build(lab.workspace, lab.project.file(recorder.FOLDER), qemu.binary())
    entries = tmp_path / "entries"
    symbols.load(build.system_map, build.vmlinux).write_entries(entries)
    words: list[list[str]] = [[], *(
        plugin.PluginSpec(library, tmp_path / f"raw-{follow}", entries, follow=follow).qemu_args()
        for follow in (0, 1)
    )]
    found: list[list[float]] = []
    for nth in range(ROUNDS):
        with ThreadPoolExecutor(len(words)) as pool:
            found.append(list(pool.map(
                cost, [lab] * len(words), [build] * len(words), words,
                (tmp_path / f"{nth}-{side}" for side in range(len(words))),
            )))
    counting = median(one[1] / one[0] for one in found)
    following = median(one[2] / one[0] for one in found)
    record_property("counting, following", (counting, following))
    assert counting <= COUNTING, found
    assert following <= FOLLOWING, found
