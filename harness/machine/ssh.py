"""A shell on a machine: commands, files and streams over one SSH connection (paramiko).

Every wait has a deadline and asks the console meanwhile, so that a panic ends it
at once with the oops instead of "connection lost".
"""

from __future__ import annotations

import base64
import contextlib
import logging
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import paramiko

from harness.core.deadline import Deadline
from harness.core.errors import BootStalled, InfrastructureError, TooSlow, UserError
from harness.machine.session import Result

# paramiko logs a traceback for each failed attempt; what matters is raised.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False

POLL_S = 0.25  # how often a silent wait looks at the console
CHUNK = 32768
WRITE_S = 120.0
START_S = 60.0
"""Until sshd has opened a channel, and until it has begun a program."""
_LOST = (paramiko.SSHException, EOFError, OSError)
LATE_OUTPUT_S = 3.0  # output that comes behind its program's exit status
BEATS = 4  # signs of life in the time that may pass without one
LOST_PATIENCE_S = 5.0  # a dead connection may precede its oops on the serial line


@dataclass(frozen=True)
class Door:
    """Where a machine's sshd is, who we are, and what it must prove to be."""

    port: int
    key: Path | None = None
    """Our private key; None: the agent's keys and those of ~/.ssh."""
    host_key: str = ""
    """Type and base64; empty: what ~/.ssh/known_hosts has of the address."""
    address: str = "127.0.0.1"
    user: str = "root"
    """Another one than root runs everything by ``sudo``, without a password."""
    proxy: str = ""
    """A command whose input and output are the connection; ``%h`` and ``%p`` are filled in."""
    silence: float = 0.0
    """Seconds without an answer of sshd's after which the connection is given up; 0: never."""

    def expected(self) -> paramiko.PKey:
        """The key that the machine must have; :class:`UserError` when nobody knows it."""
        if self.host_key:
            kind, blob = self.host_key.split()[:2]
            return paramiko.PKey.from_type_string(kind, base64.b64decode(blob))
        name = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        known = paramiko.HostKeys()
        with contextlib.suppress(OSError):
            known.load(str(Path("~/.ssh/known_hosts").expanduser()))
        keys = known.lookup(name)
        if not keys:
            raise UserError(
                f"the SSH host key of {name} is not known here",
                hint=f"log in once (`ssh -p {self.port} {self.user}@{self.address}`), or give "
                "`host_key` in harness.toml",
            )
        return keys.get("ssh-ed25519") or next(iter(keys.values()))

    def keys(self) -> list[paramiko.PKey]:
        """Our keys, in the order in which they are tried; :class:`UserError` when there is none."""
        if self.key is not None:
            try:
                return [paramiko.PKey.from_path(self.key)]
            except (OSError, ValueError, paramiko.SSHException) as error:
                raise UserError(f"cannot use the SSH key {self.key}: {error}") from error
        found: list[paramiko.PKey] = list(paramiko.Agent().get_keys())
        for name in ("id_ed25519", "id_ecdsa", "id_rsa"):
            path = Path("~/.ssh").expanduser() / name
            with contextlib.suppress(OSError, ValueError, paramiko.SSHException):
                found.append(paramiko.PKey.from_path(path))
        if not found:
            raise UserError(
                "there is no SSH key to log in with", hint="give `key` in harness.toml"
            )
        return found

    def open(self, seconds: float) -> socket.socket | paramiko.ProxyCommand:
        """A connection to its port."""
        if self.proxy:
            words = self.proxy.replace("%h", self.address).replace("%p", str(self.port))
            return paramiko.ProxyCommand(words)
        link = socket.create_connection((self.address, self.port), seconds)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return link

    def wrapped(self, command: str) -> str:
        """A command as it is sent: by sudo for another user than root."""
        return command if self.user == "root" else f"sudo -n sh -c {shlex.quote(command)}"


class Pulse(threading.Thread):
    """Asks sshd for a sign of life now and then, and gives a connection up that has none.

    Who waits for a program on it then meets a lost connection, instead of the program's deadline.
    """

    def __init__(self, transport: paramiko.Transport, silence: float) -> None:
        super().__init__(name="ssh pulse", daemon=True)
        self._transport, self._silence = transport, silence

    def run(self) -> None:
        """Until the connection is closed, by whomever."""
        while self._transport.is_active():
            end = threading.Timer(self._silence, self._transport.close)
            end.daemon = True
            end.start()
            with contextlib.suppress(*_LOST):
                # Nobody knows this request: sshd says so, which is an answer.
                self._transport.global_request("keepalive@pte-harness", wait=True)
            end.cancel()
            self._transport.join(self._silence / BEATS)  # ends with the connection


class RemoteProcess:
    """A program running on a machine: its output line by line, its input, its exit code."""

    def __init__(self, link: SshLink, command: str, *, pty: bool = False) -> None:
        self._link = link
        self.command = command
        self._out = bytearray()
        self._err = bytearray()
        self._late: Deadline | None = None
        self._channel = link.open_channel()
        if pty:
            self._channel.get_pty()
        # paramiko waits for sshd's word for ever; a kernel may be gone before it is said.
        end = threading.Timer(START_S, self._channel.close)
        end.daemon = True
        end.start()
        with link.explain(command):
            try:
                self._channel.exec_command(link.wrapped(command))
            finally:
                end.cancel()
        self._channel.settimeout(POLL_S)

    def write(self, data: bytes, deadline: Deadline | None = None) -> None:
        """Send to the program's standard input.

        Raises :class:`TooSlow` when it has not taken all of it by the deadline (two minutes).
        """
        deadline = deadline or Deadline(WRITE_S)
        rest = memoryview(data)
        while rest:
            with self._link.explain(self.command), contextlib.suppress(TimeoutError):
                rest = rest[self._channel.send(bytes(rest[:CHUNK])):]
                continue
            self._link.check()  # it takes nothing at the moment
            if deadline.expired:
                self._channel.close()
                raise TooSlow(
                    f"`{self.command[:60]}` did not take its input in {deadline.seconds:.0f} s"
                )

    def close_input(self) -> None:
        """End the program's standard input."""
        with contextlib.suppress(*_LOST):
            self._channel.shutdown_write()

    def poll(self) -> tuple[bytes, bytes]:
        """What has arrived on both streams; waits at most a quarter of a second for it."""
        out = b""
        with self._link.explain(self.command):
            with contextlib.suppress(TimeoutError):
                out = self._channel.recv(CHUNK)
            err = b""
            while self._channel.recv_stderr_ready():
                err += self._channel.recv_stderr(CHUNK)
        return out, err

    @property
    def ended(self) -> bool:
        """Whether the program has ended and all its output has been taken.

        An exit status alone does not say the latter: sshd sends it when the program
        ends, and on a busy machine what was printed comes behind it. Only when no end
        of output follows for a while is it taken for one: something that the program
        left running holds its output open.
        """
        channel = self._channel
        if channel.recv_ready() or channel.recv_stderr_ready():
            return False
        if channel.closed or channel.eof_received:
            return True
        if channel.exit_status_ready() and self._late is None:
            self._late = Deadline(LATE_OUTPUT_S)
        return self._late is not None and self._late.expired

    def chunks(self, deadline: Deadline) -> Iterator[tuple[bytes, bytes]]:
        """Output as it comes, until the program ends.

        Raises :class:`TooSlow` when the deadline passes first, :class:`InfrastructureError`
        when the connection is lost, :class:`GuestCrash` when the kernel dies.
        """
        while True:
            out, err = self.poll()
            if out or err:
                self._late = None
                yield out, err
            elif self.ended:
                return
            else:
                self._link.check()
                if deadline.expired:
                    self._channel.close()
                    raise TooSlow(
                        f"`{self.command[:60]}` was not done after {deadline.seconds:.0f} s"
                    )

    def line(self, deadline: Deadline) -> str | None:
        """The next line of standard output without its end, or None at the end."""
        chunks = self.chunks(deadline)
        while b"\n" not in self._out:
            try:
                out, err = next(chunks)
            except StopIteration:
                rest, self._out = bytes(self._out), bytearray()
                return rest.decode(errors="replace") if rest else None
            self._out += out
            self._err += err
        line, _, rest = bytes(self._out).partition(b"\n")
        self._out = bytearray(rest)
        return line.decode(errors="replace")

    @property
    def stderr(self) -> str:
        """What :meth:`line` has met on standard error so far."""
        return self._err.decode(errors="replace")

    def wait(self, deadline: Deadline) -> int:
        """The exit code; -1 when the connection closed without one."""
        for _, err in self.chunks(deadline):
            self._err += err
        while not self._channel.exit_status_ready():
            self._link.check()
            if deadline.expired or self._channel.closed:
                break
            time.sleep(0.01)
        code = self._channel.exit_status if self._channel.exit_status_ready() else -1
        self._channel.close()
        if code == -1:
            self._link.check_lost(self.command)
        return code


class SshLink:
    """An SSH connection to a machine, which a message calls ``whose``.

    ``check`` is the console's: it raises when the kernel is dead. ``lost`` is asked once when the
    connection is gone and the console has said nothing: it may know why, and raise that.
    """

    def __init__(
        self, check: Callable[[], None], whose: str = "the guest",
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.check = check
        self.whose = whose
        self._lost = lost
        self._door = Door(22)
        self._transport: paramiko.Transport | None = None

    def connect(self, door: Door, deadline: Deadline) -> None:
        """Log in; of a guest when it has announced that sshd listens.

        Raises :class:`BootStalled` when nobody answers, :class:`InfrastructureError` when
        somebody answers and does not let us in, and :class:`UserError` for keys that are missing.
        """
        ours, expected = door.keys(), door.expected()
        last: Exception | None = None
        awake = False
        while True:
            self.check()
            for key in ours:
                transport: paramiko.Transport | None = None
                try:
                    transport = paramiko.Transport(door.open(max(0.5, deadline.slice(10.0))))
                    if not expected.get_name().startswith("ssh-rsa"):  # of which there are three
                        # Of several host keys the one that we know is to be shown.
                        transport.get_security_options().key_types = (expected.get_name(),)
                    transport.banner_timeout = transport.auth_timeout = deadline.remaining()
                    transport.connect(hostkey=expected, username=door.user, pkey=key)
                except _LOST as error:
                    last = error
                    if transport is None:
                        break
                    # paramiko has one exception for a wrong key and for silence.
                    awake = awake or transport.host_key is not None
                    transport.close()
                    continue
                transport.set_keepalive(0)
                self._door, self._transport = door, transport
                if door.silence:
                    Pulse(transport, door.silence).start()
                return
            if deadline.expired:
                break
            time.sleep(deadline.slice(0.2))
        if awake:
            raise InfrastructureError(f"SSH to {self.whose} failed: {last}")
        raise BootStalled(f"SSH to {self.whose} failed: {last}")

    def wrapped(self, command: str) -> str:
        """A command as it is sent."""
        return self._door.wrapped(command)

    def open_channel(self) -> paramiko.Channel:
        """A new channel on the connection."""
        if self._transport is None:
            raise InfrastructureError(f"there is no SSH connection to {self.whose}")
        with self.explain("open a channel"):
            return self._transport.open_session(timeout=START_S)

    @contextlib.contextmanager
    def explain(self, what: str) -> Iterator[None]:
        """Turn a broken connection into the crash that broke it, where there is one."""
        try:
            yield
        except TimeoutError:
            raise
        except _LOST as error:
            self.check_lost(what)
            raise InfrastructureError(
                f"SSH to {self.whose} broke during `{what[:60]}`: {error}"
            ) from error

    def check_lost(self, what: str) -> None:
        """After a lost connection: give the console time to say why, then raise.

        Raises :class:`GuestCrash` when it does, :class:`InfrastructureError` when it stays silent.
        """
        deadline = Deadline(LOST_PATIENCE_S)
        while not deadline.expired:
            self.check()
            time.sleep(0.1)
        self._lost()
        raise InfrastructureError(f"SSH to {self.whose} was lost during `{what[:60]}`")

    def start(self, command: str, *, pty: bool = False) -> RemoteProcess:
        """Start a program without waiting for it."""
        return RemoteProcess(self, command, pty=pty)

    def run(
        self, command: str, deadline: Deadline, *, check: bool = True, data: bytes | None = None,
        on_stdout: Callable[[bytes], object] | None = None,
        on_stderr: Callable[[bytes], object] | None = None,
    ) -> Result:
        """Run a command to its end; ``data`` is its standard input.

        Raises :class:`InfrastructureError` with its last words when ``check`` is set and it fails.
        """
        process = self.start(command)
        if data is not None:
            process.write(data, deadline)
        process.close_input()
        out, err = bytearray(), bytearray()
        for more_out, more_err in process.chunks(deadline):
            out += more_out
            err += more_err
            if on_stdout and more_out:
                on_stdout(more_out)
            if on_stderr and more_err:
                on_stderr(more_err)
        code = process.wait(deadline)
        result = Result(code, out.decode(errors="replace"), err.decode(errors="replace"))
        if check and code != 0:
            raise InfrastructureError(
                f"`{command[:80]}` failed in {self.whose} with exit code {code}",
                excerpt=(result.stderr or result.stdout)[-2000:].strip(),
            )
        return result

    def push(self, local: Path, remote: str, deadline: Deadline) -> None:
        """Copy a file onto the machine, with its mode.

        Through ``cat``: the SFTP server would cost a TCG guest more time than the file.
        """
        try:
            data, mode = local.read_bytes(), local.stat().st_mode & 0o777
        except OSError as error:
            raise UserError(f"cannot read {local}: {error.strerror}") from error
        target = shlex.quote(remote)
        folder = shlex.quote(str(PurePosixPath(remote).parent))
        self.run(f"mkdir -p {folder} && cat > {target} && chmod {mode:o} {target}",
                 deadline, data=data)

    def pull(self, remote: str, local: Path, deadline: Deadline) -> None:
        """Copy a file from the machine."""
        with local.open("wb") as sink:
            self.run(f"cat {shlex.quote(remote)}", deadline, on_stdout=sink.write)

    def close(self) -> None:
        """Drop the connection."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None
