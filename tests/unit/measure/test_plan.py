"""The experiment is fixed before it starts, and flags say what they change."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from harness.core.errors import UserError
from harness.measure import preamble, workloads
from harness.measure.plan_words import describe
from harness.measure.planning import Overrides, Where, make_plan
from harness.measure.runner import estimate
from harness.measure.workloads.multi_fault import MultiFault
from harness.project import config, reading
from harness.records.plans import Cell, Plan, PlannedBoot
from harness.records.record import Scalar
from tests.places import ROOT

PROJECT = reading.load(ROOT)
WHERE = Where(smp=4, memory="4G")


def make(
    accel: str | None = "tcg", variants: Sequence[str] = ("before", "after"), **changes: object
) -> Plan:
    return make_plan(
        PROJECT, profile="quick", variants=variants, accel=accel, where=WHERE,
        overrides=Overrides(**changes),  # type: ignore[arg-type]
    )


def order(plan: Plan) -> list[str]:
    """A for before, B for after, C for the control."""
    return ["C" if b.control else "AB"[b.variant == "after"] for b in plan.boots]


def cells_of(plan: Plan, boot: PlannedBoot) -> list[Cell]:
    return [plan.cells[at] for at in boot.cells]


def test_boots_alternate_abba() -> None:
    assert "".join(order(make(boots=3, control=False))) == "ABBAAB"


@pytest.mark.parametrize(
    "boots, expected", [(1, "ABC"), (2, "ABCBA"), (3, "ABCBAABC"), (6, "ABCBAABCBAABCCBA")]
)
def test_the_control_is_interleaved_and_costs_a_third_at_most(boots: int, expected: str) -> None:
    found = "".join(order(make(boots=boots)))
    assert found == expected
    assert boots == 1 or found.count("C") <= 2 * boots / 3


def test_layouts_are_interleaved_and_their_variants_side_by_side() -> None:
    plan = make(boots=2, control=False, layouts=3)
    found = [f"{'AB'[b.variant == 'after']}{b.layout}" for b in plan.boots]
    assert found == ["A0", "B0", "B1", "A1", "A2", "B2", "B2", "A2", "A1", "B1", "B0", "A0"]
    assert plan.layouts == 3
    assert make(boots=2).layouts == 1
    assert {b.layout for b in make(boots=2).boots} == {0}


def test_a_layout_has_the_histories_of_every_other_and_its_own_control() -> None:
    plan = make("icount,tcg", boots=2, layouts=2)
    counted = [b for b in plan.boots if b.accel == "icount" and b.again is None]
    for layout in (0, 1):
        for variant in ("before", "after"):
            mine = [b for b in counted if (b.layout, b.variant) == (layout, variant)]
            assert sorted(b.seed for b in mine) == [0, 1]
    assert sorted(b.layout for b in plan.boots if b.control) == [0, 1]
    assert plan.boots[-1].again is not None
    assert plan.boots[-1].layout == 0


def test_a_boots_folder_and_words_name_its_layout() -> None:
    plan = make(boots=1, layouts=2)
    assert [b.folder for b in plan.boots] == [
        "00-before", "01-after", "02-before-control",
        "03-before-layout-1-control", "04-after-layout-1", "05-before-layout-1",
    ]
    assert "before (layout 1, control), after (layout 1)" in describe(plan)[0]


def test_the_control_is_the_first_variant_once_more() -> None:
    control = next(b for b in make(boots=2).boots if b.control)
    assert control.variant == "before"
    assert control.folder == "02-before-control"
    assert control.cells


def test_when_there_is_a_control() -> None:
    assert "C" not in order(make(variants=["before"])), "nothing to hold it against"
    assert "C" in order(make(variants=["before"], control=True))
    assert "C" not in order(make("icount")), "counts are compared in pairs"
    assert "".join(order(make("icount", boots=3, control=True))) == "ABCCBAABCA"


def test_counting_repeats_one_boot() -> None:
    plan = make("icount")
    first, last = plan.boots[0], plan.boots[-1]
    assert (last.again, last.variant, last.seed) == (0, first.variant, first.seed)
    assert last.cells == first.cells and last.folder == "06-before-again"
    assert [b.again for b in plan.boots[:-1]] == [None] * 6
    assert all(b.again is None for b in make().boots)


def test_both_clocks_in_one_plan() -> None:
    plan = make("icount,tcg")
    assert plan.accel == "tcg,icount", "time first"
    clocks = [b.accel for b in plan.boots]
    assert clocks == ["tcg"] * 5 + ["icount"] * 7
    for boot in plan.boots:
        assert {cell.accel for cell in cells_of(plan, boot)} == {boot.accel}
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    assert {c.params.get("rounds") for c in plan.cells if c.workload == "multi-fault"} == {
        None, MultiFault.icount_params["rounds"],
    }


def test_a_cell_has_seconds_or_rounds_never_both() -> None:
    for cell in make("icount,tcg", seconds=3).cells:
        if cell.workload == "multi-fault":
            assert ("rounds" in cell.params) == (cell.accel == "icount")
            assert ("seconds" in cell.params) == (cell.accel == "tcg")


def test_what_is_counted_is_measured_once_in_a_boot() -> None:
    repeats = {
        (cell.accel, cell.repeat) for cell in make("icount,tcg").cells
        if cell.workload == "multi-fault"
    }
    assert repeats == {("icount", 1), ("tcg", 2)}
    assert {cell.repeat for cell in make("icount", repeat=3).cells} == {3}


def test_a_profile_may_choose_the_clock_of_a_workload() -> None:
    raw = tomllib.loads((ROOT / "harness.toml").read_text())
    raw["profiles"]["quick"]["workloads"][0]["accel"] = "auto,icount"
    project = config.Project(PROJECT.root, reading.parse(raw, "harness.toml"))
    plan = make_plan(project, profile="quick", variants=["before"], where=WHERE)
    assert plan.accels == ["auto", "icount"]
    assert {c.accel for c in plan.cells if c.workload == "vmpte"} == {"auto", "icount"}
    asked = make_plan(project, profile="quick", variants=["before"], accel="tcg", where=WHERE)
    assert asked.accels == ["tcg"], "a flag goes before the profile"


def test_without_a_word_the_clock_is_the_one_that_can_tell() -> None:
    emulated = make_plan(PROJECT, profile="quick", variants=["before", "after"], where=WHERE)
    clocks = {(c.workload, c.accel) for c in emulated.cells}
    assert clocks == {("vmpte", "auto"), ("multi-fault", "icount")}
    timed = replace(WHERE, tells_time=True)
    fast = make_plan(PROJECT, profile="quick", variants=["before", "after"], where=timed)
    clocks = {(c.workload, c.accel) for c in fast.cells}
    assert clocks == {("vmpte", "auto"), ("multi-fault", "auto"), ("multi-fault", "icount")}


@pytest.mark.parametrize("text", ["", "foo", "tcg,", "tcg,foo"])
def test_bad_accels(text: str) -> None:
    with pytest.raises(UserError, match="unknown accel"):
        make(text)


def test_both_variants_share_seeds() -> None:
    seeds: dict[tuple[str, bool], list[int]] = {}
    for boot in make(boots=4).boots:
        seeds.setdefault((boot.variant, boot.control), []).append(boot.seed)
    assert seeds["before", False] == seeds["after", False] == [0, 1, 2, 3]
    assert len(seeds["before", True]) == 2


def test_cells_rotate_so_that_none_is_always_first() -> None:
    plan = make(boots=4, threads=[1, 8, 16])
    firsts = {cells_of(plan, b)[0].params.get("threads", "vmpte") for b in plan.boots}
    assert firsts == {"vmpte", 1, 8, 16}


def test_flags_override_the_profile() -> None:
    cells = make(threads=[2, 3], repeat=7, seconds=9).cells
    found = [(c.params["threads"], c.params["seconds"], c.repeat) for c in cells
             if c.workload == "multi-fault"]
    assert found == [(2, 9, 7), (3, 9, 7)]


def test_only_the_named_workloads() -> None:
    assert {c.workload for c in make(workloads=["vmpte"]).cells} == {"vmpte"}


def test_instruction_counting_takes_rounds() -> None:
    cells = make("icount", workloads=["multi-fault"]).cells
    assert all(c.params["rounds"] == MultiFault.icount_params["rounds"] for c in cells)


def test_a_flag_changes_the_workloads_that_know_it() -> None:
    cells = make(workloads=["micro", "multi-fault", "vmpte"], rounds=3, threads=[2]).cells
    micro = [c.params for c in cells if c.workload == "micro"]
    assert all(params["rounds"] == 3 and "threads" not in params for params in micro)
    assert all("rounds" not in c.params for c in cells if c.workload == "vmpte")


def test_a_plan_survives_its_record() -> None:
    plan = make(threads=[1, 8])
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


@pytest.mark.parametrize(("changes", "words"), [
    ({"workloads": ["micro"], "threads": [4]}, "--threads is given, but micro takes no threads"),
    ({"workloads": ["vmpte"], "rounds": 3}, "--rounds is given, but vmpte takes no rounds"),
    ({"workloads": ["micro", "piecewise"], "seconds": 3}, "--duration is given, but micro and"),
])
def test_an_option_that_nothing_takes_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        make("tcg", ("before", "after"), **changes)


def test_a_duration_is_refused_where_everything_is_counted() -> None:
    with pytest.raises(UserError, match="runs for a number of rounds"):
        make("icount", seconds=3)


@pytest.mark.parametrize("memory", ["lots", "1M", "", "0"])
def test_memory_that_no_guest_can_have_is_refused(memory: str) -> None:
    with pytest.raises(UserError, match="--memory"):
        make_plan(PROJECT, profile="quick", variants=["before"], where=Where(4, memory))


def test_huge_pages_are_a_setting_of_the_workload_and_of_the_profile() -> None:
    raw = tomllib.loads((ROOT / "harness.toml").read_text())
    raw["profiles"]["quick"]["workloads"][0]["thp"] = "madvise"
    project = config.Project(PROJECT.root, reading.parse(raw, "harness.toml"))
    plan = make_plan(project, profile="quick", variants=["before"], where=WHERE)
    assert {(c.workload, c.thp) for c in plan.cells} == {
        ("vmpte", "madvise"), ("multi-fault", "never"),
    }


def test_raw_output_of_two_cells_never_shares_a_directory() -> None:
    """Those of touch=page and touch=all did, and of 1 and 8 pages."""
    raw = tomllib.loads((ROOT / "harness.toml").read_text())
    raw["profiles"]["quick"]["workloads"] = [
        {"name": "vmpte", "params": {"touch": ["page", "all"]}},
        {"name": "churn", "params": {"pattern": "sparse", "pages": [1, 8]}},
        {"name": "micro", "params": {"op": "munmap", "rounds": [3, 4]}},
    ]
    project = config.Project(PROJECT.root, reading.parse(raw, "harness.toml"))
    plan = make_plan(project, profile="quick", variants=["before"], where=WHERE)
    assert len({cell.ident for cell in plan.cells}) == len(plan.cells) == 6
    labels = [cell.label for cell in plan.cells]
    assert labels == [
        "50 GiB loop, one page per 2 MiB", "50 GiB loop, every page", "sparse, 1 thread",
        "sparse, 1 thread, 8 pages at a time", "munmap, rounds 3", "munmap, rounds 4",
    ]


def test_histories_differ_by_seed_and_repeat_by_seed() -> None:
    assert preamble.commands(1) == preamble.commands(1)
    assert len({tuple(preamble.commands(seed)) for seed in range(20)}) == 20


def test_instruction_counting_drops_the_rounds_that_pay_for_a_programs_start() -> None:
    """Unless the profile says how many; where time is measured the workload's few stay."""
    def warmups(accel: str) -> set[Scalar]:
        return {c.params["warmup"] for c in make(accel, workloads=["multi-fault"]).cells}

    assert warmups("icount") == {MultiFault.icount_params["warmup"]}
    assert warmups("tcg") == {2}


def test_the_full_profile_has_every_workload_and_ends_within_an_hour() -> None:
    plan = make_plan(PROJECT, profile="full", variants=["before", "after"], where=WHERE)
    assert {cell.workload for cell in plan.cells} == \
        set(workloads.ALL) - {"common", "runtime", "balloon"}
    seconds = sum(
        estimate(plan, b, "icount" if b.accel == "icount" else "tcg") for b in plan.boots
    )
    assert seconds < 50 * 60, "ten minutes are for what an estimate does not see"


def test_every_workload_declares_what_its_numbers_mean() -> None:
    for workload in workloads.ALL.values():
        record = workload.record()
        assert record.title and record.metrics
        assert len({metric.name for metric in record.metrics}) == len(record.metrics)
        assert any(metric.headline for metric in record.metrics)
