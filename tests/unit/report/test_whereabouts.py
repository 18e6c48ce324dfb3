"""Which functions hold the differences, in a line of the first screen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from harness.report.data.identity import Column
from harness.report.profiles.whereabouts import whereabouts

BASE, TIP = Column("base"), Column("tip")


def cell(op: str, word: str, accel: str = "icount") -> Any:
    """A row of a report with one comparison."""
    one = SimpleNamespace(word=word, baseline=BASE, variant=TIP)
    return SimpleNamespace(
        workload="common", params={"op": op}, is_cost=True, accel=accel, cell=op, claims={TIP: one}
    )


def difference(op: str, *functions: tuple[str, float]) -> Any:
    """What a profile says of a cell."""
    return SimpleNamespace(
        workload="common", params={"op": op}, before="base", after="tip", window=1,
        functions=[SimpleNamespace(name=name, delta=delta) for name, delta in functions],
        total=SimpleNamespace(delta=sum(delta for _, delta in functions)),
    )


def test_the_functions_that_hold_a_difference_are_named() -> None:
    explained = cast(Any, SimpleNamespace(differences=[
        difference("pipe", ("pipe_mark", 47.0), ("pipe_write", 4.0), ("f", 3.0), ("g", 30.0)),
        difference("stat", ("vfs_stat", 9.0)), difference("exec", ("h", -1234.5), ("i", 60.0)),
    ]))
    rows = [cell("pipe", "higher"), cell("stat", "same"), cell("exec", "lower")]
    assert whereabouts(explained, rows) == ["pipe: pipe_mark +47.0, g +30.0", "exec: h -1,234.5"]
    assert whereabouts(None, rows) == []
    assert whereabouts(explained, [cell("pipe", "higher", "tcg")]) == []
