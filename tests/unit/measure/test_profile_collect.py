"""Windows become profiles: sums by function, the right windows, call paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import InfrastructureError
from harness.measure.profiles import rawfile, symbols
from harness.measure.profiles.collect import Origin, WindowCollector, chosen
from harness.measure.profiles.rawfile import Reader
from harness.measure.windows import Scale
from tests.unit.measure.profile_files import FUNCTIONS, TEXT, ProfileFile, site, write_map

ORIGIN = Origin(run="r", variant="before", boot=0, workload="w", params={"n": 1}, seed=7)


def collector(tmp_path: Path, file: ProfileFile) -> WindowCollector:
    return WindowCollector(Reader(file.path), write_map(tmp_path / "System.map"))


def column(profile: object, name: str, function: str) -> float:
    table = profile.functions  # type: ignore[attr-defined]
    return float(getattr(table, name)[table.function.index(function)])


def test_counts_are_summed_by_function_and_vcpu(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "out")
    file.sites(site("do_work", 0, 1), site("do_work", 4, 1), site("do_work.cold", 8, 2))
    file.window({(1, 0): 10, (1, 1): 5, (2, 0): 3}, user=(100, 11))
    (profile,) = collector(tmp_path, file).take(ORIGIN, Scale("fault", 5.0))
    assert profile.functions.function == ["do_work"]  # its cold part is its own
    assert profile.functions.instructions == [2 * 15 + 3]
    assert (profile.user, profile.kernel, profile.total) == (111, 33, 144)
    assert (profile.units, profile.unit, profile.rounds, profile.seed) == (5.0, "fault", 1, 7)


def test_an_instruction_that_faults_counts_once(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "out")
    file.sites(site("asm_exc_page_fault", 0, 1), site("asm_exc_page_fault", 4, 1))
    file.window({(1, 0): 10}, user=(100, 0))
    (profile,) = collector(tmp_path, file).take(ORIGIN, Scale())
    assert (profile.user, profile.kernel) == (90, 20)


def test_kinds_of_instruction(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "out")
    file.sites(
        site("do_work", 0, 1, kind=rawfile.JCC), site("do_work", 4, 2, kind=rawfile.CALL),
        site("do_work", 8, 3, kind=rawfile.LOCKED | rawfile.LOAD | rawfile.STORE),
        site("do_work", 12, 4, kind=rawfile.LOAD), site("do_work", 16, 5, kind=rawfile.IPI),
        site("clear_page", 0, 6, operations=7,
             kind=rawfile.REP | rawfile.STORE | 3 << rawfile.WIDTH_SHIFT),
    )
    file.window({(1, 0): 1, (2, 0): 2, (3, 0): 3, (4, 0): 4, (5, 0): 5, (6, 0): 1026, (7, 0): 2})
    (profile,) = collector(tmp_path, file).take(ORIGIN, Scale())
    for name, value in (("branches", 1), ("calls", 2), ("locked", 3), ("loads", 7), ("stores", 3),
                        ("interrupts", 5)):
        assert column(profile, name, "do_work") == value
    assert column(profile, "string_operations", "clear_page") == 2
    assert column(profile, "string_instructions", "clear_page") == 1026
    assert column(profile, "string_bytes", "clear_page") == 8 * 1024
    assert column(profile, "stores", "clear_page") == 1024
    assert column(profile, "loads", "clear_page") == 0


def test_the_middle_window_is_taken_whole(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "out")
    file.sites(site("do_work", 0, 1), site("tick", 0, 2))
    for nth, (work, tick) in enumerate([(100, 0), (100, 50), (101, 0), (100, 2)]):
        file.window({(1, 0): work, (2, 0): tick}, nth=nth)
    (profile,) = collector(tmp_path, file).take(ORIGIN, Scale())
    assert profile.kernel == 101  # of 100, 101, 102, 150 the lower middle one
    assert (profile.low, profile.high) == (100, 150)
    assert column(profile, "instructions", "tick") == 0
    assert column(profile, "spread", "tick") > 0


@pytest.mark.parametrize(("choice", "expected"), [
    ("median", [1]), ("trimmed", [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]), ("all", list(range(11))),
])
def test_choices(choice: str, expected: list[int]) -> None:
    totals = np.array([3, 6, 4, 5, 2, 7, 8, 9, 10, 99, 1], float)
    got = chosen(totals, choice)  # type: ignore[arg-type]
    if choice == "trimmed":
        assert len(got) == 9
        assert 9 not in got and 10 not in got
    else:
        assert got == expected


def test_series_are_repeats_and_windows_of_the_history_are_skipped(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "out")
    file.sites(site("do_work", 0, 1))
    file.window({(1, 0): 1000}, series=1)
    one = collector(tmp_path, file)
    one.skip()
    file.window({(1, 0): 5}, series=2)
    file.window({(1, 0): 6}, series=3)
    file.window({(1, 0): 600}, series=3, nth=1, torn=True)
    found = one.take(ORIGIN, Scale())
    assert [(p.repeat, p.kernel, p.rounds) for p in found] == [(0, 5, 1), (1, 6, 1)]
    assert one.take(ORIGIN, Scale()) == []


def test_two_windows_of_one_program(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "out")
    file.sites(site("do_work", 0, 1))
    for number, value in ((1, 5), (2, 7)):
        file.window({(1, 0): value}, number=number)
    found = collector(tmp_path, file).take(ORIGIN, Scale())
    assert [(p.window, p.kernel) for p in found] == [(1, 5), (2, 7)]


def test_paths_and_what_lies_behind(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "out")
    table = write_map(tmp_path / "System.map")
    number = {table.symbols[i]: n for n, i in enumerate(table.entries)}
    file.sites(site("do_work", 0, 1), site("tick", 0, 2))
    file.nodes(
        (0, number["entry_SYSCALL_64"], symbols.SYSCALL), (1, number["do_work"], 0),
        (2, number["asm_sysvec_apic_timer_interrupt"], symbols.INTERRUPT), (3, number["tick"], 0),
        (0, number["tick"], 0),
    )
    file.window({(1, 0): 40, (2, 0): 12}, visits={1: (1, 0), 2: (4, 40), 3: (1, 0), 4: (1, 7),
                                                   5: (0, 5)})
    (profile,) = WindowCollector(Reader(file.path), table).take(ORIGIN, Scale())
    assert column(profile, "background", "tick") == 12  # in an interrupt 7, in another task 5
    assert column(profile, "background", "do_work") == 0
    assert profile.paths is not None
    assert profile.paths_total == 52
    assert profile.paths.function == [
        "[kernel]", "entry_SYSCALL_64", "do_work", "asm_sysvec_apic_timer_interrupt", "tick",
        "tick",
    ]
    assert profile.paths.parent == [0, 0, 1, 2, 3, 0]
    assert profile.paths.calls == [0, 1, 4, 1, 1, 0]


def test_outside_of_the_image(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "out")
    module = (0xFFFFFFFFC0000000, 0, 4, 1, 0)
    file.sites(module)
    file.window({(1, 0): 9})
    (profile,) = collector(tmp_path, file).take(ORIGIN, Scale())
    assert profile.outside == 9
    assert profile.functions.function == [symbols.OUTSIDE]


def test_a_record_that_is_not_whole_is_read_later(tmp_path: Path) -> None:
    file = ProfileFile(tmp_path / "out")
    file.sites(site("do_work", 0, 1))
    before = file.path.stat().st_size
    file.window({(1, 0): 3})
    whole = file.path.read_bytes()
    one = collector(tmp_path, file)
    file.path.write_bytes(whole[:before + 30])
    assert one.take(ORIGIN, Scale()) == []
    file.path.write_bytes(whole)
    assert [p.kernel for p in one.take(ORIGIN, Scale())] == [3]


def test_what_is_no_profile(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"not at all a profile")
    with pytest.raises(InfrastructureError, match="not a profile"):
        list(Reader(tmp_path / "out").windows())
    with pytest.raises(InfrastructureError, match="wrote nothing"):
        list(Reader(tmp_path / "none").windows())
    file = ProfileFile(tmp_path / "bad")
    with file.path.open("ab") as stream:
        stream.write(rawfile.RECORD.pack(b"WHAT", 0, 0))
    with pytest.raises(InfrastructureError, match="damaged"):
        list(Reader(file.path).windows())


def test_symbols(tmp_path: Path) -> None:
    table = write_map(tmp_path / "System.map")
    addresses = np.array([TEXT - 1, TEXT + 0x150, TEXT + 0x310, TEXT + 0x1000], np.uint64)
    assert [table.names[i] if i >= 0 else "" for i in table.at(addresses)] == [
        "", "do_work", "do_work", "",
    ]
    assert "do_work.cold" not in {table.symbols[i] for i in table.entries}
    table.write_entries(tmp_path / "entries")
    data = (tmp_path / "entries").read_bytes()
    assert len(data) == 16 * (len(FUNCTIONS) - 1)
    kinds = {symbols.ENTRY.unpack_from(data, at)[0] - TEXT: symbols.ENTRY.unpack_from(data, at)[1]
             for at in range(0, len(data), 16)}
    assert kinds[FUNCTIONS["entry_SYSCALL_64"]] == symbols.SYSCALL
    assert kinds[FUNCTIONS["asm_exc_page_fault"]] == symbols.EXCEPTION
    assert kinds[FUNCTIONS["asm_sysvec_apic_timer_interrupt"]] == symbols.INTERRUPT
    assert kinds[FUNCTIONS["__switch_to_asm"]] == symbols.SWITCH


@pytest.mark.parametrize(("symbol", "name"), [
    ("zap_pte_range", "zap_pte_range"), ("zap_pte_range.isra.0", "zap_pte_range"),
    ("zap_pte_range.isra.0.cold", "zap_pte_range"), ("foo.constprop.12", "foo"),
    ("foo.part.0.isra.3", "foo"), ("foo.cold", "foo"), ("x86.func", "x86.func"),
])
def test_parts_of_functions(symbol: str, name: str) -> None:
    assert symbols.canonical(symbol) == name


def test_a_map_without_functions(tmp_path: Path) -> None:
    (tmp_path / "System.map").write_text("ffffffffffffffff B The real System.map is elsewhere\n")
    with pytest.raises(InfrastructureError, match="names no functions"):
        symbols.load(tmp_path / "System.map")
