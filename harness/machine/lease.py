"""The lease on a computer: a file on it that says whose it is and until when, by its own clock.

It lies on the disk, not in /run, so that it outlives the change of kernels. Reading, judging and
writing are one step, under a lock of the computer's kernel: of two who come at once one gets it.
It is written beside and renamed, so that a power cut leaves the old one or the new one.

While one of our kernels runs, a small watcher on the computer looks at the lease. When it has run
out, because the harness was killed or its network is gone, the watcher sends the computer back
to its own kernel. It also feeds the hardware's watchdog where there is one: a kernel that hangs
does not feed it, and is reset.
"""

from __future__ import annotations

import getpass
import shlex
import socket
from dataclasses import dataclass

from harness.core.errors import InfrastructureError

STATE = "/var/lib/pte-harness"
"""On the computer: the lease, and the kernels while they are used."""
EVERY_S = 5.0
"""How often the watcher looks."""
LOCKED = f"mkdir -p {STATE} && exec 9> {STATE}/lock && flock 9"


@dataclass(frozen=True)
class Lease:
    """Who holds a computer. ``seconds``: how long it still runs, negative when it has ended."""

    token: str
    owner: str
    seconds: int

    @property
    def words(self) -> str:
        """For people."""
        if self.seconds <= 0:
            return f"{self.owner}, ran out {-self.seconds // 60} min ago"
        return f"{self.owner}, for {-(-self.seconds // 60)} min"


def owner() -> str:
    """Who we are, as the lease says it: ``jo@desk``."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


def take(token: str, who: str, seconds: float) -> str:
    """A command that takes the lease or makes it longer, and prints whose it is afterwards."""
    return f"""{LOCKED}
now=$(date +%s); held=; until=0; who=
[ -s {STATE}/lease ] && read -r held until who < {STATE}/lease
if [ "$held" = {token} ] || [ "$until" -le "$now" ]; then
    printf '%s %s %s\\n' {token} $((now + {round(seconds)})) {shlex.quote(who)} > {STATE}/lease.new
    sync {STATE}/lease.new && mv {STATE}/lease.new {STATE}/lease && sync {STATE}
fi
{_SHOW}"""


def renew(token: str, who: str, seconds: float) -> str:
    """The same for a lease that we hold: one that is somebody else's by now is left alone."""
    return f"""{LOCKED}
held=; read -r held rest < {STATE}/lease
[ "$held" = {token} ] || {{ {_SHOW}; exit 0; }}
{take(token, who, seconds)}"""


def show() -> str:
    """A command that prints whose it is; nothing when nobody has it."""
    return f"mkdir -p {STATE}; {_SHOW}"


_SHOW = f"""[ -s {STATE}/lease ] && echo "$(date +%s) $(cat {STATE}/lease)" || true"""


def release(token: str) -> str:
    """A command that gives the lease back if it is ours."""
    return (
        f"{LOCKED}; held=; [ -s {STATE}/lease ] && read -r held rest < {STATE}/lease; "
        f'[ "$held" != {token} ] || {{ rm -f {STATE}/lease; sync {STATE}; }}'
    )


def parse(text: str) -> Lease | None:
    """What the commands above print; raises :class:`InfrastructureError` when it is nonsense."""
    words = text.split(maxsplit=3)
    if not words:
        return None
    try:
        now, token, until, who = words
        return Lease(token, who.strip(), int(until) - int(now))
    except ValueError:
        raise InfrastructureError(f"the lease reads '{text.strip()[:80]}'") from None


def watcher(token: str, watchdog: str) -> str:
    """A command that starts the watcher and returns."""
    feed = f"[ -w {shlex.quote(watchdog)} ] && exec 3> {shlex.quote(watchdog)}" if watchdog else ":"
    loop = f"""{feed}
while held=; until=0; read -r held until rest < {STATE}/lease
      [ "$held" = {token} ] && [ "$until" -gt "$(date +%s)" ]; do
    { "echo . >&3" if watchdog else ":" }
    sleep {EVERY_S:g}
done
sync; systemctl reboot; sleep 60; echo b > /proc/sysrq-trigger"""
    return f"setsid sh -c {shlex.quote(loop)} < /dev/null > /dev/null 2>&1 &"
