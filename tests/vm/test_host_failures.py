"""What goes wrong on a real computer, on one that a guest plays: a verdict, and home again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.core.workspace import Workspace
from harness.lab import Lab
from harness.machine.host_machine import make_host
from harness.machine.host_session import HostSession
from harness.machine.journal import HostJournal
from tests import labhost
from tests.guests import Harness, argv, wait_for
from tests.labhost import LabHost, before_kernel, lab
from tests.places import ROOT

__all__ = ["before_kernel", "lab"]
pytestmark = [pytest.mark.vm, labhost.wanted, pytest.mark.timeout(3600)]
STAGES = ("lease", "push", "load", "start", "prove", "use", "return")


@pytest.fixture(autouse=True)
def home_again(harness: Harness, lab: LabHost) -> Iterator[None]:
    """However a test ends, the computer answers with its own kernel and is free behind it."""
    lab.describe(patience="3.0", quiet_seconds="60")
    yield
    lab.check_at_home(harness)


def test_a_kernel_that_panics_at_boot(harness: Harness, lab: LabHost) -> None:
    done = harness(
        "run", "--machine", "lab1", "--append", "root=/dev/nothing", "--", "true", cwd=lab.project
    )
    assert done.code == 4 and "panic" in done.err, done.err


def test_a_kernel_that_hangs_at_boot(harness: Harness, lab: LabHost) -> None:
    done = harness(  # cat waits for a line from the console
        "run", "--machine", "lab1", "--append", "init=/bin/cat", "--", "true", cwd=lab.project
    )
    assert done.code == 3 and "its console was silent" in done.err, done.err


def test_a_workload_that_panics(harness: Harness, lab: LabHost) -> None:
    done = harness(
        "run", "--machine", "lab1", "--", "echo c > /proc/sysrq-trigger", cwd=lab.project
    )
    assert done.code == 4 and "sysrq triggered crash" in done.err, done.err


def test_another_kernel_than_the_one_that_was_built(lab: LabHost, tmp_path: Path) -> None:
    here = Lab(lab.project, workspace=Workspace()).on_machine("lab1")
    order = here.order(here.build("before"), directory=tmp_path / "boot")
    other = replace(order, release=f"6.1.0-{'0' * 16}")
    with pytest.raises(InfrastructureError, match=f"runs {order.release}, not 6.1.0-0"), \
            here.machine().boot(other):
        pass


def test_a_network_that_is_lost(lab: LabHost, tmp_path: Path) -> None:
    lab.describe(patience="3.0", quiet_seconds="60", silence_seconds="15")
    here = Lab(lab.project, workspace=Workspace())
    session = here.boot("before", machine="lab1", directory=tmp_path / "boot")
    with pytest.raises(InfrastructureError, match="was lost during `sleep 3600`"), session:
        session.run("(sleep 1; ip link set eth0 down) > /dev/null 2>&1 &")
        start = time.monotonic()
        try:
            session.run("sleep 3600", seconds=3600)
        finally:
            lost = time.monotonic() - start
    assert lost < 3 * 15 + 60, "long before the command's time was over"


def test_two_people_and_a_lost_console(lab: LabHost, tmp_path: Path) -> None:
    here = Lab(lab.project, workspace=Workspace())
    session = here.boot("before", machine="lab1", directory=tmp_path / "boot")
    assert isinstance(session, HostSession)
    with session:
        table = session.keeper.table
        second = make_host(
            "lab1", table, lab.project, Workspace(tmp_path / "second"), warn=print, say=print
        )
        with pytest.raises(UserError, match="is leased to"), second.keeper.hold():
            pass
        for process in showing_console(lab):
            os.kill(process, signal.SIGKILL)
        wait_for(lambda: session.console.losses > 0 and session.console.speaks)
        assert session.run("uname -r").stdout.strip() == session.order.release
    assert (tmp_path / "boot/console.log").stat().st_size > 0


def showing_console(lab: LabHost) -> list[int]:
    """The processes that show the console."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[2:4] == [b"console", f"{lab.computer.folder}/console.sock".encode()]:
            found.append(int(folder.name))
    return found


def test_a_harness_that_is_killed_at_every_stage(harness: Harness, lab: LabHost) -> None:
    journal = HostJournal(Workspace(), "lab1")
    for stage in STAGES:
        before = len(journal.attempts())
        victim = subprocess.Popen(
            argv("run", "--machine", "lab1", "--", "true"), cwd=lab.project,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(
                lambda stage=stage, before=before: any(  # type: ignore[misc]
                    one.stage == stage for one in journal.attempts()[before:]
                ),
                seconds=900,
            )
        finally:
            victim.kill()
            victim.wait()
    done = harness("run", "--machine", "lab1", "--", "uname", "-r", cwd=lab.project)
    assert done.code == 0 and "was killed while it used lab1" in done.err, done.err
