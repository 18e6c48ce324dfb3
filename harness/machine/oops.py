"""What a kernel in trouble prints, and how bad it is.

The patterns are those of printk formats that have been stable for a decade; the
tests hold them against console logs captured from real guests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.records.events import Event

MAX_LINES = 120  # an oops with every CPU's backtrace; more explains nothing


@dataclass(frozen=True)
class Kind:
    """One sort of trouble. ``fatal``: nothing measured after it can be believed."""

    name: str
    pattern: re.Pattern[str]
    fatal: bool


def _kind(name: str, pattern: str, *, fatal: bool) -> Kind:
    return Kind(name, re.compile(pattern), fatal)


# The first match of a line decides, so the specific stand before the general.
KINDS: tuple[Kind, ...] = (
    _kind("panic", r"Kernel panic - not syncing", fatal=True),
    _kind("kasan", r"BUG: KASAN: ", fatal=True),
    _kind("kfence", r"BUG: KFENCE: ", fatal=True),
    _kind("bad-page", r"BUG: Bad (page|rss-counter)|BUG: non-zero pgtables_bytes", fatal=True),
    _kind("bad-page", r"pagealloc: (memory corruption|single bit error)", fatal=True),
    _kind("soft-lockup", r"BUG: soft lockup - CPU", fatal=False),
    _kind("hard-lockup", r"Watchdog detected hard LOCKUP", fatal=True),
    _kind("rcu-stall", r"rcu: INFO: rcu_\w+ (self-)?detected (expedited )?stall", fatal=False),
    _kind("hung-task", r"INFO: task .+ blocked for more than \d+ seconds", fatal=False),
    _kind("lockdep", r"WARNING: (possible (circular|recursive|irq lock)|inconsistent lock|"
          r"bad unlock balance|held lock freed|suspicious RCU|Nested lock|lock held)", fatal=False),
    _kind("lockdep", r"BUG: Invalid wait context|DEBUG_LOCKS_WARN_ON|"
          r"INFO: possible (circular|recursive)", fatal=False),
    _kind("atomic-sleep", r"BUG: (sleeping function called|scheduling while atomic)", fatal=False),
    _kind("slab", r"^BUG \S+ .*: (Poison|Redzone|Object|Left Redzone|Right Redzone|Freelist)",
          fatal=True),
    _kind("odebug", r"ODEBUG: ", fatal=False),
    _kind("ubsan", r"UBSAN: ", fatal=False),
    _kind("oops", r"BUG: (unable to handle|kernel NULL pointer)|general protection fault[,:]|"
          r"Oops: |kernel BUG at |invalid opcode: |stack segment: |"
          r"double fault: |Internal error: ", fatal=True),
    _kind("list-corruption", r"list_(add|del) corruption", fatal=False),
    _kind("bug", r"(?<!\w)BUG: (?!.*disabled)", fatal=False),
    _kind("warning", r"WARNING: CPU: \d+ PID: \d+", fatal=False),
    _kind("oom", r"Out of memory: Killed process|invoked oom-killer|Memory cgroup out of memory",
          fatal=False),
)

_TIME_STAMP = re.compile(r"^(<\d+>)?\[\s*\d+\.\d+\](\[\s*[CT]\d+\])? ?")
_END = re.compile(r"---\[ end (trace|Kernel panic)|</TASK>|=+$")
_CONTINUES = re.compile(
    r"^\s|^(CPU|Call Trace|RIP|RSP|RAX|RBX|RDX|RSI|RBP|R\d\d|FS|CS|CR\d|DR\d|PKRU|Code|"
    r"Hardware name|Modules linked in|<\w+>|</\w+>|Tainted|PGD|#PF|Oops|EFLAGS|ORIG_RAX|Comm|"
    r"page:|raw:|flags:|page dumped|Rebooting|Kernel Offset|softirqs|hardirqs|irq event|---|addr:|"
    r"file:|mm:|Dumping)"
)


def strip_time(line: str) -> str:
    """A console line without log level, time stamp and caller id."""
    return _TIME_STAMP.sub("", line.rstrip("\r\n"))


def classify(line: str) -> Kind | None:
    """The kind of trouble a console line announces, or None."""
    text = strip_time(line)
    for kind in KINDS:
        if kind.pattern.search(text):
            return kind
    return None


@dataclass
class Trouble:
    """An event while its lines still come."""

    kind: str
    fatal: bool
    lines: list[str]

    def event(self) -> Event:
        """What is known of it by now."""
        return Event(
            kind=self.kind, title=strip_time(self.lines[0]), text="\n".join(self.lines),
            fatal=self.fatal,
        )


class Collector:
    """Groups console lines into events.

    Lines that follow an announcement belong to it until its end mark or until the
    kernel says something of another kind; a graver announcement inside (a BUG that
    ends in a panic) raises the event rather than opening another.
    """

    def __init__(self) -> None:
        self._found: list[Trouble] = []
        self._open: Trouble | None = None

    @property
    def events(self) -> list[Event]:
        """All so far."""
        return [trouble.event() for trouble in self._found]

    def feed(self, line: str) -> Trouble | None:
        """Take a line; returns the trouble that this line announces or makes fatal."""
        kind = classify(line)
        event = self._open
        if event is not None and len(event.lines) < MAX_LINES and (
            kind is None or _same_accident(event, kind)
        ):
            return self._extend(event, line, kind)
        self._open = None
        if kind is None:
            return None
        self._open = Trouble(kind.name, kind.fatal, [line.rstrip("\r\n")])
        self._found.append(self._open)
        return self._open

    def _extend(self, event: Trouble, line: str, kind: Kind | None) -> Trouble | None:
        text = strip_time(line)
        event.lines.append(line.rstrip("\r\n"))
        if kind is not None and kind.fatal and not event.fatal:
            event.fatal = True
            return event
        if _END.search(text) or not (kind or _CONTINUES.match(text) or len(event.lines) < 8):
            # After an oops the panic that it causes still belongs to it; anything else does not.
            self._open = event if event.fatal else None
        return None


def _same_accident(event: Trouble, kind: Kind) -> bool:
    """Whether a further announcement belongs to an event that is still open."""
    return event.fatal or kind.name in ("panic", "oops") or kind.name == event.kind == "lockdep"
