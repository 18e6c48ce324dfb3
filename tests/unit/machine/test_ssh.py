"""The end of a program's output, which is not its exit status."""

from __future__ import annotations

from typing import Any

import pytest

from harness.core.deadline import Deadline
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


def test_output_behind_the_exit_status_is_not_lost() -> None:
    late = Channel((b"", False, False), (b"", True, False), (b"late", True, False),
                   (b"r", True, False), (b"", True, True))
    assert output(late) == b"later"


def test_a_child_that_holds_the_output_open_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ssh, "LATE_OUTPUT_S", 0.05)
    assert output(Channel((b"all", True, False), (b"", True, False))) == b"all"
