"""Oopses sorted: the same bug is one entry with a count, known ones are marked as such.

A signature is the kind of trouble and the top frames of its stack, without offsets,
compiler suffixes and the functions that only report: those differ between builds, and
the first ones are the same for every bug.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.core import digest
from harness.core.errors import UserError
from harness.machine.oops import strip_time
from harness.records.verdicts import Verdict

FRAMES = 3
KNOWN_FILE = "known-issues.toml"
_FRAME = re.compile(r"^ +(?P<doubt>\? )?(?P<name>[A-Za-z_][\w.]*)\+0x[0-9a-f]+/0x[0-9a-f]+")
_RIP = re.compile(r"^RIP: 0010:(?P<name>[A-Za-z_][\w.]*)\+0x")
_SUFFIX = re.compile(r"\.(isra|constprop|part|cold|llvm)(\.\d+)?.*$")
_NUMBER = re.compile(r"-?\b(0x)?[0-9a-f]*\d[0-9a-f]*\b")
# Functions that report trouble rather than make it.
_REPORTERS = re.compile(
    r"^(_*dump_stack\w*|show_stack\w*|show_trace\w*|panic|_*warn\w*|report_bug|handle_bug|"
    r"exc_\w+|asm_exc_\w+|die\w*|oops_\w+|page_fault_oops|_*bad_area\w*|no_context|kernelmode_\w+|"
    r"do_user_addr_fault|do_error_trap|do_trap|do_kern_addr_fault|fixup_exception|"
    r"print_\w+|kasan_\w+|__kasan_\w+|__asan_\w+|_*check_region\w*|check_memory_region|"
    r"lockdep_\w+|lock_acquire|__lock_acquire|check_\w*lock\w*|mark_lock\w*|validate_chain|"
    r"watchdog_timer_fn|__hrtimer_\w+|hrtimer_\w+|sysvec_\w+|asm_sysvec_\w+|__sysvec_\w+|"
    r"rcu_dump\w*|rcu_sched_clock_irq|update_process_times|tick_sched_\w+|nmi_\w+|asm_\w*nmi|"
    r"sched_show_task|__might_\w+|bad_page|dump_page|ubsan_\w+|__ubsan_\w+|invalid_op|"
    r"__stack_chk_fail|list_\w+_corruption|__list_\w+_valid\w*)$"
)


@dataclass(frozen=True)
class Signature:
    """What makes two oopses the same bug."""

    kind: str
    frames: tuple[str, ...]
    title: str
    """The announcement; part of the signature only where there are no frames."""

    @property
    def ident(self) -> str:
        """Eight hex digits, stable between builds."""
        what = self.frames or (_NUMBER.sub("N", self.title),)
        return digest.key([self.kind, *what])[:8]

    @property
    def text(self) -> str:
        """For a table: kind and frames, or kind and announcement."""
        return f"{self.kind}: {' < '.join(self.frames) or self.title}"


def signature(kind: str, text: str) -> Signature:
    """The signature of an event's console text."""
    lines = [strip_time(line) for line in text.splitlines()]
    rip = next((m["name"] for line in lines if (m := _RIP.match(line))), "")
    found = [m for line in _first_trace(lines) if (m := _FRAME.match(line))]
    sure = [m["name"] for m in found if not m["doubt"]] or [m["name"] for m in found]
    names = [_SUFFIX.sub("", name) for name in ([rip] if rip else []) + sure]
    useful = [name for name in names if not _REPORTERS.match(name)]
    once = [name for at, name in enumerate(useful) if at == 0 or name != useful[at - 1]]
    return Signature(kind, tuple(once[:FRAMES]), lines[0] if lines else "")


def _first_trace(lines: Sequence[str]) -> list[str]:
    """The frames of the first stack of an event that names any of interest."""
    start = next((i for i, line in enumerate(lines) if line.startswith("Call Trace")), 0)
    end = next(
        (i for i in range(start + 1, len(lines)) if lines[i].startswith(("Allocated by", "Freed by",
         "Call Trace", "Kernel Offset", "---[ end"))), len(lines),
    )
    return list(lines[start:end])


class Known(BaseModel):
    """One entry of known-issues.toml."""

    model_config = ConfigDict(extra="forbid")

    signature: str
    note: str
    """What it is and why it is not ours."""


class _KnownFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    issue: list[Known] = []


def load_known(root: Path) -> dict[str, str]:
    """Signature -> note of the checkout's known-issues.toml; empty without the file.

    Raises :class:`UserError` when it cannot be read.
    """
    path = root / KNOWN_FILE
    if not path.exists():
        return {}
    try:
        listed = _KnownFile.model_validate(tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, ValidationError, OSError) as error:
        raise UserError(f"{path}: {error}", hint="[[issue]] with signature and note") from error
    return {issue.signature: issue.note for issue in listed.issue}


@dataclass
class Bug:
    """All occurrences of one signature."""

    signature: Signature
    text: str
    """The first one's console text."""
    where: list[Verdict] = field(default_factory=list)
    known: str = ""

    @property
    def count(self) -> int:
        """How often it was seen."""
        return len(self.where)

    @property
    def variants(self) -> list[str]:
        """Where it was seen, in order."""
        return list(dict.fromkeys(v.variant for v in self.where))


def sort_bugs(verdicts: Iterable[Verdict], known: dict[str, str]) -> list[Bug]:
    """The bugs of a run: unknown ones first, then by count."""
    bugs: dict[str, Bug] = {}
    for verdict in verdicts:
        for event in verdict.events:
            mark = signature(event.kind, event.text)
            fresh = Bug(mark, event.text, known=known.get(mark.ident, ""))
            bug = bugs.setdefault(mark.ident, fresh)
            bug.where.append(verdict)
    return sorted(bugs.values(), key=lambda bug: (bool(bug.known), -bug.count))


def all_known(verdict: Verdict, known: dict[str, str]) -> bool:
    """Whether a verdict is explained by known bugs and nothing else."""
    marks = [signature(event.kind, event.text).ident for event in verdict.events]
    return bool(marks) and all(mark in known for mark in marks)
