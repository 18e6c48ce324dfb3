"""A suite spread over several guests, and what that costs each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.records.plans import PlannedTest
from harness.records.verdicts import Verdict
from harness.suites import shards
from harness.suites.testrunner import TestQueue


class FakeRunner:
    """Passes every test but one, which ends its guest's thread."""

    def run(self, queue: TestQueue) -> Iterator[Verdict]:
        while test := queue.take():
            if test.name == "bad":
                raise InfrastructureError("the guest did not boot")
            yield Verdict(suite="s", test=test.name, variant="v", verdict="pass")


def shard(names: list[str], jobs: int) -> Iterator[Verdict]:
    return shards.run(FakeRunner(), TestQueue(PlannedTest(name=name) for name in names), jobs)


@pytest.mark.parametrize("jobs", [1, 3])
def test_each_test_is_run_by_one_guest(jobs: int) -> None:
    names = [str(n) for n in range(20)]
    assert sorted(v.test for v in shard(names, jobs)) == sorted(names)


def test_the_other_guests_go_on_when_one_fails() -> None:
    found: list[str] = []
    with pytest.raises(InfrastructureError, match="did not boot"):
        found.extend(v.test for v in shard(["bad", "a", "b"], 2))


def test_memory_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_available_mib", lambda: 6 * 1024)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert shards.crowding(1, 4, "64G") == 1.0
    assert shards.crowding(2, 4, "2G") == 2.0
    assert shards.crowding(5, 1, "1024") == 2.5
    with pytest.raises(UserError, match="2 guests of 4G need 8192 MiB, 5120 MiB are free"):
        shards.crowding(2, 4, "4G")
