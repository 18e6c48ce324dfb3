"""The workloads that run real allocators: parameters, and lines read without trust."""

from __future__ import annotations

from typing import Any, cast

import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.machine.session import Session
from harness.measure import workloads
from harness.measure.workloads import allocator, redis
from harness.measure.workloads.workload import Measurement

LIB = "/usr/lib/x86_64-linux-gnu"
MAPS = f"""\
55d0c0000000-55d0c0001000 r--p 00000000 fe:00 12 /opt/harness/allocator
7f0000000000-7f0000010000 r-xp 00000000 fe:00 13 {LIB}/libc.so.6
7f0000020000-7f0000030000 rw-p 00000000 00:00 0
"""
JEMALLOC = f"{MAPS}7f1000000000-7f1000010000 r-xp 00000000 fe:00 14 {LIB}/libjemalloc.so.2\n"
TCMALLOC = (
    f"{MAPS}7f1000000000-7f1000010000 r-xp 00000000 fe:00 15 {LIB}/libtcmalloc_minimal.so.4.5.10\n"
)


class FakeGuest:
    """Answers every command with one text."""

    def __init__(self, text: str) -> None:
        self.stdout = text

    def run(self, command: str) -> FakeGuest:
        return self


def fake(text: str) -> Session:
    return cast("Session", FakeGuest(text))


def cell(**params: Any) -> allocator.AllocatorParams:
    return allocator.Allocator().parse({"low_pct": 5, "allocator": "jemalloc", **params})


def test_all_allocators_with_and_without_survivors() -> None:
    cells = workloads.get("allocator").cells({})
    assert [(c["allocator"], c["low_pct"]) for c in cells] == [
        (name, low) for name in ("glibc", "jemalloc", "tcmalloc") for low in (0, 5)
    ]


@pytest.mark.parametrize(("params", "words"), [
    ({"allocator": "mimalloc"}, "allocator"), ({"low_pct": 101}, "low_pct"),
    ({"peak": 3}, "did you mean 'peak_mib'"),
])
def test_bad_parameters(params: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        workloads.get("allocator").cells(params)


def test_environment_of_each_allocator() -> None:
    chosen = allocator.preload(cell(decay_ms=700))
    assert chosen.environment["MALLOC_CONF"].split(",")[1] == "dirty_decay_ms:700"
    assert chosen.environment["LD_PRELOAD"].endswith("libjemalloc.so.2")
    assert "LD_PRELOAD" in allocator.preload(cell(allocator="tcmalloc")).environment
    assert not allocator.preload(cell(allocator="glibc")).environment


@pytest.mark.parametrize(("maps", "name", "good"), [
    (MAPS, "glibc", True), (JEMALLOC, "jemalloc", True), (TCMALLOC, "tcmalloc", True),
    (MAPS, "jemalloc", False), (MAPS, "tcmalloc", False), (JEMALLOC, "glibc", False),
    (JEMALLOC, "tcmalloc", False),
])
def test_an_allocator_that_is_not_there_is_an_error(maps: str, name: str, good: bool) -> None:
    library = allocator.preload(cell(allocator=name)).library
    if good:
        allocator.check_library(maps, library)
    else:
        with pytest.raises(InfrastructureError, match="is not in the process"):
            allocator.check_library(maps, library)


def step(phase: str, ops: int, busy_ns: int) -> dict[str, Any]:
    return {"phase": phase, "ops": ops, "busy_ns": busy_ns, "live_kb": 7}


def test_rates_of_steps_and_of_the_whole() -> None:
    log = allocator.AllocatorLog(fake(JEMALLOC), "libjemalloc.so.2", 0)
    assert not list(log.line({"pid": 1}, 0.0))
    found: list[Measurement] = []
    for state in (
        step("grow", 100, 10**6), {"flush": "x"}, step("idle", 130, 10**7),
        step("grow", 330, 2 * 10**7), {"done": 330, "busy_ns": 2 * 10**7, "live_kb": 7},
    ):
        found += log.line(state, 1.0)
    rates = [m.value for m in found if m.metric == "operations_per_second"]
    assert rates == pytest.approx([1e5, 2e4]), "the idle step gives no rate"
    sums = {m.metric: m.value for m in log.sums("tcg")}
    assert sums["operations_per_second"] == pytest.approx(330 / 0.02)
    sums = {m.metric: m.value for m in log.sums("icount")}
    assert sums["instructions_per_operation"] == pytest.approx(2e7 / 330)


def redis_log(*states: dict[str, Any]) -> redis.RedisLog:
    log = redis.RedisLog(fake(JEMALLOC), 0)
    for state in ({"pid": 1}, *states):
        list(log.line(state, 0.0))
    return log


FORKS = tuple({"fork": name, "fork_us": 5} for name in ("full", "emptied", "refilled"))


def test_redis_sums() -> None:
    log = redis_log(
        {"phase": "fill", "ops": 10, "elapsed_ns": 10**9}, *FORKS, {"mark": "emptied"},
    )
    sums = {m.metric: m.value for m in log.sums("tcg")}
    assert sums["operations_per_second"] == 10
    assert sums["us_per_fork_emptied"] == 5


def test_redis_that_left_something_out() -> None:
    log = redis_log({"phase": "fill", "ops": 10, "elapsed_ns": 10**9}, *FORKS[:2])
    with pytest.raises(InfrastructureError, match="left out"):
        list(log.sums("tcg"))


def test_redis_parameters() -> None:
    assert [c["keys"] for c in workloads.get("redis").cells({"keys": [100, 200]})] == [100, 200]
    with pytest.raises(UserError, match="keep_pct"):
        workloads.get("redis").cells({"keep_pct": 100})
