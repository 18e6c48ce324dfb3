"""The plugin that models caches, in a guest, on programs whose misses are known beforehand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.lab import Lab
from harness.machine import qemu
from harness.measure import calibration
from harness.measure.profiles import caches, plugin
from harness.measure.profiles.caches import CacheReader, CacheSpec, CacheWindow
from harness.measure.profiles.recorder import FOLDER

pytestmark = [pytest.mark.vm, pytest.mark.kernel]
SIZES = caches.parse("48K/12,32K/8,2M/16")
OPS = (
    "adds", "near", "middle", "far", "sum", "locked", "clear", "clear-far", "branches", "code",
)
# The least of some rounds: a tick of the guest or an interrupt of the host lands in one or another.
FAULTS = "/opt/harness/multi-fault --threads 1 --warmup 4 --rounds 10"


@dataclass(frozen=True)
class Boot:
    """What the programs said in one guest, and the windows of calibrate's operations."""

    faults_ns: int
    windows: dict[str, CacheWindow]


def boot(scratch: Path, *, modelled: bool) -> Boot:
    lab = Lab()
    library = plugin.build(lab.workspace, lab.project.file(FOLDER), qemu.binary())
    spec = CacheSpec(library.with_name(plugin.CACHES), scratch / "raw", SIZES)
    session = lab.boot(
        "before", smp=1, accel="icount", directory=scratch / "boot",
        plugin=spec.qemu_args() if modelled else [],
    )
    with session:
        for name in (calibration.PROGRAM, "multi-fault"):
            session.push(lab.programs() / name, f"/opt/harness/{name}")
        session.run(f"/opt/harness/calibrate --warmup 1 --rounds 1 {' '.join(OPS)}", seconds=600)
        faults = json.loads(session.run(FAULTS, seconds=600).stdout)
    found = [] if not modelled else [
        window for window in CacheReader(spec.output).windows() if window.series <= len(OPS)
    ]
    return Boot(min(faults["round_ns"]), dict(zip(OPS, found, strict=False)))


@pytest.fixture(scope="module")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Boot:
    """One round of each operation of guest/calibrate.c."""
    found = boot(tmp_path_factory.mktemp("caches"), modelled=True)
    assert set(found.windows) == set(OPS)
    return found


def misses(window: CacheWindow, name: str) -> int:
    """Of user space."""
    return int(window.places[0][name])


@pytest.mark.parametrize(("op", "name", "expected"), [
    ("near", "l1d_misses", 0), ("middle", "l1d_misses", 200_000), ("middle", "l2_misses", 0),
    ("far", "l2_misses", 60_000), ("sum", "l2_misses", 65_536), ("code", "l1i_misses", 60_000),
    ("code", "l1d_misses", 0), ("branches", "mispredicted", 50_000), ("adds", "mispredicted", 0),
    ("clear", "string_lines", 0), ("clear-far", "string_lines", 25_600),
])
def test_misses_are_those_that_a_program_must_have(
    modelled: Boot, op: str, name: str, expected: int
) -> None:
    """A ring of 16 KiB lies in L1d, one of 512 KiB in L2, 512 KiB of code in L2 only, and so on."""
    assert misses(modelled.windows[op], name) == pytest.approx(expected, rel=0.02, abs=40)


def test_kinds_of_instructions_of_user_space(modelled: Boot) -> None:
    windows = modelled.windows
    assert windows["locked"].user.locked == pytest.approx(100_000, abs=20)
    clear = windows["clear"].user
    assert clear.string_rounds == 400 * 4097
    assert clear.strings == pytest.approx(400, abs=4)  # one that is interrupted begins anew
    assert windows["adds"].user.instructions == pytest.approx(2_080_000, rel=0.001)


def test_the_model_does_not_move_the_count(modelled: Boot, tmp_path: Path) -> None:
    plain = boot(tmp_path, modelled=False)
    # Two boots differ by what the page allocator does: on a busy host by up to 0.6 % so far.
    assert modelled.faults_ns == pytest.approx(plain.faults_ns, rel=0.01)
