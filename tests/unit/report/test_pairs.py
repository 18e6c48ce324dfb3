"""Nothing is compared that is not declared."""

from __future__ import annotations

from harness.records.plans import Pair, Plan
from harness.report.analysis.pairs import baselines, declared
from harness.report.data.identity import Column


def plan(*pairs: tuple[str, str]) -> Plan:
    """A plan that declares these: baseline, variant."""
    return Plan(variants=[], comparisons=[Pair(baseline=b, variant=v) for b, v in pairs])


TWO = plan(("before", "after"), ("reclaim-off", "reclaim-on"))


def columns(*names: str, run: str = "") -> list[Column]:
    """Sides of these variants."""
    return [Column(name, run=run) for name in names]


def test_pairs_are_those_of_the_plan() -> None:
    before, after, off, on = columns("before", "after", "reclaim-off", "reclaim-on")
    assert baselines([TWO], [before, after, off, on]) == {after: before, on: off}
    assert baselines([TWO], [after, off, on]) == {on: off}
    assert baselines([plan()], [before, after, off, on]) == {}


def test_a_control_is_compared_with_its_own_build_whatever_is_declared() -> None:
    before, after = columns("before", "after")
    control = Column("before", control=True)
    assert baselines([TWO], [before, control, after]) == {control: before, after: before}
    assert baselines([plan()], [before, control]) == {control: before}


def test_where_plans_differ_the_first_holds() -> None:
    assert declared([plan(("a", "b")), plan(("c", "b"), ("a", "d"))]) == {"b": "a", "d": "a"}


def test_columns_of_several_runs_find_their_own_baseline() -> None:
    (before,) = columns("before")
    (one,), (two,) = columns("after", run="one"), columns("after", run="two")
    assert baselines([TWO], [before, one, two]) == {one: before, two: before}
    first, second = columns("before", "after", run="one"), columns("before", "after", run="two")
    assert baselines([TWO], [*first, *second]) == {first[1]: first[0], second[1]: second[0]}
