"""The experiment is fixed before it starts, and flags say what they change."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.bench import plan as plans
from harness.bench import preamble
from harness.bench.plan import Overrides
from harness.core import config
from harness.core.errors import UserError

PROJECT = config.load(Path(__file__).parents[2])


def make(accel: str = "tcg", **changes: object) -> plans.Plan:
    return plans.make_plan(
        PROJECT, profile="quick", variants=["before", "after"], accel=accel, smp=4, memory="4G",
        overrides=Overrides(**changes),  # type: ignore[arg-type]
    )


def test_boots_alternate_abba() -> None:
    assert [b.variant for b in make(boots=3).boots] == [
        "before", "after", "after", "before", "before", "after",
    ]


def test_both_variants_share_seeds() -> None:
    seeds: dict[str, list[int]] = {"before": [], "after": []}
    for boot in make(boots=4).boots:
        seeds[boot.variant].append(boot.seed)
    assert seeds["before"] == seeds["after"] == [0, 1, 2, 3]


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
    assert all(c.params["rounds"] == plans.ICOUNT_ROUNDS for c in cells)


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
