"""A scheduler that dies in the middle of a run: one line, and `--resume` finishes the work."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.places import ROOT
from tests.unit.fleet import batchpretence, pretence
from tests.unit.fleet.test_batches import WHOLE, begun
from tests.unit.fleet.test_fleet import await_that, doers


class Engine:
    """`dask scheduler` and two of `dask worker`, on a port of 127.0.0.1 that stays the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        self._running: list[subprocess.Popen[bytes]] = []

    def begin(self) -> None:
        """All of it; workers wait for their scheduler."""
        port = self.address.rpartition(":")[2]
        self._dask("scheduler", "--host", "tcp://127.0.0.1", "--port", port)
        for _ in range(2):
            self._dask("worker", self.address, "--host", "127.0.0.1", "--nthreads", "1",
                       "--no-nanny", "--resources", "guest=1", "--local-directory",
                       str(self.folder / "scratch"))

    def _dask(self, *words: str) -> None:
        with (self.folder / "log").open("ab") as log:
            self._running.append(subprocess.Popen(
                [sys.executable, "-m", "dask", *words, "--dashboard-address", "127.0.0.1:0"],
                cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            ))

    def kill_scheduler(self) -> None:
        """As the kernel does when memory is out; its workers end by themselves."""
        self._running[0].kill()
        for one in self._running:
            one.wait(60)
        self._running.clear()

    def close(self) -> None:
        """End all of it."""
        for one in self._running:
            one.kill()
            one.wait()


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Engine]:
    with ExitStack() as stack:
        made = Engine(tmp_path)
        stack.callback(made.close)
        made.begin()
        yield made


def client(kind: str, where: str, run: Path, stage: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", f"tests.unit.fleet.{kind}", where, str(run), str(stage)]
    return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def ends_in_one_line(process: subprocess.Popen[str]) -> None:
    """The client gives up, says how to go on, and nothing else."""
    _, said = process.communicate(timeout=60)
    assert process.returncode == 3, said
    lines = [line for line in said.splitlines() if not line.startswith("warning: ")]
    assert len(lines) == 1, said
    assert "the connection to the scheduler" in lines[0] and "--resume" in lines[0]


@pytest.mark.parametrize("again", [False, True], ids=["gone", "restarted-at-once"])
def test_a_measurement_whose_scheduler_is_killed(
    dask: Engine, tmp_path: Path, stage: Path, again: bool
) -> None:
    run, held = tmp_path / "run", stage / "wait-2"
    pretence.alone(tmp_path / "alone", pretence.plan(stage))
    held.touch()
    process = client("client", dask.address, run, stage)
    await_that(lambda: set(pretence.done(run)) >= {0, 1}, 60)
    dask.kill_scheduler()
    if again:
        dask.begin()
    ends_in_one_line(process)
    held.unlink()
    if not again:
        dask.begin()
    earlier, before = pretence.done(run), len(doers(stage))
    _, said = (process := client("client", dask.address, run, stage)).communicate(timeout=90)
    assert process.returncode == 0, said
    assert pretence.measured(run) == pretence.measured(tmp_path / "alone")
    assert pretence.done(run) == [0, 1, 2, 3, 4, 5]
    assert not {boot for boot, _ in doers(stage)[before:]} & set(earlier), "what was done is done"


def test_a_suite_whose_scheduler_is_killed(dask: Engine, tmp_path: Path, stage: Path) -> None:
    run, held = tmp_path / "run", stage / "wait-t5"
    held.touch()
    process = client("batchclient", dask.address, run, stage)
    await_that(lambda: (run / "verdicts.jsonl").exists() and len(batchpretence.said(run)) >= 4, 60)
    dask.kill_scheduler()
    dask.begin()
    ends_in_one_line(process)
    held.unlink()
    earlier, before = batchpretence.said(run), len(begun(stage))
    _, said = (process := client("batchclient", dask.address, run, stage)).communicate(timeout=90)
    assert process.returncode == 0, said
    assert batchpretence.said(run) == WHOLE
    assert len(begun(stage)) - before == len(WHOLE) - len(earlier), "what was done is done"
