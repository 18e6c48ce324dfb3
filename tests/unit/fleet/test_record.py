"""The record of a fleet's run: one result of a boot, whoever sends how many; what tasks are."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from harness.core.progress import Progress
from harness.fleet.dispatch import Dispatcher
from harness.fleet.engine import Connection, usual_workers
from harness.fleet.grouping import group
from harness.fleet.jobs import JobResult
from harness.records.boots import BootRecord
from harness.records.hosts import FleetHost, Host
from harness.records.kernels import Kernel, LayoutRecord, SourceRecord
from harness.records.plans import PlannedBoot
from harness.records.samples import Sample
from harness.records.store import load_boots, load_samples
from tests.unit.fleet import pretence


def result(host: str = "a", cores: int = 2, boots: tuple[int, ...] = (0, 1)) -> JobResult:
    variants = ("before", "after")
    return JobResult(
        FleetHost(host=Host(cpu="a CPU", cores=cores, memory_kb=cores)), host,
        tuple(BootRecord(boot=at, variant=variants[at % 2], accel="tcg", status="ok", started="")
              for at in boots),
        tuple(Sample(run="run", variant=variants[at % 2], boot=at, workload="pretended",
                     params={"cell": "first"}, repeat=0, metric="number", value=1.0, unit="",
                     accel="tcg")
              for at in boots),
    )


@pytest.fixture
def dispatcher(tmp_path: Path) -> Dispatcher:
    plan = pretence.plan(tmp_path)
    return Dispatcher(
        Connection(None, "nowhere"), pretence.writer(tmp_path / "run", plan), Progress(-1)
    )


def test_a_result_that_comes_twice_counts_once(dispatcher: Dispatcher) -> None:
    plan, directory = pretence.plan(Path()), dispatcher.writer.directory
    task = group(dispatcher.writer.run, plan.boots, ())[0]
    assert dispatcher.accept(task, result()) == 2
    assert dispatcher.accept(task, result("b")) == 0, "done again on another host, too late"
    assert [one.boot for one in load_boots(directory)[0]] == [0, 1]
    assert len(load_samples(directory)[0]) == 2
    assert {one.ran_on for one in load_boots(directory)[0]} == {"a"}
    assert dispatcher.accept(task, result(boots=(2,))) == 0, "nobody asked this task for boot 2"


def test_two_hosts_of_one_name_are_told_apart(dispatcher: Dispatcher) -> None:
    assert dispatcher.host(result()) == dispatcher.host(result()) == "a"
    assert dispatcher.host(result(cores=64)) == "a-2"
    assert dispatcher.host(result("b")) == "b"
    assert set(dispatcher.writer.run.hosts) == {"a", "a-2", "b"}


def test_tasks_are_what_must_stay_on_one_host(dispatcher: Dispatcher) -> None:
    plan, run = pretence.plan(Path()), dispatcher.writer.run
    again = PlannedBoot(index=6, variant="before", seed=0, accel="tcg", cells=[0], again=0)
    tasks = group(run, [*plan.boots, again], {2, 3, 4})
    assert [[boot.index for boot in task.boots] for task in tasks] == [[0, 1, 6], [5]]
    assert tasks[1].whole == (4, 5)
    assert tasks == group(run, [*plan.boots, again], {2, 3, 4}), "resumed, the same names"
    alone = group(run, [*plan.boots, again], {2, 3, 4}, together=False)
    assert [[boot.index for boot in task.boots] for task in alone] == [[0], [1], [5], [6]]
    assert len({task.ident for task in alone}) == 4, "each has a name of its own"
    other = group(run.model_copy(update={"started": "later"}), plan.boots, ())
    assert not {task.ident for task in tasks} & {task.ident for task in other}


def test_every_layout_of_a_seed_is_in_one_task_and_names_it(dispatcher: Dispatcher) -> None:
    run = dispatcher.writer.run
    boots = [
        PlannedBoot(index=index, variant=variant, layout=layout, seed=seed, accel="icount",
                    cells=[0])
        for index, (seed, layout, variant) in enumerate(
            itertools.product((0, 1), (0, 1), ("before", "after"))
        )
    ]
    tasks = group(run, boots, ())
    assert [[boot.index for boot in task.boots] for task in tasks] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    kernel = Kernel(
        variant="before", key="a build", base="base", release="6", layout=LayoutRecord(number=1),
        source=SourceRecord(kind="dir", version="6", digest="d"),
    )
    other = group(run.model_copy(update={"other_layouts": [kernel]}), boots, ())
    assert not {task.ident for task in tasks} & {task.ident for task in other}


def test_as_many_workers_as_guests_find_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = pretence.plan(Path())
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr("os.sysconf", lambda name: 2**12 if name == "SC_PAGE_SIZE" else 2**23)
    assert usual_workers(plan) == 8
    assert usual_workers(plan.model_copy(update={"smp": 4})) == 2
    assert usual_workers(plan.model_copy(update={"memory": "10G"})) == 3
    assert usual_workers(plan.model_copy(update={"memory": "64G"})) == 1
