"""A computer that only pretends: a directory for its disk, and programs that change its state.

Commands are real shell scripts, run by a real shell on a disk of its own (paths such as /proc and
/var/lib lead into the directory); kexec, reboot and the like only write down what they would have
done. The file ``plan`` holds a word for each start of a kernel of ours: ``good``, ``panics``,
``hangs`` (silent, not to be reached), ``deaf`` (speaks, not to be reached), ``own`` (the computer's
own kernel comes up instead) or ``other`` (another kernel than the one that was sent).
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.core.deadline import Deadline
from harness.core.errors import BootStalled, InfrastructureError, TooSlow
from harness.machine.session import Result, Sink

LIBRARY = r"""
say() { echo "$*" >> "$H/console"; }
new_boot() {
    echo no > "$H/up"; cat /proc/sys/kernel/random/uuid > "$H/proc/sys/kernel/random/boot_id"
}
own() {
    new_boot; echo 6.1.0-own > "$H/release"
    echo "Linux version 6.1.0-own (debian)" > "$H/proc/version"
    echo "BOOT_IMAGE=/vmlinuz root=/dev/vda ro" > "$H/proc/cmdline"
    say "Linux version 6.1.0-own"
    [ -e "$H/stuck" ] && echo no > "$H/up" || echo yes > "$H/up"
}
ours() {
    read -r word rest < "$H/plan" || word=good; word=${word:-good}; echo "$rest" > "$H/plan"
    new_boot; read -r release key < "$H/loaded"
    say "Linux version $release"; up=yes
    echo "$release" > "$H/release"
    echo "Linux version $release (harness@$key)" > "$H/proc/version"
    echo "root=/dev/vda ro $(cat "$H/append")" > "$H/proc/cmdline"
    case $word in
    panics) up=no; say "Kernel panic - not syncing: VFS: Unable to mount root fs"
            say "Call Trace:"; say "---[ end Kernel panic - not syncing: VFS ]---";;
    hangs) up=no;;
    deaf) up=no; say "host login:";;
    own) own;;
    other) echo 5.0.0-other > "$H/release";;
    esac
    echo $up > "$H/up"
}
"""
PROGRAMS = {
    "uname": 'cat "$H/release"',
    "kexec": r"""case $1 in
-l) [ -e "$H/no-kexec" ] && { echo 'kexec_load failed: Operation not permitted' >&2; exit 1; }
    cp "$2" "$H/loaded"
    for word; do case $word in --append=*) echo "${word#--append=}" > "$H/append";; esac; done;;
-e) ours;;
esac""",
    "systemctl": r"""[ -e "$H/ignores" ] && exit
case $1 in
stop) rm -f "$H/debians-$2";;
reboot) mark=$(grep -o 'pte_harness=[^ ]*' "$H/proc/cmdline"); own
        [ ! -e "$H/debians-kexec-load.service" ] || echo "ro $mark" > "$H/proc/cmdline";;
esac""",
    "reboot": "own",
    # As Debian's: it will not compress in a way that the kernel may not know.
    "mkinitramfs": 'grep -q RD_ZSTD "$H/boot/config-$3" && cp "$H/lib/modules/$3/modules.dep" "$2"',
    "sleep": "exec /bin/sleep 0",
    "setsid": 'echo "$3" > "$H/watcher"',
    "mount": "true",
    "dmesg": "cat",
    "panic": 'echo no > "$H/up"; say "BUG: kernel NULL pointer dereference, address: 28"; '
             'say "RIP: 0010:x"; say "---[ end trace 0 ]---"',
    "power": 'case $1 in cycle) echo cycled >> "$H/cycles"; [ -e "$H/no-power" ] || own;; '
             "status) echo Chassis Power is on;; esac",
    "grub-reboot": 'echo "$1" > "$H/next"',
    "grub-editenv": 'case $2 in list) echo "next_entry=$(cat "$H/next")";; '
                    'unset) : > "$H/next";; esac',
    "grub-mkrelpath": 'echo "/${1##*/}"',
    "grub-probe": "echo 1234-ABCD",
}
OUTSIDE = re.compile(r"(?<![\w./])/(?=(proc|sys|var/lib|opt|boot|lib/modules)\b)")


class FakeHost:
    """The computer whose disk is ``root``; made if it is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        if not root.exists():
            self._make()

    def _make(self) -> None:
        for folder in (
            "bin", "proc/sys/kernel/random", "sys", "var/lib", "opt", "boot", "usr/lib/modules"
        ):
            (self.root / folder).mkdir(parents=True)
        (self.root / "lib").symlink_to("usr/lib")  # as on every Debian of today
        (self.root / "library").write_text(LIBRARY)
        for name, script in PROGRAMS.items():
            path = self.root / "bin" / name
            path.write_text(f'#!/bin/sh\nH={self.root}\n. "$H/library"\n{script}\n')
            path.chmod(0o755)
        for name in ("plan", "console", "cycles"):
            (self.root / name).write_text("")
        self.plan("")
        self.shell("own")

    def shell(self, script: str) -> None:
        """Have something happen to it."""
        subprocess.run(
            ["sh", "-c", f'H={self.root}; . "$H/library"; {script}'], check=True, cwd=self.root
        )

    def read(self, name: str) -> str:
        """A file of its state or its disk."""
        return (self.root / name).read_text().strip()

    def mark(self, name: str) -> None:
        """``stuck``: its own kernel does not come up; ``no-power``: the switch does nothing;
        ``ignores``: it does not reboot when asked; ``no-kexec``: kexec is refused;
        ``debians-kexec-load.service``: a reboot is a kexec that keeps the command line."""
        (self.root / name).touch()

    def plan(self, words: str) -> None:
        """How its next kernels of ours start."""
        (self.root / "plan").write_text(f"{words}\n")

    @property
    def up(self) -> bool:
        """Whether it can be reached."""
        return self.read("up") == "yes"

    @property
    def at_home(self) -> bool:
        """Whether its own kernel runs and it can be reached."""
        return self.up and self.read("release") == "6.1.0-own"

    @property
    def cycles(self) -> int:
        """How often it was switched off and on."""
        return len(self.read("cycles").split())

    @property
    def console(self) -> str:
        """The command that shows its console."""
        return f"tail -n 0 -F {self.root}/console"

    @property
    def power(self) -> str:
        """The command of its switch, without the word."""
        return str(self.root / "bin" / "power")

    def dial(self, check: Callable[[], None], lost: Callable[[], None]) -> FakeWire:
        """A wire to it."""
        return FakeWire(self, check, lost)


class FakeProcess:
    """A program that was started on it."""

    def __init__(self, wire: FakeWire, command: str) -> None:
        self.command, self._wire, self.stderr = command, wire, ""
        self._process = subprocess.Popen(
            wire.argv(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def write(self, data: bytes) -> None:
        raise NotImplementedError

    def close_input(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()

    def chunks(self, deadline: Deadline) -> Iterator[tuple[bytes, bytes]]:
        raise NotImplementedError

    def line(self, deadline: Deadline) -> str | None:
        self.close_input()
        assert self._process.stdout
        return self._process.stdout.readline().rstrip("\n") or None

    def wait(self, deadline: Deadline) -> int:
        return self._process.wait(deadline.remaining())


class FakeWire:
    """A connection, which ends when another kernel runs or the computer is not to be reached."""

    def __init__(
        self, host: FakeHost, check: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        self.host, self.check, self._lost = host, check, lost
        self._boot = ""

    def log_in(self, deadline: Deadline) -> None:
        self.check()
        was_up, self._boot = self.host.up, self._boot_id
        if not was_up or not self.host.up:  # nor is one half-way between two kernels
            raise BootStalled("SSH to the fake failed: no answer")

    @property
    def _boot_id(self) -> str:
        return self.host.read("proc/sys/kernel/random/boot_id")

    def argv(self, command: str) -> list[str]:
        inside = OUTSIDE.sub(f"{self.host.root}/", command)
        return ["env", f"PATH={self.host.root}/bin:{os.environ['PATH']}", "sh", "-c", inside]

    def run(
        self, command: str, deadline: Deadline, *, check: bool = True, data: bytes | None = None,
        on_stdout: Sink | None = None, on_stderr: Sink | None = None,
    ) -> Result:
        self._alive(command)
        try:
            done = subprocess.run(
                self.argv(command), capture_output=True, input=data or b"", check=False,
                timeout=deadline.remaining() + 0.01,
            )
        except subprocess.TimeoutExpired:
            raise TooSlow(f"`{command[:60]}` was not done") from None
        if not command.startswith("("):  # what runs in the background answers first
            self._alive(command)
        if check and done.returncode:
            raise InfrastructureError(
                f"`{command[:60]}` failed", excerpt=done.stderr.decode(errors="replace")
            )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def _alive(self, what: str) -> None:
        if self.host.up and self._boot == self._boot_id:
            return
        deadline = Deadline(0.5)
        while not deadline.expired:
            self.check()
            time.sleep(0.02)
        self._lost()
        raise InfrastructureError(f"SSH to the fake was lost during `{what[:60]}`")

    def start(self, command: str, *, pty: bool = False) -> FakeProcess:
        return FakeProcess(self, command)

    def push(self, local: Path, remote: str, deadline: Deadline) -> None:
        self.run(f"mkdir -p $(dirname {remote}); cat > {remote}", deadline,
                 data=local.read_bytes())

    def pull(self, remote: str, local: Path, deadline: Deadline) -> None:
        local.write_text(self.run(f"cat {remote}", deadline).stdout)

    def shell(self) -> list[str]:
        return ["sh"]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._boot = "closed"
