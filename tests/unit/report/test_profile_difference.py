"""Profiles of two kernels, compared, guarded and drawn."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from harness.core.errors import UserError
from harness.records.profiles import CellProfile, FunctionTable, PathTable
from harness.report.profiles import callgrind, flame, groups, guards, profile_text
from harness.report.profiles.difference import USER, compare, rows


def profile(
    variant: str, counts: dict[str, float], *, seed: int = 1, boot: int = 0, user: float = 10.0,
    units: float = 2.0, background: dict[str, float] | None = None, control: bool = False,
    paths: PathTable | None = None, columns: dict[str, list[float]] | None = None,
    layout: int = 0,
) -> CellProfile:
    names = list(counts)
    zeros = [0.0] * len(names)
    return CellProfile(
        run="r", variant=variant, boot=boot, seed=seed, layout=layout, workload="micro",
        params={"op": "munmap"}, control=control, rounds=7, choice="median", unit="page",
        units=units, user=user,
        kernel=sum(counts.values()), low=sum(counts.values()), high=sum(counts.values()) + 4,
        functions=FunctionTable(
            function=names, file=["memory.c" if n == "zap" else "" for n in names],
            instructions=list(counts.values()), spread=zeros,
            background=[(background or {}).get(n, 0.0) for n in names], loads=zeros, stores=zeros,
            branches=zeros, calls=zeros, locked=zeros, tlb=zeros, messages=zeros,
            string_operations=zeros, string_instructions=zeros, string_bytes=zeros,
        ).model_copy(update=columns or {}),
        paths=paths,
    )


def with_strings(variant: str, clears: float) -> CellProfile:
    """Each clearing is one string instruction that counts for 513, and three around it."""
    return profile(variant, {"zap": 100, "clear": 516 * clears}, columns={
        "loads": [40, clears], "stores": [20, 512 * clears], "locked": [2, 0],
        "string_operations": [0, clears], "string_instructions": [0, 513 * clears],
        "string_bytes": [0, 4096 * clears], "interrupts": [],
    })


TREE = PathTable(
    function=["[kernel]", "entry", "zap", "clear", "tick"], parent=[0, 0, 1, 2, 0],
    calls=[0, 1, 2, 2, 1], instructions=[0, 10, 80, 40, 6],
    background=[False, False, False, False, True],
)


def test_functions_sum_to_the_total() -> None:
    before = [profile("before", {"zap": 100, "clear": 50}, seed=s, boot=s) for s in (1, 2)]
    after = [
        profile("after", {"zap": 90, "clear": 50, "__rcu_read_lock": 20 + s}, seed=s, boot=s + 2)
        for s in (1, 2)
    ]
    (one,) = compare([*before, *after], "before", "after")
    assert one.histories == 2
    assert [c.name for c in one.functions] == ["__rcu_read_lock", "zap", USER, "clear"]
    assert [c.delta for c in one.functions] == [10.75, -5.0, 0.0, 0.0]
    assert one.total.delta == pytest.approx(sum(c.delta for c in one.functions))
    assert one.total.before == 80.0
    first = one.functions[0]
    assert (first.low, first.high, first.told, first.group) == (10.5, 11.0, True, "rcu")
    assert sum(g.delta for g in one.groups) == pytest.approx(one.total.delta)


def test_pairs_are_of_one_seed_and_the_control_is_left_out() -> None:
    found = compare([
        profile("before", {"zap": 100}, seed=1, boot=0),
        profile("before", {"zap": 300}, seed=2, boot=1),
        profile("before", {"zap": 100}, seed=1, boot=5),  # that history once more
        profile("before", {"zap": 999}, seed=1, boot=6, control=True),
        profile("after", {"zap": 302}, seed=2, boot=2),
        profile("after", {"zap": 104}, seed=1, boot=3),
    ], "before", "after")
    (change,) = [c for c in found[0].functions if c.name == "zap"]
    assert (change.low, change.high) == (1.0, 2.0)


def test_pairs_are_of_one_layout() -> None:
    found = compare([
        profile("before", {"zap": 100}, boot=0), profile("before", {"zap": 300}, boot=1, layout=1),
        profile("after", {"zap": 302}, boot=2, layout=1), profile("after", {"zap": 104}, boot=3),
    ], "before", "after")
    (change,) = [c for c in found[0].functions if c.name == "zap"]
    assert (change.low, change.high, found[0].histories) == (1.0, 2.0, 2)


def test_the_rows_for_programs() -> None:
    (row, *_) = rows(compare(
        [profile("before", {"zap": 100}), profile("after", {"zap": 80})], "before", "after"
    ))
    assert row.model_dump() == {
        "workload": "micro", "params": {"op": "munmap"}, "function": "zap", "file": "memory.c",
        "before": 50.0, "after": 40.0, "delta": -10.0,
        "counts": {"as_one": {"before": 50.0, "after": 40.0}},
    }


def test_what_else_was_counted() -> None:
    (one,) = compare([with_strings("before", 4), with_strings("after", 2)], "before", "after")
    whole = {name: (pair.before, pair.after) for name, pair in one.total.counts.items()}
    assert whole["as_one"] == ((10 + 100 + 4 * 4) / 2, (10 + 100 + 2 * 4) / 2)
    assert (whole["loads"], whole["stores"]) == ((22, 21), (10 + 1024, 10 + 512))
    assert (whole["string_operations"], whole["string_bytes"]) == ((2, 1), (8192, 4096))
    assert (whole["locked"], whole["interrupts"]) == ((1, 1), (0, 0))  # an older profile: none
    for column, pair in one.total.counts.items():
        assert sum(c.counts[column].before for c in one.functions) == pytest.approx(pair.before)
    (clear,) = [row for row in rows([one]) if row.function == "clear"]
    assert set(clear.counts) == {"as_one", "loads", "stores", "string_operations", "string_bytes"}
    assert (clear.counts["as_one"].before, clear.counts["as_one"].after) == (8, 4)
    text = profile_text.counts_text(one)
    assert "as one" in text.splitlines()[1]
    assert re.search(r"all, before +63\.0 +22\.0 +1,034\.0", text)
    assert re.search(r"difference +-4\.0 +-1\.0 +-512\.0", text)
    assert re.search(r"clear +-4\.0 +-1\.0 +-512\.0", text)
    assert "zap" not in text  # it differs in nothing


@pytest.mark.parametrize(("text", "broken"), [
    ("zap <= +0", True), ("zap <= 5", False), ("zap<=4.8", True), ("zap <= 10%", False),
    ("zap <= 9%", True), ("group:zap <= 0", False), ("total <= 5", False), ("total <= +2.5", True),
    ("micro: zap <= 0", True), ("page-fault: zap <= 0", True), ("no_such <= 0", True),
    ("clear <= -1", True),
])
def test_guards(text: str, broken: bool) -> None:
    found = compare(
        [profile("before", {"zap": 100, "clear": 1}), profile("after", {"zap": 110, "clear": 1})],
        "before", "after",
        groups.Groups((groups.FunctionGroup(name="zap", title="Z", functions=("cl.*",)),)),
    )
    breaches = guards.check([guards.parse(text)], found)
    assert bool(breaches) is broken
    for breach in breaches:
        assert text in breach.line()


def test_a_guard_holds_while_one_history_is_within_it() -> None:
    found = compare([
        profile("before", {"zap": 100}, seed=1), profile("before", {"zap": 100}, seed=2, boot=1),
        profile("after", {"zap": 104}, seed=1), profile("after", {"zap": 100}, seed=2, boot=1),
    ], "before", "after")
    assert guards.check([guards.parse("zap <= +0")], found) == []


@pytest.mark.parametrize("text", ["zap", "zap < 3", "zap <= lots", "<= 3", "zap <= 3 %x", ""])
def test_what_is_no_guard(text: str) -> None:
    with pytest.raises(UserError, match="no limit"):
        guards.parse(text)


@pytest.mark.parametrize(("function", "file", "group"), [
    ("__rcu_read_unlock", "", "rcu"), ("clear_page_erms", "", "zeroing"),
    ("_raw_spin_lock", "", "locking"), ("get_page_from_freelist", "", "allocator"),
    ("flush_tlb_mm_range", "", "tlb"), ("handle_mm_fault", "memory.c", "fault"),
    ("unmap_page_range", "memory.c", "zap"), ("copy_page_range", "memory.c", "fork"),
    ("surely_not", "rmap.c", "rmap"), ("surely_not", "mm/rmap.c", "rmap"),
    ("surely_not", "", "other"),
    ("clean (memory.c)", "memory.c", "rmap"), ("__mod_lruvec_state", "", "accounting"),
])
def test_groups(function: str, file: str, group: str) -> None:
    assert groups.load().of(function, file) == group


def test_callgrind() -> None:
    text = callgrind.render(profile("before", {"zap": 80, "clear": 40}, paths=TREE))
    assert "events: Ir" in text
    assert "summary: 136" in text
    zap = text[text.index("\nfn=zap\n"):]
    assert zap.splitlines()[1:6] == ["fn=zap", "0 80", "cfi=???", "cfn=clear", "calls=2 0"]
    assert "fl=memory.c\nfn=zap" in text
    # What entry called cost 120: the whole of zap.
    entry = text[text.index("fn=entry\n"):]
    assert "cfn=zap\ncalls=2 0\n0 120\n" in entry


def test_flame_graph() -> None:
    dearer = TREE.model_copy(update={"instructions": [0, 10, 100, 40, 6]})
    root = flame.merge(
        [profile("before", {"zap": 1}, paths=TREE)], [profile("after", {"zap": 1}, paths=dearer)],
        background=False,
    )
    assert (root.whole_before, root.whole_after) == (65, 75)
    page = flame.render(root, "micro <x>", "page", "before", "after")
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")  # self-contained
    assert "micro &lt;x&gt;" in page
    found = re.search(r"<svg.*?</svg>", page, re.S)
    assert found
    svg = ET.fromstring(found[0])
    names = [g.get("data-n") for g in svg.iter("g")]
    assert names == ["all", "entry", "zap", "clear"]  # nothing ran in tick but in the background
    zap = next(g for g in svg.iter("g") if g.get("data-n") == "zap")
    assert zap.get("data-v") == "60.00;70.00;40.00;50.00"
    rect = zap.find("rect")
    assert rect is not None and str(rect.get("fill")).startswith("rgb(240,")


def test_text() -> None:
    (one,) = compare(
        [profile("before", {"zap": 100}), profile("after", {"zap": 110, "__rcu_read_lock": 3})],
        "before", "after",
    )
    text = profile_text.render(one, groups.load())
    assert "micro op=munmap: instructions per page, before against after" in text
    assert re.search(r"zap +50\.00 +55\.00 +\+5\.00", text)
    assert re.search(r"RCU +0\.00 +1\.50 +\+1\.50", text)
    assert "100.00 % of the instructions" in text
