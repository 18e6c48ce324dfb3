"""The experiment is fixed before it starts, and flags say what they change."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from harness.core.errors import UserError
from harness.measure import planning as plans
from harness.measure import preamble, workloads
from harness.measure.planning import Overrides
from harness.measure.runner import estimate
from harness.measure.workloads.multi_fault import MultiFault
from harness.project import config
from harness.records.old_runs import CONTROL_MARK
from tests.places import ROOT

CONTROL = f"before{CONTROL_MARK}"
PROJECT = config.load(ROOT)


def make(
    accel: str = "tcg", variants: Sequence[str] = ("before", "after"), **changes: object
) -> plans.Plan:
    return plans.make_plan(
        PROJECT, profile="quick", variants=variants, accel=accel, smp=4, memory="4G",
        overrides=Overrides(**changes),  # type: ignore[arg-type]
    )


def order(plan: plans.Plan) -> list[str]:
    """A for before, B for after, C for the control."""
    return ["C" if b.variant == CONTROL else "AB"[b.variant == "after"] for b in plan.boots]


def test_boots_alternate_abba() -> None:
    assert "".join(order(make(boots=3, control=False))) == "ABBAAB"


@pytest.mark.parametrize(
    "boots, expected", [(1, "ABC"), (2, "ABCBA"), (3, "ABCBAABC"), (6, "ABCBAABCBAABCCBA")]
)
def test_the_control_is_interleaved_and_costs_a_third_at_most(boots: int, expected: str) -> None:
    found = "".join(order(make(boots=boots)))
    assert found == expected
    assert boots == 1 or found.count("C") <= 2 * boots / 3


def test_the_control_is_the_first_variants_kernel_under_another_name() -> None:
    control = next(b for b in make(boots=2).boots if b.variant == CONTROL)
    assert control.kernel == "before"
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
    assert (last.repeats, last.variant, last.seed) == (0, first.variant, first.seed)
    assert last.cells == first.cells
    assert [b.repeats for b in plan.boots[:-1]] == [None] * 6
    assert plan.record()["repeats"] == {"6": 0}
    assert not any(b.repeats for b in make().boots)


def test_both_clocks_in_one_plan() -> None:
    plan = make("icount,tcg")
    assert plan.accel == "tcg,icount", "time first"
    clocks = [b.accel for b in plan.boots]
    assert clocks == ["tcg"] * 5 + ["icount"] * 7
    for boot in plan.boots:
        assert {cell.accel for cell in boot.cells} == {boot.accel}
    assert plans.from_record(plan.record()) == plan
    assert {c.params["rounds"] for c in plan.cells if c.workload == "multi-fault"} == {
        0, MultiFault.icount_params["rounds"],
    }


def test_a_profile_may_choose_the_clock_of_a_workload() -> None:
    raw = PROJECT.config.model_dump(exclude_unset=True)
    raw["profiles"]["quick"]["workloads"][0]["accel"] = "auto,icount"
    project = config.Project(PROJECT.root, config.parse(raw, "harness.toml"))
    plan = plans.make_plan(
        project, profile="quick", variants=["before"], accel="", smp=4, memory="4G"
    )
    assert plan.accels == ["auto", "icount"]
    assert {c.workload for c in plan.cells if c.accel == "icount"} == {"vmpte"}
    assert len([c for c in plan.cells if c.workload == "vmpte"]) == 2
    asked = plans.make_plan(
        project, profile="quick", variants=["before"], accel="tcg", smp=4, memory="4G"
    )
    assert asked.accels == ["tcg"], "a flag goes before the profile"


@pytest.mark.parametrize("text", ["foo", "tcg,", "tcg,foo"])
def test_bad_accels(text: str) -> None:
    with pytest.raises(UserError, match="unknown accel"):
        make(text)


def test_both_variants_share_seeds() -> None:
    seeds: dict[str, list[int]] = {"before": [], "after": [], CONTROL: []}
    for boot in make(boots=4).boots:
        seeds[boot.variant].append(boot.seed)
    assert seeds["before"] == seeds["after"] == [0, 1, 2, 3]
    assert len(seeds[CONTROL]) == 2


def test_cells_rotate_so_that_none_is_always_first() -> None:
    boots = make(boots=4, threads=[1, 8, 16]).boots
    firsts = {b.cells[0].params.get("threads", "vmpte") for b in boots}
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
    cells = make(workloads=["micro", "vmpte"], rounds=3, threads=[2]).cells
    micro = [c.params for c in cells if c.workload == "micro"]
    assert all(params["rounds"] == 3 and "threads" not in params for params in micro)
    assert all("rounds" not in c.params for c in cells if c.workload == "vmpte")


def test_a_plan_survives_its_record() -> None:
    plan = make(threads=[1, 8])
    assert plans.from_record(plan.record()) == plan


def test_damaged_record() -> None:
    with pytest.raises(UserError, match="cannot be read"):
        plans.from_record({"profile": "quick"})


@pytest.mark.parametrize("text", ["0", "foo", "1,,2", "257", "-1", "1.5", ""])
def test_bad_threads(text: str) -> None:
    with pytest.raises(UserError, match="--threads"):
        plans.parse_threads(text)


def test_good_threads() -> None:
    assert plans.parse_threads("1, 8,16,8") == [1, 8, 16]


def test_histories_differ_by_seed_and_repeat_by_seed() -> None:
    assert preamble.commands(1) == preamble.commands(1)
    assert len({tuple(preamble.commands(seed)) for seed in range(20)}) == 20


def test_instruction_counting_drops_the_rounds_that_pay_for_a_programs_start() -> None:
    """Unless the profile says how many; where time is measured the letter's few stay."""
    def warmups(accel: str) -> set[int]:
        return {c.params["warmup"] for c in make(accel, workloads=["multi-fault"]).cells}

    assert warmups("icount") == {MultiFault.icount_params["warmup"]}
    assert warmups("tcg") == {2}


def test_the_full_profile_has_every_workload_and_ends_within_an_hour() -> None:
    plan = plans.make_plan(
        PROJECT, profile="full", variants=["before", "after"], accel="", smp=4, memory="4G"
    )
    assert {cell.workload for cell in plan.cells} == set(workloads.ALL)
    seconds = sum(estimate(b, "icount" if b.accel == "icount" else "tcg") for b in plan.boots)
    assert seconds < 50 * 60, "ten minutes are for what an estimate does not see"
