"""One command in a guest, its output kept, and what became of it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.deadline import Deadline
from harness.core.errors import GuestCrash, InfrastructureError
from harness.suites.judgement import Judgement, Outcome

if TYPE_CHECKING:
    from harness.machine.session import Session

LOG_LIMIT = 4 * 2**20  # bytes of a test's output that are kept: a test may write for ever
KEPT = 256 * 1024  # ... and that are judged, from the end
ANSWER_S = 10.0
# Who is where: blocked tasks to the console, the running ones' stacks beside them.
WHEREABOUTS = (
    "echo w > /proc/sysrq-trigger; echo l > /proc/sysrq-trigger; "
    "ps -eo pid,stat,wchan:30,etimes,args --sort=-etimes | grep -v '\\['"
)


def execute(session: Session, name: str, command: str, deadline: Deadline, log: Path) -> Outcome:
    """Run a test's command; its output goes to ``log``, and its name to the console.

    Raises :class:`TooSlow` when the deadline passes, :class:`InfrastructureError` when
    the connection is lost and :class:`GuestCrash` when the kernel dies.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # One stream, so that complaints stand where they were made.
    mark = shlex.quote(f"pte-harness: test {name}")
    process = session.start(f"echo {mark} > /dev/kmsg; exec 2>&1\n{command}")
    process.close_input()
    text, written = bytearray(), 0
    with log.open("wb") as sink:
        for out, err in process.chunks(deadline):
            if written < LOG_LIMIT:
                sink.write(out + err)
                sink.flush()
                written += len(out) + len(err)
            text += out + err
            del text[:-KEPT]
        if written >= LOG_LIMIT:
            sink.write(b"\n[the rest was not kept]\n")
    return Outcome(process.wait(deadline), text.decode(errors="replace"))


def diagnose(session: Session, seconds: float, log: Path) -> Judgement:
    """Whether a guest whose test took too long still answers, and who does what in it."""
    try:
        state = session.run(WHEREABOUTS, seconds=ANSWER_S, check=False).stdout
    except GuestCrash as error:
        return Judgement("crash", error.message)
    except InfrastructureError:
        return Judgement("hang", f"not done after {seconds:.0f} s, and the guest does not answer")
    with log.open("a") as sink:
        sink.write(f"\n[not done after {seconds:.0f} s; processes of the guest:]\n{state}")
    return Judgement("timeout", f"not done after {seconds:.0f} s")
