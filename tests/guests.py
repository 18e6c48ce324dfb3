"""Runs the command line as a user does, against real guests of the real `before` kernel."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.places import ROOT

# All that these tests start inherits this: their guests are told from those of other people.
OURS = f"HARNESS_TESTS={os.getpid()}"
os.environ.update({"HARNESS_TESTS": OURS.partition("=")[2]})


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Harness = Callable[..., Ended]


def argv(*words: str) -> list[str]:
    return [sys.executable, "-m", "harness", *words]


@pytest.fixture(scope="session")
def harness() -> Harness:
    """Runs `harness ...` in the checkout, with the user's own cache: kernels are shared."""
    code_of_checkout = {**os.environ, "PYTHONPATH": str(ROOT)}  # wherever it runs

    def run(*words: str, timeout: float = 600, cwd: Path = ROOT) -> Ended:
        done = subprocess.run(
            argv(*words), cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False,
            env=code_of_checkout,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session", autouse=True)
def before_kernel(harness: Harness) -> str:
    """The `before` kernel and the image, built if the cache is cold: minutes."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("QEMU is not installed (make setup)")
    done = harness("build", "--variant", "before", "--json", timeout=3600)
    assert done.code == 0, done.err
    # The first guest makes the image, and `auto` learns whether KVM works here.
    done = harness("run", "--", "uname", "-r", timeout=1800)
    assert done.code == 0, done.err
    return done.out.strip()


@pytest.fixture(autouse=True)
def no_guest_survives() -> Iterator[None]:
    """Fails a test that leaves a QEMU of its own behind."""
    before = guests()
    yield
    deadline = time.monotonic() + 5
    while guests() - before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not guests() - before


def guests() -> set[int]:
    """Process ids of the QEMUs that these tests started."""
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                program = (folder / "cmdline").read_bytes().split(b"\0")[0]
                environment = (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"qemu-system" in program and OURS.encode() in environment:
                found.add(int(folder.name))
    return found


@pytest.fixture
def spawn() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `harness ...` and hands over the process; killed at the end if it still runs."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            argv(*words), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until the condition holds, or fail the test."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
