"""Nothing is compared that is not declared."""

from __future__ import annotations

from harness.report.analysis.pairs import baselines, declared

FOUR = ["before", "after", "reclaim-off", "reclaim-on"]
PLAN = {"comparisons": [["before", "after"], ["reclaim-off", "reclaim-on"]]}


def test_pairs_are_those_of_the_plan() -> None:
    assert baselines([PLAN], FOUR, FOUR) == {"after": "before", "reclaim-on": "reclaim-off"}
    assert baselines([PLAN], FOUR, ["after", "reclaim-off", "reclaim-on"]) == {
        "reclaim-on": "reclaim-off",
    }
    assert baselines([{"comparisons": []}], FOUR, FOUR) == {}


def test_controls_are_compared_with_the_first_whatever_is_declared() -> None:
    columns = ["before", "before again", "after"]
    assert baselines([PLAN], columns, columns, {"before again"}) == {
        "before again": "before", "after": "before",
    }


def test_runs_of_before_compare_with_the_first() -> None:
    assert baselines([{}], FOUR, FOUR[:3]) == {"after": "before", "reclaim-off": "before"}
    assert declared([{"comparisons": "x"}]) is None
    assert declared([{}, {"comparisons": [["a"], 3, ["a", "b"]]}]) == {"b": "a"}


def test_columns_of_several_runs_find_their_own_baseline() -> None:
    columns = ["before", "after@one", "after@two"]
    assert baselines([PLAN], columns, columns) == {"after@one": "before", "after@two": "before"}
    columns = ["before@one", "before@two", "after@one", "after@two"]
    assert baselines([PLAN], columns, columns) == {
        "after@one": "before@one", "after@two": "before@two",
    }
