"""The end of a program's output, which is not its exit status."""

from __future__ import annotations

import threading
import time
from typing import Any

import paramiko
import pytest

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.machine import ssh


class Channel:
    """Says what the script says: each poll takes one step of (data, status, eof)."""

    def __init__(self, *steps: tuple[bytes, bool, bool]) -> None:
        self.steps, self.at = list(steps), -1
        self.closed = False
        self.exit_status = 0

    def recv(self, size: int) -> bytes:
        self.at = min(self.at + 1, len(self.steps) - 1)
        data, step = self.steps[self.at][0], self.steps[self.at]
        self.steps[self.at] = (b"", *step[1:])
        if not data and not step[2]:
            raise TimeoutError
        return data

    def recv_ready(self) -> bool:
        return any(data for data, _, _ in self.steps[: self.at + 1])

    def recv_stderr_ready(self) -> bool:
        return False

    def exit_status_ready(self) -> bool:
        return self.steps[max(self.at, 0)][1]

    @property
    def eof_received(self) -> bool:
        return self.steps[max(self.at, 0)][2]

    def exec_command(self, command: str) -> None: ...
    def settimeout(self, seconds: float) -> None: ...
    def close(self) -> None: ...


def output(channel: Channel) -> bytes:
    link: Any = ssh.SshLink(lambda: None)
    link.open_channel = lambda: channel
    process = ssh.RemoteProcess(link, "x")
    return b"".join(out for out, _ in process.chunks(Deadline(20.0)))


class Line:
    """A transport to an sshd that answers so many times."""

    def __init__(self, answers: int) -> None:
        self.answers, self.closed = answers, threading.Event()

    def is_active(self) -> bool:
        return not self.closed.is_set()

    def close(self) -> None:
        self.closed.set()

    def join(self, seconds: float) -> None:
        self.closed.wait(seconds)

    def global_request(self, name: str, wait: bool) -> None:
        assert wait and name
        self.answers -= 1
        if self.answers < 0:
            self.closed.wait(20.0)


def test_a_connection_without_a_sign_of_life_is_given_up() -> None:
    line: Any = Line(answers=3)
    start = time.monotonic()
    ssh.Pulse(line, 0.4).start()
    assert line.closed.wait(10.0)
    assert time.monotonic() - start > 0.4 + 3 * 0.1 - 0.01
    assert line.answers == -1


def test_a_connection_that_answers_is_left_alone() -> None:
    line: Any = Line(answers=10**6)
    pulse = ssh.Pulse(line, 0.2)
    pulse.start()
    time.sleep(0.6)
    assert line.is_active() and line.answers < 10**6 - 4
    line.close()
    pulse.join(5.0)
    assert not pulse.is_alive()


def test_output_behind_the_exit_status_is_not_lost() -> None:
    late = Channel((b"", False, False), (b"", True, False), (b"late", True, False),
                   (b"r", True, False), (b"", True, True))
    assert output(late) == b"later"


def test_a_child_that_holds_the_output_open_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ssh, "LATE_OUTPUT_S", 0.05)
    assert output(Channel((b"all", True, False), (b"", True, False))) == b"all"


class Silent(Channel):
    """Of an sshd whose kernel went as it was asked to begin a program; as paramiko has it."""

    def __init__(self) -> None:
        super().__init__((b"", False, False))
        self._event = threading.Event()

    def exec_command(self, command: str) -> None:
        assert self._event.wait(20.0), "for ever"
        raise paramiko.SSHException("Channel closed.")

    def close(self) -> None:
        self._event.set()


def test_a_program_that_sshd_never_begins_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "START_S", 0.1)
    monkeypatch.setattr(ssh, "LOST_PATIENCE_S", 0.1)
    start = time.monotonic()
    with pytest.raises(InfrastructureError, match="was lost during `x`"):
        output(Silent())
    assert time.monotonic() - start < 10.0
