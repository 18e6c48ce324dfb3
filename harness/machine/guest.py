"""A QEMU guest from power-on to power-off: the machine that workloads run in."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from harness.core.deadline import Deadline
from harness.core.errors import BootStalled, HarnessError, InfrastructureError
from harness.core.proc import bound_to_us, tail
from harness.machine import qemu, stall
from harness.machine.session import COMMAND_SECONDS, Result, Sink
from harness.records.events import Event, FalseStart
from harness.records.machines import Hardware
from harness.records.record import AccelName

if TYPE_CHECKING:
    from harness.machine.console import Console
    from harness.machine.qmp import Monitor
    from harness.machine.ssh import RemoteProcess, SshLink

READY = r"pte-harness: (ready|failed: .*)"
WRONG_CLOCK = "tsc: PIT calibration deviates from"  # and the kernel takes the worse of the two
DUMP_SECONDS = 300.0
BOOT_SECONDS = 20.0  # under KVM with a production kernel; scaled by accel and kernel


class Guest:
    """One boot of one kernel in QEMU: a :class:`harness.machine.session.Session`.

    Use it as a context manager: whatever happens inside, no QEMU survives the
    block. ``directory`` receives ``console.log`` and ``qemu.log``; without ``keep_logs`` it
    goes when all went well. ``slowness`` stretches every deadline for debug kernels; ``warn``
    is told in one line of a boot that stood still and was begun again.

    Raises on entry :class:`InfrastructureError` when QEMU or the boot fails and
    :class:`GuestCrash` when the kernel dies on the way.
    """

    def __init__(
        self, spec: qemu.GuestSpec, directory: Path, *, key: Path, host_key: str,
        warn: Callable[[str], None], slowness: float = 1.0, boot_seconds: float | None = None,
        keep_logs: bool = True, title: str = "a kernel",
    ) -> None:
        self.spec = spec
        self.title = f"{title} under {spec.accel.label}"
        self.machine = "guest"
        self.directory = directory
        self.log = directory / "console.log"
        self.argv: list[str] = []
        self.seconds_to_ready: float | None = None
        self.ssh_port = 0
        self.false_starts: list[FalseStart] = []
        self.hardware = Hardware()
        self._keep_logs = keep_logs
        self._warn = warn
        self._key = key
        self._host_key = host_key
        self._patience = spec.accel.patience * slowness
        self._boot_seconds = boot_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._console: Console | None = None
        self._monitor: Monitor | None = None
        self._sockets: list[socket.socket] = []
        self._link: SshLink | None = None

    # -- life

    def __enter__(self) -> Guest:
        try:
            self.boot()
        except BaseException as error:
            self.kill()
            self._forget(type(error))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.power_off()
        else:
            self.kill()
        self._forget(kind)

    def _forget(self, kind: type[BaseException] | None) -> None:
        """Remove logs that nobody asked for, unless they tell what went wrong."""
        well = kind is None or issubclass(kind, (KeyboardInterrupt, SystemExit))
        if well and not self._keep_logs and not self.false_starts:
            shutil.rmtree(self.directory, ignore_errors=True)

    def boot(self) -> None:
        """Start, wait, log in; a boot that stands still under TCG is begun once more.

        A crash, an end of QEMU or a guest in trouble is what it is, and is not tried again.
        """
        for number in range(1, stall.TRIES + 1):
            try:
                self._launch()
                self._wait_ready()
                self._connect()
            except BootStalled as error:
                if not self._may_start_falsely:
                    raise
                self._give_up(number, error)
            else:
                return

    @property
    def _may_start_falsely(self) -> bool:
        # KVM's vCPUs do not stall, counted ones stall the same way again, and a debugger's
        # guest stands still because it was told to. A kernel that complained was not stalled.
        return self.spec.accel.name == "tcg" and not self.spec.gdb and not self.events

    def _give_up(self, number: int, error: BootStalled) -> None:
        """Keep what tells why the boot stood still; raises ``error`` when it was the last try."""
        if self._monitor is not None:
            stall.write_state(self._monitor, self.directory / f"vcpus-stalled-{number}.txt")
        self.check()
        self.kill()
        if number == stall.TRIES:
            raise InfrastructureError(
                f"the guest hung at boot, {number} times in a row: {error.message}",
                excerpt=tail(self.log, 15), log=self.log,
            ) from error
        seconds = time.monotonic() - self._started
        self.false_starts.append(stall.set_aside(self.log, number, error, seconds))
        self._warn(stall.words(self.false_starts[-1]))

    def _launch(self) -> None:
        """Start QEMU; returns when its monitor answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        console, console_end = socket.socketpair()
        qmp, qmp_end = socket.socketpair()
        self._sockets = [console_end, qmp_end]
        self.argv = qemu.argv(
            self.spec,
            console=f"socket,id=console,fd={console_end.fileno()},logfile={self.log},logappend=off",
            qmp=f"socket,id=qmp,fd={qmp_end.fileno()}",
            gdb_socket=self.gdb_socket,
        )
        started = time.monotonic()
        self._started = started
        with (self.directory / "qemu.log").open("wb") as errors:
            self._process = subprocess.Popen(
                bound_to_us(self.argv), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                pass_fds=[console_end.fileno(), qmp_end.fileno()], start_new_session=True,
                env={**os.environ, "TMPDIR": tempfile.gettempdir()},
            )
        for end in self._sockets:
            end.close()
        # These imports take half a second, which the guest boots through.
        from harness.machine.console import Console  # noqa: PLC0415
        from harness.machine.qmp import Monitor  # noqa: PLC0415

        self._console = Console(console, self.log)
        _ = self.link
        self._monitor = Monitor(qmp)
        try:
            self._monitor.connect(20.0)
            self.ssh_port = self._monitor.ssh_port()
        except InfrastructureError as error:
            raise InfrastructureError(
                "QEMU did not start", excerpt=tail(self.directory / "qemu.log", 5) or error.message,
                log=self.directory / "qemu.log",
            ) from error

    @property
    def gdb_socket(self) -> Path:
        """The unix socket of QEMU's gdb stub, where ``gdb=True``."""
        return self.directory / "gdb.sock"

    def _wait_ready(self) -> None:
        """Wait until the guest's init says on the console that sshd listens."""
        deadline = Deadline(self._boot_seconds or self.scaled(BOOT_SECONDS))
        quiet = deadline.seconds * (math.inf if self.spec.gdb else stall.QUIET_SHARE)
        line = self.console.wait_for(READY, deadline, "get ready", quiet)
        if "failed" in line:
            raise InfrastructureError(f"the guest's init {line.split(': ', 1)[1]}", log=self.log)
        if self.spec.accel.name == "tcg" and (doubt := self.console.said(WRONG_CLOCK)):
            raise BootStalled(f"the guest's clock is wrong: {doubt.strip()}", log=self.log)
        self.seconds_to_ready = time.monotonic() - self._started

    def _connect(self) -> None:
        """Log in over SSH."""
        from harness.machine.ssh import Door  # noqa: PLC0415

        self.link.connect(
            Door(self.ssh_port, self._key, self._host_key), Deadline(self.scaled(COMMAND_SECONDS))
        )

    def wait_end(self) -> None:
        """Wait, for as long as it takes, until QEMU ends: somebody else has the guest now."""
        if self._process is not None:
            self._process.wait()

    def power_off(self) -> None:
        """End the guest in good order: its processes first, so that leaks show on the console."""
        if self._process is None:
            return
        with contextlib.suppress(HarnessError):
            self.start("kill -USR1 1")  # nobody is left to answer
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(self.scaled(5.0))
        self.kill()

    def dump(self, path: Path) -> None:
        """Write its memory to a file; see :class:`harness.machine.session.Session`."""
        if self._monitor is None or self._process is None or self._process.poll() is not None:
            raise InfrastructureError("QEMU has ended already")
        self._monitor.dump(path, DUMP_SECONDS)

    def kill(self) -> None:
        """End QEMU now and release everything; safe to call twice."""
        if self._link is not None:
            self._link.close()
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        if self._console is not None:
            self._console.close()

    # -- use

    def scaled(self, seconds: float) -> float:
        """A KVM-and-production-kernel number of seconds stretched to this guest's speed."""
        return seconds * self._patience

    @property
    def console(self) -> Console:
        """The console; there from power-on on, readable after the end."""
        if self._console is None:
            raise InfrastructureError("the guest was not started")
        return self._console

    @property
    def accel(self) -> AccelName:
        """How its CPUs run."""
        return self.spec.accel.name

    @property
    def events(self) -> list[Event]:
        """What the kernel has complained of so far."""
        return self.console.events if self._console else []

    def check(self) -> None:
        """Raise when the kernel has crashed or QEMU is gone."""
        self.console.check()

    def run(
        self, command: str, *, seconds: float = COMMAND_SECONDS, deadline: Deadline | None = None,
        check: bool = True, data: bytes | None = None, on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Result:
        """Run a shell command to its end; see :class:`harness.machine.session.Session`."""
        return self.link.run(
            command, deadline or Deadline(self.scaled(seconds)), check=check, data=data,
            on_stdout=on_stdout, on_stderr=on_stderr,
        )

    def start(self, command: str, *, pty: bool = False) -> RemoteProcess:
        """Start a program and go on."""
        return self.link.start(command, pty=pty)

    @property
    def link(self) -> SshLink:
        """The SSH connection."""
        if self._link is None:
            from harness.machine.ssh import SshLink  # noqa: PLC0415

            self._link = SshLink(self.check)
        return self._link

    def push(self, local: Path, remote: str) -> None:
        """Copy a file into the guest."""
        self.link.push(local, remote, Deadline(self.scaled(COMMAND_SECONDS)))

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file out of the guest."""
        self.link.pull(remote, local, Deadline(self.scaled(COMMAND_SECONDS)))

    def shell(self) -> list[str]:
        """An `ssh` command that logs in as root."""
        known = self.directory / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.ssh_port} {self._host_key}\n")
        return [
            "ssh", "-p", str(self.ssh_port), "-i", str(self._key),
            "-o", f"UserKnownHostsFile={known}", "-o", "LogLevel=ERROR",
            "-o", "IdentitiesOnly=yes", "root@127.0.0.1",
        ]

    def pin(self, cpus: list[int]) -> list[int]:
        """Bind vCPU threads to host CPUs, one each; returns the CPUs that a thread is bound to."""
        if self._monitor is None:
            return []
        bound = []
        # Under instruction counting one thread runs all vCPUs.
        threads = dict.fromkeys(self._monitor.vcpu_threads())
        for thread, cpu in zip(threads, cpus, strict=False):
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, {cpu})
                bound.append(cpu)
        return bound
