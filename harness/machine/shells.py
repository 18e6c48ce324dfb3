"""A shell on a machine for a person at this terminal.

pexpect runs it: its terminal is raw and follows the size of ours, and the loop that passes bytes
to and fro is ours to end. That is why a kernel that crashes ends the shell at once, with its oops,
instead of leaving a person in front of an `ssh` that says nothing more.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import FrameType

import pexpect

from harness.core.errors import HarnessError
from harness.core.proc import bound_to_us
from harness.machine.session import Session

WATCH_S = 0.5  # how often the console is looked at


def interact(session: Session) -> int:
    """Give the terminal to a shell until it ends; returns its exit code.

    Where standard input is no terminal the shell reads what there is. Raises
    :class:`GuestCrash` when the kernel dies meanwhile.
    """
    argv = bound_to_us(session.shell())
    if not sys.stdin.isatty():
        code = subprocess.run(argv, check=False).returncode
    else:
        code = _on_terminal(session, argv)
    session.check()
    return code


def _on_terminal(session: Session, argv: list[str]) -> int:
    size = shutil.get_terminal_size()
    child = pexpect.spawn(
        argv[0], argv[1:], timeout=None, dimensions=(size.lines, size.columns),
    )
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(session, child, over), daemon=True)
    watcher.start()
    try:
        with _resized(child):
            # No escape character: whatever is typed is the guest's.
            child.interact(escape_character=None)
    finally:
        over.set()
        watcher.join()
        child.close()
    return int(child.exitstatus or 0)


def _watch(session: Session, child: pexpect.spawn[str], over: threading.Event) -> None:
    """End the shell when the kernel under it is dead."""
    while not over.wait(WATCH_S):
        try:
            session.check()
        except HarnessError:
            with contextlib.suppress(OSError):
                child.kill(signal.SIGKILL)
            return


@contextlib.contextmanager
def _resized(child: pexpect.spawn[str]) -> Iterator[None]:
    """Tell the shell when our window's size changes."""

    def follow(number: int, frame: FrameType | None) -> None:
        size = shutil.get_terminal_size()
        child.setwinsize(size.lines, size.columns)

    before = signal.signal(signal.SIGWINCH, follow)
    try:
        yield
    finally:
        signal.signal(signal.SIGWINCH, before)
