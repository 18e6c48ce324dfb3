"""A fleet of real workers, own processes on 127.0.0.1, whose boots only pretend."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import psutil
import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.fleet import conducting, engine, parcels
from harness.fleet.dispatch import Dispatcher
from harness.fleet.engine import Connection, FleetChoice
from harness.fleet.guestboots import Orders
from harness.fleet.jobs import Supplies
from harness.records.plans import Block
from tests.places import ROOT
from tests.unit.fleet import pretence

FROZEN_S = 5.0  # without a sign of life: the least that Dask takes


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def fleet(shared: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """Two workers of this host."""
    usual, engine.FROZEN_S = engine.FROZEN_S, FROZEN_S
    plan = pretence.plan(tmp_path_factory.mktemp("unused"))
    with engine.connected(FleetChoice("local", 2), plan, shared, Progress(-1)) as connection:
        yield connection
    engine.FROZEN_S = usual


def spread(fleet: Connection, directory: Path, stage: Path, rounds: int = 3) -> Dispatcher:
    plan = pretence.plan(stage, rounds)
    dispatcher = Dispatcher(fleet, pretence.writer(directory, plan), Progress(-1))
    conducting.spread(dispatcher, plan, pretence.make)
    return dispatcher


def doers(stage: Path) -> list[tuple[int, int]]:
    """Boot and process of every cell that was measured."""
    return [tuple(json.loads(line)) for line in (stage / "done").read_text().splitlines()]


def test_a_fleet_measures_what_one_process_does(
    fleet: Connection, tmp_path: Path, stage: Path
) -> None:
    pretence.alone(tmp_path / "alone", pretence.plan(stage))
    (stage / "done").unlink()
    dispatcher = spread(fleet, tmp_path / "fleet", stage)
    assert pretence.measured(tmp_path / "fleet") == pretence.measured(tmp_path / "alone")
    assert pretence.done(tmp_path / "fleet") == [0, 1, 2, 3, 4, 5]
    assert dispatcher.crashes == 0
    whose = dict(doers(stage))
    assert all(whose[boot] == whose[boot + 1] for boot in (0, 2, 4)), "a pair is one worker's"
    assert (tmp_path / "fleet/boots/03-after/console.log").read_text() == "boot 3\n"
    hosts = dispatcher.writer.run.hosts
    assert len(hosts) == 1 and next(iter(hosts.values())).host.cores


def test_no_worker_is_overlooked_while_dask_refreshes_what_it_knows(fleet: Connection) -> None:
    client, ended = fleet.client, threading.Event()

    def refresh() -> None:  # what the client does every two seconds, asking for no workers
        while not ended.is_set():
            client.sync(client._update_scheduler_info)

    threads = [threading.Thread(target=refresh) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert {len(fleet.workers()) for _ in range(100)} == {2}
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_nothing_listens_beyond_this_computer(fleet: Connection) -> None:
    processes = [os.getpid(), *fleet.client.run(os.getpid).values()]
    heard = [
        one.laddr.ip for process in processes
        for one in psutil.Process(process).net_connections("inet") if one.status == "LISTEN"
    ]
    assert heard and set(heard) == {"127.0.0.1"}


def test_a_worker_that_is_killed_loses_its_boots_to_another(
    fleet: Connection, tmp_path: Path, stage: Path
) -> None:
    pretence.alone(tmp_path / "alone", pretence.plan(stage))
    (stage / "kill-2").touch()
    spread(fleet, tmp_path / "fleet", stage)
    assert not (stage / "kill-2").exists()
    assert pretence.measured(tmp_path / "fleet") == pretence.measured(tmp_path / "alone")
    assert pretence.done(tmp_path / "fleet") == [0, 1, 2, 3, 4, 5]


def test_a_worker_that_is_frozen_loses_its_boots_to_another(
    fleet: Connection, tmp_path: Path, stage: Path
) -> None:
    pretence.alone(tmp_path / "alone", pretence.plan(stage))
    (stage / "freeze-0").touch()
    spread(fleet, tmp_path / "fleet", stage)
    assert not (stage / "freeze-0").exists()
    assert pretence.measured(tmp_path / "fleet") == pretence.measured(tmp_path / "alone")
    assert pretence.done(tmp_path / "fleet") == [0, 1, 2, 3, 4, 5]


def test_a_client_that_is_killed_is_gone_on_with(
    fleet: Connection, tmp_path: Path, stage: Path
) -> None:
    pretence.alone(tmp_path / "alone", pretence.plan(stage))
    for boot in (2, 4):
        (stage / f"wait-{boot}").touch()
    address = fleet.client.scheduler.address
    words = [sys.executable, "-m", "tests.unit.fleet.client", address, str(tmp_path / "run")]
    client = subprocess.Popen([*words, str(stage)], cwd=ROOT)
    await_that(lambda: pretence.done(tmp_path / "run") == [0, 1])
    os.kill(client.pid, signal.SIGKILL)
    client.wait(10)
    # Nobody waits for what the workers do: they end it, though the boots wait for ever.
    await_that(lambda: not any(fleet.client.processing().values()))
    (stage / "wait-2").unlink()
    (stage / "wait-4").unlink()
    before = len(doers(stage))
    spread(fleet, tmp_path / "run", stage)
    assert pretence.measured(tmp_path / "run") == pretence.measured(tmp_path / "alone")
    assert pretence.done(tmp_path / "run") == [0, 1, 2, 3, 4, 5]
    assert not {boot for boot, _ in doers(stage)[before:]} & {0, 1}, "what was done is done"


def test_what_fails_everywhere_ends_the_run(
    fleet: Connection, tmp_path: Path, stage: Path
) -> None:
    (stage / "fail-3").touch()
    with pytest.raises(InfrastructureError, match=r"boots 2, 3 failed 3 times.*pretends to fail"):
        spread(fleet, tmp_path / "fleet", stage)
    assert 3 not in pretence.done(tmp_path / "fleet")
    (stage / "fail-3").unlink()
    spread(fleet, tmp_path / "fleet", stage)
    assert pretence.done(tmp_path / "fleet") == [0, 1, 2, 3, 4, 5]


def test_what_a_host_lacks_is_sent_to_it_once(
    fleet: Connection, shared: Workspace, tmp_path: Path, stage: Path
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    content = bytes(parcels.PIECE) + os.urandom(1000) + bytes(3 * parcels.PIECE)
    (away / "disk").write_bytes(content)
    (away / "disk").chmod(0o640)
    parcel = parcels.pack(shared, away)
    plan = pretence.plan(stage)
    dispatcher = Dispatcher(
        fleet, pretence.writer(tmp_path / "run", plan), Progress(-1), {parcel.ident: (parcel, away)}
    )
    supplies = Supplies({}, parcel, parcel, {})
    conducting.spread(dispatcher, plan, pretence.make, supplies)
    there = shared.published("fleet", parcel.ident)
    assert there is not None and (there / "disk").read_bytes() == content
    assert (there / "disk").stat().st_mode & 0o777 == 0o640
    assert pretence.done(tmp_path / "run") == [0, 1, 2, 3, 4, 5]


def test_what_the_workspace_has_is_not_copied(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with workspace.publish("builds", "key") as made:
        (made / "bzImage").write_text("a kernel")
    parcel = parcels.pack(workspace, tmp_path / "builds/key")

    def nothing(*_: object) -> None:
        raise AssertionError("it is there")

    assert parcels.fetch(workspace, parcel, nothing, nothing) == tmp_path / "builds/key"
    (tmp_path / "builds/key/bzImage").write_text("another, of the same name")

    def refuse() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        parcels.fetch(workspace, parcel, lambda _: None, refuse)


def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(engine, "CONNECT_S", 0.5)
    assert "there is no scheduler at tcp://127.0.0.1:9" in fault("tcp://127.0.0.1:9", tmp_path)


def test_what_a_fleet_is_asked_for_wrongly(tmp_path: Path) -> None:
    assert "not encrypted" in fault("tcp://10.0.0.1:8786", tmp_path)
    assert "tls:// needs ca, cert and key" in fault("tls://10.0.0.1:8786", tmp_path)
    assert "neither tcp:// nor tls://" in fault("http://127.0.0.1", tmp_path)
    assert "No such file" in fault(str(tmp_path / "none.toml"), tmp_path)
    (tmp_path / "fleet.toml").write_text('scheduler = "tls://h:1"\nca = "ca.pem"\n')
    assert "there is no file" in fault(str(tmp_path / "fleet.toml"), tmp_path)
    (tmp_path / "fleet.toml").write_text('schedule = "tls://h:1"\n')
    assert "scheduler: field required" in fault(str(tmp_path / "fleet.toml"), tmp_path)
    with pytest.raises(UserError, match="--workers is for --fleet local"):
        FleetChoice("tcp://127.0.0.1:1", 2)


def fault(where: str, folder: Path) -> str:
    """The one line that a fleet is refused with."""
    choice, plan = FleetChoice(where), pretence.plan(folder)
    with (
        pytest.raises(UserError) as caught,
        engine.connected(choice, plan, Workspace(folder), Progress(-1)),
    ):
        pass
    line = caught.value.line()
    assert "\n" not in line
    return line


def await_that(condition: object, seconds: float = 20) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def test_what_is_timed_and_what_is_counted_are_parted(tmp_path: Path) -> None:
    plan = pretence.plan(tmp_path)
    counted = [
        boot.model_copy(update={"index": boot.index + 6, "accel": "icount"}) for boot in plan.boots
    ]
    both = plan.model_copy(update={
        "blocks": [*plan.blocks, Block(accel="icount", rounds=3)], "boots": [*plan.boots, *counted],
    })
    first, second = (conducting.of_clock(both, counted=counts) for counts in (False, True))
    assert (first.boots, first.accels) == (plan.boots, ["tcg"])
    assert (second.boots, second.accels) == (counted, ["icount"])
    assert not conducting.of_clock(plan, counted=True).boots


def test_a_real_computer_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    plan = pretence.plan(tmp_path).model_copy(update={"machine": "lab1"})
    unused = cast("Orders", None)
    with pytest.raises(UserError, match="machine is lab1"), conducting.conductor(
        unused, FleetChoice("local", 2), plan
    ):
        raise AssertionError("nothing is conducted")
