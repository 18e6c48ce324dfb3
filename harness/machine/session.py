"""What every machine offers, whether QEMU runs it or it stands in a rack.

A :class:`Machine` boots kernels; each boot is a :class:`Session`, through which programs run,
files go in and out, and the kernel's complaints come. Whoever measures or tests takes these two
and never asks what stands behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from harness.core.deadline import Deadline
from harness.records.events import Event, FalseStart
from harness.records.machines import Hardware
from harness.records.record import AccelName

COMMAND_SECONDS = 30.0
"""How long a command may take where nobody says; under KVM with a production kernel."""
Sink = Callable[[bytes], object]


@dataclass(frozen=True)
class Result:
    """How a command ended; both streams as text."""

    code: int
    stdout: str
    stderr: str


class Process(Protocol):
    """A program that runs on a machine: its output line by line, its input, its exit code.

    Every wait raises :class:`TooSlow` when its deadline passes, :class:`GuestCrash` when the
    kernel dies, and :class:`InfrastructureError` when the connection is lost.
    """

    command: str

    @property
    def stderr(self) -> str:
        """What :meth:`line` has met on standard error so far."""
        ...

    def write(self, data: bytes) -> None:
        """Send to its standard input."""
        ...

    def close_input(self) -> None:
        """End its standard input."""
        ...

    def chunks(self, deadline: Deadline) -> Iterator[tuple[bytes, bytes]]:
        """Pairs of bytes (standard output, standard error) as they come, until it ends."""
        ...

    def line(self, deadline: Deadline) -> str | None:
        """The next line of standard output without its end, or None at the end."""
        ...

    def wait(self, deadline: Deadline) -> int:
        """The exit code; -1 when the connection closed without one."""
        ...


class Session(Protocol):
    """One boot of one kernel on one machine. Use it as a context manager.

    Entering boots and waits until commands can be run; leaving powers off. Whatever happens
    inside, nothing is left running behind the block.
    """

    machine: str
    """The machine's name in records."""
    title: str
    """For a person: ``before 6.1.192 under TCG``."""
    directory: Path
    """Where its logs are."""
    log: Path
    """Everything its console said."""
    argv: list[str]
    """The command that started it, for emulated machines."""
    seconds_to_ready: float | None
    """From power-on until commands could be run; None before."""
    false_starts: list[FalseStart]
    """Boots that stood still and were begun again before this one; ``console`` is absolute."""
    hardware: Hardware
    """Of a real computer what decides its speed beside the kernel; empty for emulated ones."""

    @property
    def accel(self) -> AccelName:
        """How its CPUs run."""
        ...

    @property
    def events(self) -> list[Event]:
        """What the kernel has complained of so far; readable after the end, too."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def boot(self) -> None:
        """Start, and wait until commands can be run. Entering the block does it.

        Raises :class:`GuestCrash` when the kernel dies on the way and
        :class:`InfrastructureError` when it does not come up for another reason.
        """
        ...

    def power_off(self) -> None:
        """End it in good order, its processes first, so that leaks show on the console."""
        ...

    def wait_end(self) -> None:
        """Wait, for as long as it takes, until it ends by itself: somebody else uses it now."""
        ...

    def dump(self, path: Path) -> None:
        """Write its memory to a file; it is stopped for good, and is only to be ended behind it.

        Raises :class:`InfrastructureError` for a machine that is gone, and for a real one: its
        own crash kernel does it.
        """
        ...

    def kill(self) -> None:
        """End it now and release everything; safe to call twice."""
        ...

    def scaled(self, seconds: float) -> float:
        """Seconds on a fast machine with a production kernel, stretched to this one's speed."""
        ...

    def check(self) -> None:
        """Raise :class:`GuestCrash` when the kernel has crashed, else return at once."""
        ...

    def run(
        self, command: str, *, seconds: float = COMMAND_SECONDS, deadline: Deadline | None = None,
        check: bool = True, data: bytes | None = None, on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Result:
        """Run a shell command to its end; ``data`` is its standard input.

        It may take ``seconds`` (see :meth:`scaled`), or as long as ``deadline`` says where one is
        given. ``on_stdout`` and ``on_stderr`` see output as it comes. Raises
        :class:`InfrastructureError` with its last words when ``check`` is set and it fails.
        """
        ...

    def start(self, command: str, *, pty: bool = False) -> Process:
        """Start a shell command and go on."""
        ...

    def push(self, local: Path, remote: str) -> None:
        """Copy a file onto the machine, with its mode; folders are made."""
        ...

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from the machine."""
        ...

    def pin(self, cpus: list[int]) -> list[int]:
        """Bind its virtual CPUs to CPUs of this host, one each; returns those that were bound.

        A real machine has none to bind.
        """
        ...

    def shell(self) -> list[str]:
        """A command of this host that opens a shell on it for a person."""
        ...


@dataclass(frozen=True)
class BootOrder:
    """One boot that is asked of a machine."""

    kernel: Path
    """The bzImage."""
    directory: Path
    """Where its logs go."""
    title: str = "a kernel"
    """What is booted, for a person."""
    accel: str = "auto"
    """auto, kvm, tcg, icount, native."""
    smp: int = 1
    """CPUs; 0: all that a real computer has."""
    memory: str = "2G"
    """Empty: all that a real computer has."""
    cmdline: str = ""
    """Appended to what the machine needs itself."""
    disks: tuple[Path, ...] = field(default_factory=tuple)
    """Read-only images of file systems; an emulated machine sees them as /dev/vdb and on."""
    gdb: bool = False
    """Wait for a debugger before the first instruction."""
    plugin: tuple[str, ...] = ()
    """QEMU's words that load a plugin, which watches and changes nothing."""
    ssh_port: int = 0
    """On 127.0.0.1 of this host, for emulated machines; 0: any free one."""
    boot_seconds: float | None = None
    """How long it may take to get ready; None: by accel and kernel."""
    slowness: float = 1.0
    """Stretches every deadline: debug kernels, neighbours on the same host."""
    keep_logs: bool = True
    """False: the directory goes when the boot ends well."""
    release: str = ""
    """What ``uname -r`` must say."""
    key: str = ""
    """Of the build, which /proc/version must hold."""
    modules: Path | None = None
    """A tar file of lib/modules/RELEASE, for machines that load any."""
    config: Path | None = None
    """The kernel's configuration, for machines that make an initramfs of their own."""


class Machine(Protocol):
    """Something that boots kernels: an emulated guest, a real computer."""

    @property
    def name(self) -> str:
        """In records and on the command line."""
        ...

    def boot(self, order: BootOrder) -> Session:
        """A session that is not started yet; entering it boots.

        Raises :class:`UserError` for an order that this machine cannot fulfil.
        """
        ...
