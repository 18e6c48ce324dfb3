"""Control of a running QEMU over its machine protocol, through qemu.qmp.

qemu.qmp is asynchronous; a guest needs three short commands in its life, so each
runs the private event loop just as long as it takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient, QMPError
from qemu.qmp.protocol import ConnectError

from harness.core.errors import InfrastructureError


class Monitor:
    """The control connection of one guest."""

    def __init__(self, ours: socket.socket) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = QMPClient("guest")
        self._client.logger.disabled = True  # a guest that dies is no news to its console
        self._socket = ours

    def connect(self, seconds: float) -> None:
        """Shake hands; raises :class:`InfrastructureError` when QEMU does not answer."""
        try:
            self._run(asyncio.wait_for(self._client.connect(self._socket), seconds))
        except (ConnectError, TimeoutError, OSError, EOFError) as error:
            raise InfrastructureError(f"QEMU does not answer on its monitor: {error}") from error

    def ssh_port(self) -> int:
        """The host port that is forwarded to the guest's sshd."""
        text = self._execute("human-monitor-command", {"command-line": "info usernet"})
        match = re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", str(text))
        if not match:
            raise InfrastructureError("QEMU forwards no port to the guest", excerpt=str(text))
        return int(match.group(1))

    def vcpu_threads(self) -> list[int]:
        """Host thread ids of the vCPUs, in order."""
        return [cpu["thread-id"] for cpu in self._execute("query-cpus-fast")]

    def state(self) -> str:
        """What the vCPUs do and which interrupts are pending, as QEMU prints it."""
        apics = [f"info lapic {cpu['cpu-index']}" for cpu in self._execute("query-cpus-fast")]
        return "\n".join(
            str(self._execute("human-monitor-command", {"command-line": question}))
            for question in ("info registers -a", "info pic", "info irq", *apics)
        )

    def dump(self, path: Path, seconds: float) -> None:
        """Stop the guest for good and write its memory to a file, in kdump's flattened format.

        Raises :class:`InfrastructureError` when QEMU cannot, or is not done in ``seconds``.
        """
        self._execute("stop")
        # Without its page tables: those of a kernel that crashed may lead anywhere.
        self._execute("dump-guest-memory", {
            "paging": False, "protocol": f"file:{path.absolute()}", "format": "kdump-zlib",
        }, seconds)

    def close(self) -> None:
        """Drop the connection; leaves no task behind, even when interrupted meanwhile."""
        try:
            with contextlib.suppress(Exception):
                self._run(asyncio.wait_for(self._client.disconnect(), 2.0))
        finally:
            # A task that outlives its loop complains at the end of the interpreter.
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._run(asyncio.wait(tasks))
            self._loop.close()
            self._socket.close()

    def _execute(
        self, command: str, arguments: dict[str, Any] | None = None, seconds: float = 10.0
    ) -> Any:
        try:
            return self._run(asyncio.wait_for(self._client.execute(command, arguments), seconds))
        except (QMPError, TimeoutError, EOFError, OSError) as error:
            raise InfrastructureError(f"QEMU did not answer {command}: {error}") from error

    def _run(self, awaitable: Any) -> Any:
        return self._loop.run_until_complete(awaitable)
