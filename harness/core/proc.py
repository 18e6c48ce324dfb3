"""Child processes that never outlive the harness and whose output is kept."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.core import hosttools
from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError, UserError

TAIL_LINES = 40
SBIN = ("/usr/sbin", "/sbin")

# Standard input is a pipe whose other end only the harness holds. When it dies,
# however it dies, the read ends and the whole process group is killed.
GUARD = """exec 3<&0
(read -r _; kill -KILL 0) <&3 >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null
"""


def bound_to_us(argv: Sequence[str]) -> list[str]:
    """``argv`` wrapped so that the kernel kills it when the harness dies, SIGKILL included."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *argv]


def need(program: str, *, package: str = "") -> str:
    """The path of a program, or a :class:`UserError` that names the Debian package.

    ``package`` is for programs that :mod:`harness.core.hosttools` does not list.
    """
    path = shutil.which(program)
    if path is None:
        packages = package or hosttools.packages_of(program)
        raise UserError(f"{program} is not installed", hint=f"apt-get install {packages}")
    return path


def look_in_sbin() -> None:
    """Let programs be found in Debian's sbin, which is not on everybody's PATH."""
    words = os.environ.get("PATH", os.defpath).split(":")
    os.environ["PATH"] = ":".join([*words, *(w for w in SBIN if w not in words)])


def kill_group(process: subprocess.Popen[bytes], *, grace: float = 2.0) -> None:
    """End a process started in its own session, and everything it started there."""
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            break
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def spawned(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child in its own session with its output in one pipe; gone when the block ends.

    Gone is everything it started, too, and even if the harness is killed: a
    parent-death signal reaches one process, not the make, sh and cc1 below it.
    """
    guard, alive = os.pipe()
    try:
        process = subprocess.Popen(
            ["sh", "-c", GUARD, "guard", *bound_to_us(argv)],
            cwd=cwd, env=dict(env) if env is not None else None,
            stdin=guard, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except BaseException:
        os.close(alive)
        raise
    finally:
        os.close(guard)
    try:
        yield process
    finally:
        kill_group(process)
        os.close(alive)
        if process.stdout:
            process.stdout.close()


def run_logged(
    argv: Sequence[str], log: Path, *, cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: Callable[[str], None] | None = None, deadline: Deadline | None = None,
) -> int:
    """Run a long command, its output appended to ``log`` and given line by line to ``on_line``.

    Returns the exit code. Raises :class:`InfrastructureError` when the deadline passes.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink, spawned(argv, cwd=cwd, env=env) as process:
        assert process.stdout is not None
        rest = b""
        for chunk in _chunks(process, deadline):
            sink.write(chunk)
            sink.flush()
            *lines, rest = (rest + chunk).split(b"\n")
            if on_line:
                for line in lines:
                    on_line(line.decode(errors="replace"))
        if rest and on_line:
            on_line(rest.decode(errors="replace"))
        if deadline and deadline.expired and process.poll() is None:
            raise InfrastructureError(
                f"{argv[0]} was not done after {deadline.seconds:.0f} s",
                excerpt=tail(log), log=log,
            )
        return process.wait()


def _chunks(process: subprocess.Popen[bytes], deadline: Deadline | None) -> Iterator[bytes]:
    assert process.stdout is not None
    handle = process.stdout.fileno()
    with selectors.DefaultSelector() as selector:
        selector.register(handle, selectors.EVENT_READ)
        while not (deadline and deadline.expired):
            if not selector.select(timeout=1.0 if deadline else None):
                continue
            chunk = os.read(handle, 65536)
            if not chunk:
                return
            yield chunk


def capture(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None,
    timeout: float = 60.0, check: bool = True, text_input: str | None = None,
) -> str:
    """Standard output of a short command.

    Raises :class:`InfrastructureError` with the end of its standard error when it
    fails, and :class:`UserError` when the program is missing.
    """
    try:
        done = subprocess.run(
            list(argv), cwd=cwd, env=dict(env) if env is not None else None, timeout=timeout,
            capture_output=True, text=True, errors="replace", check=False, input=text_input,
            stdin=subprocess.DEVNULL if text_input is None else None,
        )
    except FileNotFoundError as error:
        raise UserError(f"{argv[0]} is not installed", hint="run `harness doctor`") from error
    except subprocess.TimeoutExpired as error:
        raise InfrastructureError(f"{argv[0]} gave no answer in {timeout:.0f} s") from error
    if check and done.returncode != 0:
        raise InfrastructureError(
            f"`{' '.join(map(str, argv[:3]))} ...` failed with exit code {done.returncode}",
            excerpt=(done.stderr or done.stdout)[-2000:].strip(),
        )
    return done.stdout


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log file; empty when there is none."""
    try:
        with log.open(errors="replace") as stream:
            return "".join(deque(stream, maxlen=lines)).rstrip()
    except OSError:
        return ""
