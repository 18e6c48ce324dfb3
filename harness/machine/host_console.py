"""The console of a real computer: whatever command shows it, read from the start of a kernel on.

pexpect runs the command on a terminal of its own, as programs such as ipmitool's serial-over-LAN
want one. A command that ends is begun again: a management controller drops such a session now and
then, and a boot is not given up for it.
"""

from __future__ import annotations

import contextlib
import re
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pexpect

from harness.core.deadline import Deadline
from harness.core.errors import HarnessError
from harness.core.proc import bound_to_us
from harness.machine.console import Watched
from harness.machine.session import Process

AGAIN_S = 2.0
"""Between two tries of a command that ended."""
FOREVER_S = 30 * 86400.0
OTHER_KERNEL = re.compile(r"Linux version \d")


class HostConsole(Watched):
    """Reads ``command`` until it is closed; without a command only :meth:`follow` gives it lines.

    Lines count from :meth:`begin` on, and no longer when another kernel says its first line after
    :meth:`end_with_next`: what the computer's own kernel says is not ours. ``warn`` is told once
    of a console that is lost.
    """

    def __init__(
        self, command: str, log: Path, whose: str, warn: Callable[[str], None]
    ) -> None:
        super().__init__(log, whose)
        self._command, self._warn = command, warn
        self._counts = False
        self._ends = False
        self._over = threading.Event()
        self._child: pexpect.spawn[str] | None = None
        self.losses = 0
        """How often the command ended by itself."""
        self._sink = log.open("a")
        self._threads: list[threading.Thread] = []
        if command:
            self._start(self._read)

    @property
    def speaks(self) -> bool:
        """Whether its silence means something: there is a command, and it runs."""
        return bool(self._command) and self._child is not None

    def begin(self) -> None:
        """From now on lines count, and silence does."""
        self._counts, self._last = True, time.monotonic()

    def end_with_next(self) -> None:
        """They no longer do when the next kernel begins to speak."""
        self._ends = True

    def take(self, line: str) -> None:
        """A line, with a carriage return or not; it goes to the log with its time."""
        line = line.rstrip("\r\n")
        with self._changed:
            if not self._sink.closed:
                now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
                self._sink.write(f"{now} {line}\n")
                self._sink.flush()
            if self._ends and OTHER_KERNEL.search(line):
                self._counts = self._ends = False
        if self._counts:
            super().take(line)

    def follow(self, process: Process) -> None:
        """Read the kernel's log from a program on the computer, while it can be reached."""
        self._start(lambda: self._relay(process))

    def close(self) -> None:
        """Stop reading; its last lines have been read."""
        self._over.set()
        with self._changed:
            self._closed = True
        child = self._child
        if child is not None:
            with contextlib.suppress(OSError, pexpect.ExceptionPexpect):
                child.kill(signal.SIGTERM)
        for thread in self._threads:
            thread.join(timeout=5.0)
        with self._changed:
            self._sink.close()

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name="console", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read(self) -> None:
        """Run the command, and run it again, until the console is closed."""
        while not self._over.is_set():
            argv = bound_to_us(["sh", "-c", f"exec {self._command}"])
            try:
                self._child = pexpect.spawn(
                    argv[0], argv[1:], timeout=None, encoding="utf-8", codec_errors="replace",
                    maxread=65536, echo=False,
                )
                self._lines(self._child)
            except pexpect.ExceptionPexpect as error:
                self.take(f"[the console's command does not start: {error}]")
            self._child = None
            if self._over.is_set():
                return
            self.losses += 1
            if self.losses == 1:
                self._warn(
                    f"the console of {self.whose} was lost (`{self._command[:60]}` ended); "
                    "it is asked for again"
                )
            self._over.wait(AGAIN_S)

    def _lines(self, child: pexpect.spawn[str]) -> None:
        while True:
            try:
                found = child.expect_exact(["\n", pexpect.EOF], timeout=None)
            except (OSError, ValueError):
                found = 1
            text = child.before if isinstance(child.before, str) else ""
            if text.strip("\r\n") or found == 0:
                self.take(text)
            if found == 1:
                child.close(force=True)
                return

    def _relay(self, process: Process) -> None:
        deadline = Deadline(FOREVER_S)
        with contextlib.suppress(HarnessError, OSError):
            while not self._over.is_set() and (line := process.line(deadline)) is not None:
                self.take(line)
