"""One boot of one kernel on a real computer: a :class:`harness.machine.session.Session`."""

from __future__ import annotations

import contextlib
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from harness.core import digest
from harness.core.deadline import Deadline
from harness.core.errors import BootStalled, GuestCrash, HarnessError, InfrastructureError
from harness.core.proc import tail
from harness.machine import lease, tuning
from harness.machine.host_console import HostConsole
from harness.machine.keeper import ANSWER_S, ASK, MARK, HostKeeper, Running, Wire
from harness.machine.oops import Collector
from harness.machine.session import COMMAND_SECONDS, BootOrder, Process, Result, Sink
from harness.machine.starting import GrubOnce, Kexec, Placed, Starter
from harness.records.events import Event, FalseStart
from harness.records.machines import Hardware
from harness.records.record import AccelName

PANIC_S = 10
"""Seconds after which a kernel of ours that has panicked reboots the computer by itself."""
KNOCK_S = 0.2
"""Between two tries to log in to a kernel that boots."""


class HostSession:
    """See :class:`harness.machine.session.Session`; ``keeper`` is the computer.

    Entering raises :class:`GuestCrash` when the kernel dies on the way, and
    :class:`InfrastructureError` when the computer does not come up or runs another kernel than
    the one that was built. However the block ends, the computer is at home behind it.
    """

    def __init__(self, keeper: HostKeeper, order: BootOrder) -> None:
        self.keeper, self.order = keeper, order
        self.machine = keeper.name
        self.title = f"{order.title} on {keeper.name}"
        self.directory = order.directory
        self.log = order.directory / "console.log"
        self.argv: list[str] = []
        self.seconds_to_ready: float | None = None
        self.false_starts: list[FalseStart] = []
        self.hardware = Hardware()
        self._console: HostConsole | None = None
        self._wire: Wire | None = None
        self._stack = ExitStack()
        self._away = False
        self._ended = False
        self._dead = False
        self._late: list[Event] = []
        self._words_before = ""

    @property
    def accel(self) -> AccelName:
        """Its own CPUs."""
        return "native"

    # -- life

    def __enter__(self) -> HostSession:
        try:
            self.boot()
        except BaseException:
            self.kill()
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
        well = kind is None or issubclass(kind, (KeyboardInterrupt, SystemExit))
        if well and not self.order.keep_logs:
            shutil.rmtree(self.directory, ignore_errors=True)

    def boot(self) -> None:
        """From the computer's own kernel into the one that was ordered, and proof of it."""
        table, order = self.keeper.table, self.order
        self.directory.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(self.keeper.hold())
        self._console = HostConsole(
            table.console, self.log, self.keeper.name, self.keeper.warn
        )
        own = self.keeper.home()
        self._words_before = self.keeper.last_words()
        self.keeper.journal.attempt("push", f"{order.release} {order.key}")
        placed = self._push()
        starter = self._load(placed)
        self.keeper.renew()
        self.keeper.journal.attempt("start", order.release)
        began = time.monotonic()
        self._away = True
        self._console.begin()
        starter.go()
        wire = self._arrive(own, Deadline(self.order.boot_seconds or self._scaled_boot()))
        self.seconds_to_ready = time.monotonic() - began
        self._prove(wire)
        self._settle()

    def _scaled_boot(self) -> float:
        return self.keeper.table.boot_seconds * self.order.slowness

    def _push(self) -> Placed:
        """The build onto the computer, whole: its digest is asked for there."""
        order, keeper = self.order, self.keeper
        folder = f"{lease.STATE}/boot/{order.key or 'kernel'}"
        image = f"{folder}/bzImage"
        keeper.place(folder)
        wanted = digest.of_file(order.kernel)
        if self._digest(image) != wanted:
            keeper.push(order.kernel, image)
            if (there := self._digest(image)) != wanted:
                raise InfrastructureError(
                    f"the kernel did not arrive whole on {keeper.name}: {there[:12] or 'nothing'} "
                    f"is there, {wanted[:12]} was sent", hint="is its disk full?",
                )
        if order.modules is not None:
            keeper.place(f"/lib/modules/{order.release}")
            keeper.push(order.modules, f"{folder}/modules.tar.gz")
            # Into /lib/modules and no higher: where /lib is a link to /usr/lib, tar would put a
            # directory of its own in its place, and no program would find its libraries any more.
            keeper.run(
                f"tar -C /lib/modules --strip-components=2 -xzf {folder}/modules.tar.gz",
                seconds=300.0,
            )
        return Placed(image, self._make_initrd(folder))

    def _make_initrd(self, folder: str) -> str:
        """Its path on the computer; empty where the kernel needs none."""
        kind, release = self.keeper.table.initrd, self.order.release
        if kind == "none":
            return ""
        path = f"{folder}/initrd.img"
        if kind == "dracut":
            self.keeper.run(f"dracut --force {path} {release}", seconds=600.0)
        else:
            if self.order.config is not None:  # it wants to know which compression there is
                self.keeper.push(self.order.config, f"/boot/config-{release}")
            self.keeper.run(f"mkinitramfs -o {path} {release}", seconds=600.0)
        return path

    def _digest(self, path: str) -> str:
        words = self.keeper.run(f"sha256sum {path} 2> /dev/null || true", seconds=120.0)
        return words.stdout.partition(" ")[0]

    def _load(self, placed: Placed) -> Starter:
        """Have the kernel ready to be started; kexec that refuses is replaced by the boot loader.

        Firmware that insists on signatures has kexec refuse what is not signed.
        """
        self.keeper.journal.attempt("load", self.order.release)
        words = self._cmdline()
        if self.keeper.table.start == "grub-reboot":
            grub = GrubOnce(self.keeper)
            grub.load(placed, words)
            return grub
        kexec = Kexec(self.keeper)
        try:
            kexec.load(placed, words)
        except InfrastructureError as error:
            grub = GrubOnce(self.keeper)
            if not grub.works():
                raise InfrastructureError(
                    f"{self.keeper.name} does not take the kernel by kexec: {error.message}",
                    excerpt=error.excerpt,
                    hint="is kexec-tools installed, and Secure Boot off?",
                ) from error
            self.keeper.warn(f"kexec refuses ({error.message}); starting by the boot loader, once")
            grub.load(placed, words)
            return grub
        return kexec

    def _cmdline(self) -> str:
        """What is appended to the computer's own command line."""
        order = self.order
        words = [f"{MARK}={order.key or 'kernel'}", f"panic={PANIC_S}", self.keeper.table.cmdline]
        if order.smp:
            words.append(f"nr_cpus={order.smp}")
        if order.memory:
            words.append(f"mem={order.memory}")
        return " ".join(word for word in (*words, order.cmdline) if word)

    def _arrive(self, own: Running, deadline: Deadline) -> Wire:
        """The connection to the new kernel, once it is not the old boot that answers.

        Raises :class:`GuestCrash` as soon as the console announces one, and :class:`BootStalled`
        when time passes or the console falls silent.
        """
        for patience in self.keeper.attempts():
            wire = self.keeper.dial(self.check, self._on_loss)
            # Whoever refuses us may be the kernel that goes, or an sshd that has just begun.
            with contextlib.suppress(InfrastructureError):
                wire.log_in(Deadline(min(patience, max(1.0, deadline.remaining()))))
                now = Running.parse(wire.run(ASK, self._deadline(ANSWER_S)).stdout)
                if now.boot != own.boot:
                    self._wire = wire  # from now on a loss is one
                    self.keeper.use(wire)
                    return wire
            wire.close()
            self.check()
            quiet = self.keeper.table.quiet_seconds * self.order.slowness
            silent = self.console.speaks and self.console.silence > quiet
            if deadline.expired or silent:
                self._dead = True
                why = f"its console was silent for {self.console.silence:.0f} s" if silent else (
                    f"it did not answer on SSH within {deadline.seconds:.0f} s")
                self._explain_loss()
                raise BootStalled(
                    f"{self.keeper.name} did not come up with {self.order.release}: {why}",
                    excerpt=tail(self.log, 15), log=self.log,
                )
            time.sleep(KNOCK_S)
        raise AssertionError("there is always another attempt")

    def _prove(self, wire: Wire) -> None:
        """That the kernel which runs is the one that was built.

        By its release, which ends with the build's key, and by /proc/version, which holds the key
        as the name of the computer that it was built on.
        """
        order = self.order
        self.keeper.journal.attempt("prove", order.release)
        now = Running.parse(wire.run(ASK, self._deadline(COMMAND_SECONDS)).stdout)
        if now.release != order.release or (order.key and order.key not in now.version):
            built = f"{order.release} ({order.key})" if order.key else order.release
            raise InfrastructureError(
                f"{self.keeper.name} runs {now.release}, not {built}, which was built for it",
                excerpt=now.version,
                hint="it was not started: see its console" if not now.ours else "",
                log=self.log,
            )

    def _settle(self) -> None:
        """The watcher beside the lease, a place for programs that goes with the kernel, clocks."""
        keeper = self.keeper
        self.run(lease.watcher(keeper.journal.health.token, keeper.table.watchdog))
        self.run("mkdir -p /opt/harness && mount -t tmpfs harness /opt/harness")
        if not keeper.table.console:
            self.console.follow(self.start("exec dmesg --follow 2> /dev/null"))
        self.keeper.journal.attempt("tune")
        self.hardware = tuning.tune(self._ask, keeper.table.tuning)
        self.keeper.journal.attempt("use", self.order.release)

    def _ask(self, command: str) -> str:
        return self.run(command).stdout

    def wait_end(self) -> None:
        """Wait until the computer no longer answers: somebody else has it now."""
        with contextlib.suppress(HarnessError):
            while True:
                self.run("true", seconds=ANSWER_S)
                time.sleep(5.0)

    def dump(self, path: Path) -> None:
        """Nobody can from outside; docs/hosts.md says how its own crash kernel does."""
        raise InfrastructureError(
            f"{self.machine} is a real computer, whose memory only its own crash kernel can dump"
        )

    def power_off(self) -> None:
        """Put the clocks back and send it home; returns when its own kernel answers.

        Raises :class:`InfrastructureError` when it does not come back.
        """
        if self._ended or not self._away:
            self._end()
            return
        with contextlib.suppress(HarnessError):
            tuning.put_back(self._ask, self.hardware.changed)
        self.console.end_with_next()
        self._end()

    def kill(self) -> None:
        """Bring it home, by force if need be, and give back what is held; safe to call twice.

        A computer that does not come back is no error here, where another one is often on its
        way: it is said, and whoever wants the computer next meets it.
        """
        try:
            self._end()
        except HarnessError as error:
            self.keeper.warn(error.line())

    def _end(self) -> None:
        """The same; raises :class:`InfrastructureError` when the computer does not come back."""
        if self._ended:
            return
        self._ended = True
        try:
            if self._away:
                self.console.end_with_next()
                self.keeper.home(dead=self._is_dead())
        finally:
            if self._wire is not None:
                self._wire.close()
            if self._console is not None:
                self._console.close()
            self._stack.close()

    def _is_dead(self) -> bool:
        """Whether the kernel will not do as it is told: it has crashed, or does not answer."""
        if self._dead or self.console.crashed:
            return True
        now = self.keeper.ask(ANSWER_S)
        return now is None

    # -- use

    def scaled(self, seconds: float) -> float:
        """Stretched to this computer's speed and this kernel's."""
        return seconds * self.keeper.table.patience * self.order.slowness

    def _deadline(self, seconds: float) -> Deadline:
        return Deadline(self.scaled(seconds))

    @property
    def console(self) -> HostConsole:
        """There from the boot on, readable after the end."""
        if self._console is None:
            raise InfrastructureError(f"{self.keeper.name} was not started")
        return self._console

    @property
    def events(self) -> list[Event]:
        """What the kernel has complained of; what pstore kept of it stands last."""
        return [*(self._console.events if self._console else []), *self._late]

    def check(self) -> None:
        """Raise when the kernel has crashed, or the computer is no longer ours."""
        self.console.check()
        if self.keeper.trouble:
            raise InfrastructureError(self.keeper.trouble)

    def _on_loss(self) -> None:
        """The connection is gone: to be explained, unless it was to the kernel that we left."""
        if self._wire is not None:
            self._explain_loss()

    def _explain_loss(self) -> None:
        """The connection is gone, and no console says why: ask for the kernel's last words.

        They can be read only when the computer is at home again. Raises :class:`GuestCrash` when
        there are any.
        """
        if self.console.speaks or self._ended:
            return
        self._dead = True
        with contextlib.suppress(HarnessError):
            self.keeper.home(dead=True)
            self._away = False
            old = set(self._words_before.splitlines())
            collector = Collector()
            for line in self.keeper.last_words().splitlines():
                if line not in old:
                    collector.feed(line)
            self._late = collector.events
        fatal = next((event for event in self._late if event.fatal), None)
        if fatal is not None:
            raise GuestCrash(
                f"{self.keeper.name}'s kernel crashed: {fatal.title} (kept by pstore)",
                kind=fatal.kind, oops=fatal.text, log=self.log,
            )

    def run(
        self, command: str, *, seconds: float = COMMAND_SECONDS, deadline: Deadline | None = None,
        check: bool = True, data: bytes | None = None, on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Result:
        """Run a shell command to its end; see :class:`harness.machine.session.Session`."""
        return self._link.run(
            command, deadline or self._deadline(seconds), check=check, data=data,
            on_stdout=on_stdout, on_stderr=on_stderr,
        )

    def start(self, command: str, *, pty: bool = False) -> Process:
        """Start a program and go on."""
        return self._link.start(command, pty=pty)

    @property
    def _link(self) -> Wire:
        if self._wire is None:
            raise InfrastructureError(f"{self.keeper.name} was not started")
        return self._wire

    def push(self, local: Path, remote: str) -> None:
        """Copy a file onto it."""
        self._link.push(local, remote, self._deadline(COMMAND_SECONDS))

    def pull(self, remote: str, local: Path) -> None:
        """Copy a file from it."""
        self._link.pull(remote, local, self._deadline(COMMAND_SECONDS))

    def shell(self) -> list[str]:
        """An `ssh` command for a person."""
        return self._link.shell()

    def pin(self, cpus: list[int]) -> list[int]:
        """A real computer has no virtual CPUs to bind."""
        return []
