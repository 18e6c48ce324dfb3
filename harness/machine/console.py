"""The serial console, read from the first byte to the last by one thread.

QEMU holds the other end of a socket pair and writes ``console.log`` itself, so
that the log is whole even when the harness is killed. The thread groups trouble
into events; whoever waits for something asks the console at the same time.

pexpect reads it: the same reader takes a socket, a pseudo-terminal and the output of a program
such as a BMC's serial-over-LAN client, decodes UTF-8 that is cut anywhere, and knows an end of
file in all its forms. Its ``expect`` serves one waiter and throws away what it has passed, while
here every line must be looked at for trouble and several threads wait at once: so it is asked for
lines only, and what is waited for is found in :meth:`Console.wait_for`. For a person at a
terminal see harness/machine/shells.py.
"""

from __future__ import annotations

import math
import re
import socket
import threading
import time
from collections import deque
from pathlib import Path

import pexpect
from pexpect import fdpexpect

from harness.core.deadline import Deadline
from harness.core.errors import BootStalled, GuestCrash, InfrastructureError
from harness.core.proc import tail
from harness.machine.oops import Collector, Trouble
from harness.records.events import Event

KEPT_LINES = 400
SETTLE_S = 1.0  # silence on the console after which an oops is taken to be printed whole


class Watched:
    """Lines of a kernel's console: trouble in them, and words that are waited for.

    ``whose`` is the machine in messages.
    """

    def __init__(self, log: Path, whose: str) -> None:
        self.log = log
        self.whose = whose
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._collector = Collector()
        self._changed = threading.Condition()
        self._fatal: Trouble | None = None
        self._closed = False
        self._count = 0
        self._last = time.monotonic()
        self._matches: list[tuple[re.Pattern[str], list[str]]] = []

    def take(self, line: str) -> None:
        """A line that has come, without its end."""
        with self._changed:
            self.lines.append(line)
            self._count += 1
            self._last = time.monotonic()
            event = self._collector.feed(line)
            if event is not None and event.fatal:
                self._fatal = event
            for pattern, found in self._matches:
                if pattern.search(line):
                    found.append(line)
            self._changed.notify_all()

    # -- what others ask

    @property
    def crashed(self) -> bool:
        """Whether something fatal has been announced."""
        return self._fatal is not None

    @property
    def events(self) -> list[Event]:
        """All trouble so far, fatal or not."""
        with self._changed:
            return self._collector.events

    @property
    def silence(self) -> float:
        """Seconds since the last line."""
        return time.monotonic() - self._last

    def said(self, pattern: str) -> str:
        """The first of the last 400 lines that matches, or nothing."""
        with self._changed:
            return next((line for line in self.lines if re.search(pattern, line)), "")

    def check(self) -> None:
        """Raise :class:`GuestCrash` when the kernel has crashed, else return at once."""
        if self._fatal is not None:
            self.settle()
            with self._changed:
                event = self._fatal.event()
            raise GuestCrash(
                f"{self.whose}'s kernel crashed: {event.title}", kind=event.kind, oops=event.text,
                log=self.log,
            )

    def settle(self, limit: float = 10.0) -> None:
        """Wait until the console has been silent for a second: an oops takes time to print."""
        deadline = Deadline(limit)
        with self._changed:
            while not self._closed and not deadline.expired:
                seen = self._count
                self._changed.wait(deadline.slice(SETTLE_S))
                if self._count == seen:
                    return


class Console(Watched):
    """Watches a guest's console for trouble and for words that are waited for."""

    def __init__(self, ours: socket.socket, log: Path) -> None:
        super().__init__(log, "the guest")
        self._socket = ours
        self._thread = threading.Thread(target=self._read, name="console", daemon=True)
        self._thread.start()

    # -- the reading thread

    def _read(self) -> None:
        reader = fdpexpect.fdspawn(
            self._socket.fileno(), timeout=None, encoding="utf-8", codec_errors="replace",
            maxread=65536,
        )
        while True:
            try:
                found = reader.expect_exact(["\n", pexpect.EOF], timeout=None)
            except (OSError, ValueError):
                found = 1
            text = reader.before if isinstance(reader.before, str) else ""
            if text.strip("\r\n") or found == 0:
                self.take(text.rstrip("\r\n"))
            if found == 1:
                break
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether the guest's end of the console is gone (QEMU ended)."""
        return self._closed

    def wait_for(
        self, pattern: str, deadline: Deadline, what: str, quiet: float = math.inf
    ) -> str:
        """The first line that matches, from the console's beginning (last 400 lines) on.

        Raises :class:`GuestCrash` as soon as the guest crashes, :class:`InfrastructureError`
        when QEMU ends, and :class:`BootStalled` when the deadline passes or no line comes for
        ``quiet`` seconds.
        """
        regex = re.compile(pattern)
        found: list[str] = []
        with self._changed:
            found.extend(line for line in self.lines if regex.search(line))
            self._matches.append((regex, found))
            try:
                while not found:
                    if self._fatal or self._closed or deadline.expired or self.silence > quiet:
                        break
                    self._changed.wait(deadline.slice(1.0))
            finally:
                self._matches.remove((regex, found))
        if found:
            return found[0]
        self.check()
        why = f" within {deadline.seconds:.0f} s"
        if not deadline.expired:
            why = f": its console was silent for {self.silence:.0f} s"
        raise BootStalled(
            f"the guest did not {what}{why}", excerpt=tail(self.log, 15), log=self.log
        )

    def check(self) -> None:
        """Raise when the guest has crashed or QEMU is gone, else return at once."""
        super().check()
        if self._closed:
            raise InfrastructureError(
                "QEMU ended while the guest was in use", excerpt=tail(self.log, 15), log=self.log
            )

    def close(self) -> None:
        """Stop reading; call when QEMU is gone, so that the last words have been read."""
        self._thread.join(timeout=2.0)
        self._socket.close()
