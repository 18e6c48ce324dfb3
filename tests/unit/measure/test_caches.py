"""Modelled caches: how they are named, what the plugin writes, and what becomes of it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.core.workspace import Workspace
from harness.measure import calibration
from harness.measure.hoststate import describe_host
from harness.measure.profiles import caches
from harness.measure.profiles.caches import CacheReader, CacheSpec
from harness.measure.profiles.collect import Modelled, WindowCollector
from harness.measure.profiles.rawfile import Reader
from harness.measure.windows import Scale
from harness.records.costs import Calibration, EventCosts, ProgramCheck
from tests.unit.measure.profile_files import FUNCTIONS, TEXT, ProfileFile, site, write_map
from tests.unit.measure.test_profile_collect import ORIGIN

SIZES = caches.parse("48K/12,32K/8,2M/16")
USER = (100, 20, 10, 8, 2, 1, 0, 0, 0)


def place(pc: int, *counts: int) -> tuple[int, ...]:
    return (pc, *counts, 0)


def write_window(
    path: Path, *places: tuple[int, ...], nth: int = 0, torn: bool = False
) -> None:
    start = b"" if path.exists() else caches.MAGIC
    rows = np.array([place(0, 4, 0, 1, 0, 2), *places], caches.PLACE)
    head = caches.HEAD.pack(b"CWIN", 1, 1, nth, torn, len(rows), *USER)
    with path.open("ab") as stream:
        stream.write(start + head + rows.tobytes())


def test_sizes_and_ways() -> None:
    assert (SIZES.l1d.bytes, SIZES.l1d.ways) == (48 << 10, 12)
    assert (SIZES.l2.bytes, SIZES.l2.ways) == (2 << 20, 16)
    spec = CacheSpec(Path("/x/caches.so"), Path("/y,z/raw"), SIZES)
    assert spec.qemu_args() == [
        "-plugin", "/x/caches.so,out=/y,,z/raw,l1d=49152/12,l1i=32768/8,l2=2097152/16",
    ]


@pytest.mark.parametrize("text", [
    "48K/12", "48K/12,32K/8,2M", "48K/0,32K/8,2M/16", "50K/12,32K/8,2M/16", "a/8,32K/8,2M/16", "",
    "48K/12,32K/8,3M/16",
])
def test_what_is_no_cache_is_said_with_an_example(text: str) -> None:
    with pytest.raises(UserError) as told:
        caches.parse(text)
    assert "48K/12,32K/8,2M/16" in told.value.line() or "write for example" in told.value.line()


def test_the_caches_of_a_host(tmp_path: Path) -> None:
    known = [("1", "Data", "48K", "12"), ("1", "Instruction", "32K", "8"),
             ("2", "Unified", "2048K", "16"), ("3", "Unified", "266240K", "20")]
    for i, values in enumerate(known):
        folder = tmp_path / f"index{i}"
        folder.mkdir()
        for name, value in zip(
            ("level", "type", "size", "ways_of_associativity"), values, strict=True
        ):
            (folder / name).write_text(value + "\n")
    assert caches.of_host(tmp_path) == SIZES
    with pytest.raises(UserError, match="does not say which caches"):
        caches.of_host(tmp_path / "index0")


def test_windows_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    write_window(path)
    reader = CacheReader(path)
    (first,) = reader.windows()
    assert (first.series, first.nth, first.user.instructions, first.user.locked) == (1, 0, 100, 1)
    assert list(reader.windows()) == []
    write_window(path, place(TEXT, 1, 1, 1, 1, 1), nth=1, torn=True)
    whole = path.read_bytes()
    path.write_bytes(whole[:-8])  # not written to its end
    assert list(reader.windows()) == []
    path.write_bytes(whole)
    (second,) = reader.windows()
    assert (second.nth, second.torn, len(second.places)) == (1, True, 2)
    path.write_bytes(b"something else, long enough")
    with pytest.raises(InfrastructureError, match="not of the cache plugin"):
        list(CacheReader(path).windows())
    with pytest.raises(InfrastructureError, match="wrote nothing"):
        list(CacheReader(tmp_path / "none").windows())


def test_misses_are_summed_by_function(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "out")
    file.sites(site("do_work", 0, 1), site("clear_page", 0, 2))
    for nth in range(2):
        file.window({(1, 0): 10, (2, 0): 5}, user=(100, 0), nth=nth)
        write_window(
            tmp_path / "raw", place(TEXT + FUNCTIONS["do_work"], 3, 1, 2, 0, 4),
            place(TEXT + FUNCTIONS["do_work"] + 8, 2 * nth, 0, 0, 0, 0),
            place(TEXT + FUNCTIONS["clear_page"], 0, 0, 0, 64, 0), nth=nth,
        )
    collector = WindowCollector(
        Reader(file.path), write_map(tmp_path / "System.map"),
        modelled=Modelled(CacheReader(tmp_path / "raw"), SIZES),
    )
    (profile,) = collector.take(ORIGIN, Scale("page", 1.0, choice="all"))
    table = profile.functions
    work, clear = table.function.index("do_work"), table.function.index("clear_page")
    assert table.l1d_misses[work] == 4.0  # 3, and 0 and 2 of another instruction
    assert (table.l2_misses[work], table.mispredicted[work]) == (2.0, 4.0)
    assert table.string_lines[clear] == 64.0
    assert profile.caches == SIZES
    assert (profile.user_misses.l1d_misses, profile.user_misses.mispredicted) == (4.0, 2.0)


def test_costs_are_found_again() -> None:
    costs = np.array([0.25, 2.0, 20.0, 18.0, 0.0, 0.05, 3.0, 14.0, 12.0, 120.0])
    names = tuple(EventCosts.model_fields)
    assert len(costs) == len(names)
    events = np.random.default_rng(1).uniform(1.0, 1000.0, (20, len(costs)))
    found = calibration.fit(events, events @ costs)
    assert [getattr(found, name) for name in names] == pytest.approx(list(costs), abs=1e-6)


def test_what_was_found_on_another_cpu_is_forgotten(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert calibration.remembered(workspace) is None
    costs = EventCosts(**dict.fromkeys(EventCosts.model_fields, 1.0))
    check = ProgramCheck(name="lists", program=True, measured=100.0, estimated=120.0)
    found = Calibration(
        when=datetime.now(UTC), cpu=describe_host().cpu, cycle_ns=0.3, caches=SIZES, costs=costs,
        checks=[check],
    )
    calibration.remember(workspace, found)
    assert calibration.remembered(workspace) == found
    assert found.errors == pytest.approx([0.2])
    calibration.remember(workspace, found.model_copy(update={"cpu": "another"}))
    assert calibration.remembered(workspace) is None
    workspace.write_state(calibration.STATE, {"damaged": 1})
    assert calibration.remembered(workspace) is None
