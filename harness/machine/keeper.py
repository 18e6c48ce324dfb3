"""A real computer that boots kernels: its lease, its own kernel, and the way back to it.

It is *at home* when its own kernel answers on SSH. Every boot of ours starts from there and ends
there. One of our kernels tells itself by a word of its command line, so that whoever comes next
knows a computer that was left in the middle, and brings it home first.

How it is brought home: by a reboot, then by a reboot without ceremony, then by switching it off and
on; its health says how far that went. A kernel that died is not waited for: it is switched off
and on at once where there is a switch, and else the words ``panic=`` of its command line, the
watcher beside the lease (see lease.py) and the hardware's watchdog do it.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.core.deadline import Deadline
from harness.core.errors import HarnessError, InfrastructureError, UserError
from harness.core.workspace import Workspace
from harness.machine import lease
from harness.machine.journal import HostJournal
from harness.machine.power import Power
from harness.machine.session import Process, Result, Sink
from harness.project.machine_tables import HostTable

MARK = "pte_harness"
"""``pte_harness=KEY`` on the command line of a kernel of ours."""
ANSWER_S = 15.0
"""How long a computer that is up may take to let us in and to answer."""
TOLD_S = 5.0
"""How long it may take to say that it will do what ends the connection."""
POLL_S = 1.0
GROWTH = 1.5
KEEP_SHARE = 1 / 4
"""The lease is renewed whenever so much of it has gone by."""
ASK = "cat /proc/sys/kernel/random/boot_id; uname -r; cat /proc/version /proc/cmdline"
PSTORE = (
    "for f in $(find /sys/fs/pstore /var/lib/systemd/pstore -type f 2> /dev/null | sort); do "
    'echo "== $f"; cat "$f"; echo; done'
)
PLACED = f"{lease.STATE}/placed"
"""A file on the computer with the paths that were put there, one a line."""
CLEAN = f"""[ -s {PLACED} ] || exit 0
while read -r path; do case $path in
    {lease.STATE}/*|/lib/modules/*-????????????????) rm -rf "$path";;
    /boot/config-*-????????????????|/boot/*pte-harness*) rm -f "$path";;
esac; done < {PLACED}
if [ -e /boot/grub/custom.cfg ] && grep -q {MARK} /boot/grub/custom.cfg; then
    rm -f /boot/grub/custom.cfg; grub-editenv - unset next_entry
fi
rmdir {lease.STATE}/boot 2> /dev/null; rm -f {PLACED}; sync"""


class Wire(Protocol):
    """A way to the computer: SSH, or what stands for it in a test."""

    def log_in(self, deadline: Deadline) -> None:
        """Raises :class:`BootStalled` when nobody answers, :class:`InfrastructureError` when
        somebody does and does not let us in, :class:`UserError` for missing keys."""
        ...

    def run(
        self, command: str, deadline: Deadline, *, check: bool = True, data: bytes | None = None,
        on_stdout: Sink | None = None, on_stderr: Sink | None = None,
    ) -> Result:
        """Run a shell command as root; see :class:`harness.machine.session.Session`."""
        ...

    def start(self, command: str, *, pty: bool = False) -> Process:
        """Start a shell command as root."""
        ...

    def push(self, local: Path, remote: str, deadline: Deadline) -> None:
        """Copy a file there."""
        ...

    def pull(self, remote: str, local: Path, deadline: Deadline) -> None:
        """Copy a file from there."""
        ...

    def shell(self) -> list[str]:
        """A command that opens a shell for a person."""
        ...

    def close(self) -> None:
        """Drop it."""
        ...


Dial = Callable[[Callable[[], None], Callable[[], None]], Wire]
"""Makes a wire out of what is to be asked while one waits (the console's check), and of what may
know why a connection was lost."""


@dataclass(frozen=True)
class Running:
    """What answers on a computer."""

    boot: str
    """The kernel's id of this boot."""
    release: str
    version: str
    cmdline: str

    @property
    def ours(self) -> str:
        """The key of the build, where it is a kernel of ours; else empty."""
        words = [word for word in self.cmdline.split() if word.startswith(f"{MARK}=")]
        return words[-1].partition("=")[2] if words else ""

    @staticmethod
    def parse(text: str) -> Running:
        """What :data:`ASK` prints; raises :class:`InfrastructureError` for anything else."""
        lines = text.splitlines()
        if len(lines) < 4:
            raise InfrastructureError(f"it says '{text[:80]}' of its kernel")
        return Running(*(line.strip() for line in lines[:4]))


class HostKeeper:
    """One computer: takes the lease, keeps it, brings the computer home, gives it back.

    ``warn`` and ``say`` are told in one line what a person should know.
    """

    def __init__(
        self, name: str, table: HostTable, workspace: Workspace, dial: Dial, *,
        power: Power | None, warn: Callable[[str], None], say: Callable[[str], None],
    ) -> None:
        self.name, self.table, self.power = name, table, power
        self.journal = HostJournal(workspace, name)
        self.warn, self.say = warn, say
        self.trouble = ""
        """Why the computer is no longer ours, if it is not."""
        self._workspace, self._dial = workspace, dial
        self._wire: Wire | None = None
        self._held = 0
        self._left = threading.Event()
        self._last_error = ""
        self._lock = threading.RLock()  # the lease is kept by a thread of its own

    # -- the lease

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Have the computer for ourselves, at home at the beginning and at the end.

        May be entered again inside. Raises :class:`UserError` at once when somebody else has it.
        """
        if self._held:
            self._held += 1
            try:
                yield
            finally:
                self._held -= 1
            return
        with self._workspace.sole(f"machine-{self.name}", f"{self.name} is used"):
            self._take()
            self._held = 1
            self._left.clear()
            keeper = threading.Thread(target=self._keep, name="lease", daemon=True)
            keeper.start()
            ended_well = False
            try:
                self.home()
                yield
                ended_well = True
            finally:
                self._held = 0
                self._left.set()
                keeper.join(timeout=5.0)
                self._give_back(quietly=not ended_well)

    def _take(self) -> None:
        """Take the lease; one that we held when we were killed is ours still."""
        self._check_not_given_up()
        before = self.journal.health.token
        if before and (doing := self.journal.at_use):
            self.say(f"a harness was killed while it used {self.name} ({doing}); going on there")
        token = before or secrets.token_hex(8)
        self.journal.set_token(token)  # first: whoever comes next must know it for ours
        self.journal.attempt("lease")
        if self.ask(ANSWER_S) is None:
            self._rescue(before)
        found = lease.parse(self.run(lease.take(token, lease.owner(), self._lease_seconds)).stdout)
        if found is None or found.token != token:
            self.journal.set_token("")
            who = found.words if found else "nobody knows whom"
            raise UserError(
                f"{self.name} is leased to {who}",
                hint="wait, or ask them; a lease whose owner is gone ends by itself",
            )

    def _check_not_given_up(self) -> None:
        if self.journal.health.state == "given up":
            raise InfrastructureError(
                f"{self.name} was given up: {self.journal.health.reason}",
                hint=f"look at it; `harness machines {self.name} --reset` tries again",
            )

    def _rescue(self, token: str) -> None:
        """A computer that does not answer: wait for it, or bring it home if it was ours."""
        if token and self.journal.token_age < self._lease_seconds:
            self.home()
            return
        self.say(f"{self.name} does not answer; waiting {self.table.home_seconds:.0f} s for it")
        if self._await(lambda now: True, self.table.home_seconds) is None:
            self.journal.set_token("")
            raise InfrastructureError(
                f"{self.name} does not answer on SSH: {self._last_error}",
                hint=f"`harness machines {self.name} --reset` switches it off and on; somebody "
                "else may be using it",
            )

    def renew(self) -> None:
        """Make the lease longer; raises :class:`InfrastructureError` when it is not ours."""
        token = self.journal.health.token
        text = self.run(lease.renew(token, lease.owner(), self._lease_seconds)).stdout
        found = lease.parse(text)
        if found is None or found.token != token:
            who = found.owner if found else "nobody"
            self.trouble = f"the lease of {self.name} ran out, and {who} has it now"
            raise InfrastructureError(self.trouble, hint="make `lease_minutes` longer")
        self.journal.set_token(token)

    def _keep(self) -> None:
        while not self._left.wait(self._lease_seconds * KEEP_SHARE):
            # While it boots nobody answers; a lease is longer than that.
            with contextlib.suppress(HarnessError):
                if self._wire is not None:
                    self.renew()

    def _give_back(self, *, quietly: bool) -> None:
        """Home, clean, free. ``quietly``: an error is on its way already, and is the cause."""
        try:
            if not self.trouble:
                self.home()
                self.journal.attempt("release")
                self.run(CLEAN)
                self.run(lease.release(self.journal.health.token))
            self.journal.set_token("")
        except HarnessError as error:
            if not quietly:
                raise
            self.warn(f"{self.name} was not given back: {error.line()}")
        finally:
            self._drop()

    @property
    def _lease_seconds(self) -> float:
        return 60.0 * self.table.lease_minutes

    # -- home

    def home(self, *, dead: bool = False) -> Running:
        """Its own kernel, once it answers. ``dead``: what runs now will not do anything any more.

        Raises :class:`InfrastructureError` when it does not come back; it is given up then, until
        somebody has looked at it.
        """
        self._check_not_given_up()
        if not dead:
            now = self.ask(ANSWER_S)
            if now is None:
                # It may be on its way to a kernel of ours, and nobody has told that one to go:
                # whoever killed its user did so between two kernels.
                now = self._await(lambda _: True, self.table.home_seconds)
                if now is None:
                    self._miss("missed one")
            if now is not None and not now.ours:
                return self._is_home(now)
            for missed, how in (("missed one", _REBOOT), ("missed two", _REBOOT_NOW)):
                if now is None:
                    break  # nobody is there to be told
                self.journal.attempt("return", now.release)
                self.tell(how)
                if found := self._await(lambda one: not one.ours, self.table.home_seconds):
                    return self._is_home(found)
                self._miss("missed one" if missed == "missed one" else "missed two")
                now = self.ask(ANSWER_S)
                if now is not None and not now.ours:
                    return self._is_home(now)  # late, but there
        elif self._wire is not None:
            # Some come back by themselves while their last words are read.
            now = self.ask(ANSWER_S)
            if now is not None and not now.ours:
                return self._is_home(now)
        return self._by_force()

    def _by_force(self) -> Running:
        """Switch it off and on; without a switch wait for its watchdogs."""
        if self.power is not None:
            self.cycle()
        else:
            self.journal.attempt("home", "nothing switches it off: waiting for its watchdogs")
        found = self._await(lambda one: not one.ours, self.table.home_seconds)
        if found is None:
            why = f"its own kernel did not answer {self.table.home_seconds:.0f} s after " + (
                "it was switched off and on" if self.power else "its kernel died, and it has no "
                "`power` to be switched off and on by"
            )
            self.journal.set_state("given up", why)
            raise InfrastructureError(
                f"{self.name} is given up: {why} ({self._last_error or 'no answer'})",
                hint=f"look at it; `harness machines {self.name} --reset` tries again",
            )
        return self._is_home(found)

    def cycle(self) -> None:
        """Switch it off and on; raises :class:`InfrastructureError` when the switch fails."""
        self.journal.attempt("power-cycle")
        self.say(f"switching {self.name} off and on")
        assert self.power is not None
        self.power.cycle()
        self.journal.set_state("cycled", "it did not answer, or its kernel had died")
        self._drop()

    def _miss(self, state: str) -> None:
        why = f"its own kernel did not answer within {self.table.home_seconds:.0f} s"
        self.journal.set_state("missed one" if state == "missed one" else "missed two", why)
        self.warn(f"{self.name}: {why}")

    def _is_home(self, running: Running) -> Running:
        health = self.journal.health
        if health.state != "healthy":
            self.say(f"{self.name} is back under {running.release}")
            self.journal.set_state("healthy")
        self.journal.set_uname(running.release)
        return running

    def tell(self, command: str) -> None:
        """Have a command run that ends the connection."""
        with contextlib.suppress(HarnessError):
            # On a slow computer the kernel may be gone before the answer has come.
            self.run(f"(sleep 2; {command}) < /dev/null > /dev/null 2>&1 &", seconds=TOLD_S)
        self._drop()

    # -- asking

    def ask(self, seconds: float, *, stretched: bool = False) -> Running | None:
        """What runs on it now; None when nobody answers so soon.

        ``stretched``: the seconds are this computer's already.
        """
        deadline = Deadline(seconds * (1.0 if stretched else self.table.patience))
        with self._lock:
            self._drop()
            wire = self._dial(lambda: None, lambda: None)
            try:
                wire.log_in(deadline)
                found = Running.parse(wire.run(ASK, deadline).stdout)
            except InfrastructureError as error:
                self._last_error = error.message
                wire.close()
                return None
            self._wire = wire
            return found

    def _await(self, wanted: Callable[[Running], bool], seconds: float) -> Running | None:
        """What runs on it, as soon as it is what is wanted; None after so long."""
        deadline = Deadline(seconds)
        for patience in self.attempts():
            found = self.ask(min(patience, max(1.0, deadline.remaining())), stretched=True)
            if found is not None and wanted(found):
                return found
            if deadline.expired:
                break
            time.sleep(deadline.slice(POLL_S))
        return None

    def attempts(self) -> Iterator[float]:
        """How long each of several tries to log in may take.

        The first are short: a connection that was begun as one kernel went and the next one came
        is never answered. A slow computer needs the longer ones.
        """
        most = ANSWER_S * max(1.0, self.table.patience)
        seconds = ANSWER_S
        while True:
            yield seconds
            seconds = min(most, seconds * GROWTH)

    def run(self, command: str, seconds: float = 60.0) -> Result:
        """A command on it, over the connection that there is, or a new one."""
        with self._lock:
            if self._wire is None and self.ask(ANSWER_S) is None:
                raise InfrastructureError(f"{self.name} does not answer: {self._last_error}")
            assert self._wire is not None
            return self._wire.run(command, Deadline(seconds * self.table.patience))

    def push(self, local: Path, remote: str) -> None:
        """A file to it; it is removed when the computer is given back."""
        assert self._wire is not None
        self.place(remote)
        self._wire.push(local, remote, Deadline(600.0 * self.table.patience))

    def place(self, path: str) -> None:
        """Note on the computer that ``path`` is ours and goes when we do."""
        self.run(f"mkdir -p {lease.STATE}; echo '{path}' >> {PLACED}; sync {PLACED}")

    def last_words(self) -> str:
        """What the firmware or memory kept of kernels that died: pstore."""
        with contextlib.suppress(HarnessError):
            return self.run(PSTORE).stdout
        return ""

    @property
    def last_error(self) -> str:
        """Why it did not answer when it was asked last."""
        return self._last_error

    def close(self) -> None:
        """Drop the connection; the next question makes another."""
        self._drop()

    def use(self, wire: Wire) -> None:
        """The connection that a session has made is ours, too: the lease is kept over it."""
        self._drop()
        self._wire = wire

    def dial(self, check: Callable[[], None], lost: Callable[[], None]) -> Wire:
        """A wire that is not connected yet."""
        return self._dial(check, lost)

    def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()


# Debian's kexec-tools make a reboot a kexec: as kexec-load.service stops on the way down, it loads
# the distribution's kernel with the command line of the kernel that runs, our mark included. It
# does nothing when it is stopped before.
_REBOOT = "systemctl stop kexec-load.service; kexec -u; systemctl reboot || reboot"
_REBOOT_NOW = "sync; reboot -f || echo b > /proc/sysrq-trigger"
