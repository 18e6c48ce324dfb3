"""``server-snapshot``: the letter's server, VIRT 55t, RES 590g, VmPTE 110g, at scale 1:N.

Models the state of a server whose allocator maps much and gives back with
MADV_DONTNEED what it does not need (guest/server-snapshot.c): address space is
reserved, nearly all of it was touched once and dropped, and the memory in use lies
strewn over the whole of it. All three figures are the letter's divided by N, the
least power of two with which the process fits the guest; the letter's own figures
fit each other, for tables that map 55t are 110g. VmPTE counts the tables of every
level: the upper ones (1/512 of the PTE tables) are taken off the dropped part, so
that VmPTE, not the number of PTE tables, stands in the letter's ratio.

With ``live_pages = 512`` memory in use is dense, as in the letter's ideal of 1.2g
(590g / 512); after the series VmPTE then stays above the ideal by the upper
tables, which the series does not free: 55t / 1 GiB of them. Fewer pages per 2 MiB
show what fragmentation leaves of the ideal.

Cannot show: the history (each dropped range held one page, once), the cost, or
what an allocator would make of it (see ``allocator``).

Source: the letter, the snapshot in its introduction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from pydantic import Field

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError, UserError
from harness.machine.guest import Guest
from harness.measure.workloads.vmpte import CHUNK_S, FAULT_S, watch
from harness.measure.workloads.workload import (
    Context,
    Measurement,
    Params,
    parse_params,
    push_program,
    spread,
)

GIB = 2**30
LETTER_VIRT, LETTER_RES, LETTER_VMPTE = 55 * 1024 * GIB, 590 * GIB, 110 * GIB  # bytes
LETTER_IDEAL = 1.2 * GIB
PAGE, TABLE_MAPS, UPPER_MAPS = 4096, 2 * 2**20, GIB  # bytes; mapped by a PTE and a PMD table
OWN_TABLES = 10  # of the process itself: text, stack, vdso. Measured: 40 kB
SHARE = 0.75  # of the guest's memory that the process may fill
MOST_SCALE = 8192  # beyond, the process's own megabyte is more than 1 % of RES
GUESSED_SCALE = 256  # for the estimate of time: what a guest of 4 GiB gets


class ServerSnapshotParams(Params):
    """Parameters of one cell."""

    scale: int = Field(default=0, ge=0, le=MOST_SCALE)
    """N of 1:N; 0 takes the least power of two that fits the guest's memory."""
    live_pages: int = Field(default=512, ge=1, le=512)
    """Pages in use within each 2 MiB that has any."""


@dataclass(frozen=True)
class Composition:
    """What the process is made of."""

    scale: int
    virt_bytes: int
    live: int
    """2 MiB stretches that hold ``live_pages`` pages each."""
    dropped: int
    """2 MiB stretches that held a page and were dropped."""
    live_pages: int
    upper_tables: int
    """PMD and PUD tables over them."""


class ServerSnapshot:
    """The workload."""

    name = "server-snapshot"
    flags: frozenset[str] = frozenset()
    icount_params: ClassVar[dict[str, Any]] = {}

    def cells(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """One cell per density of the memory in use."""
        cells = [
            parse_params(ServerSnapshotParams, cell, self.name)
            for cell in spread(params, "live_pages")
        ]
        for cell in cells:
            compose(cell["scale"] or GUESSED_SCALE, cell["live_pages"])
        return cells

    def seconds(self, cell: dict[str, Any], repeat: int, accel: str) -> float:
        """Host seconds, about."""
        made = compose(cell["scale"] or GUESSED_SCALE, cell["live_pages"])
        slow = 0.05 if accel == "kvm" else 1.0
        faults = made.live * made.live_pages + made.dropped
        return repeat * (2.0 + slow * (faults * FAULT_S + made.dropped * CHUNK_S))

    def measure(self, guest: Guest, cell: dict[str, Any], context: Context) \
            -> Iterator[Measurement]:
        """Choose the scale, build the address space, read it from outside."""
        memory = memory_of(guest)
        made = compose(cell["scale"] or choose_scale(memory), cell["live_pages"])
        check_fit(made.scale, memory)
        context.keep("composition", json.dumps(asdict(made), indent=1) + "\n")
        program = push_program(guest, context, self.name)
        command = (
            f"{program} --virt {made.virt_bytes} --live {made.live} "
            f"--dropped {made.dropped} --live-pages {made.live_pages}"
        )
        for repeat in range(context.repeat):
            patience = 60.0 + 5.0 * self.seconds({**cell, "scale": made.scale}, 1, "tcg")
            deadline = Deadline(patience + guest.scaled(10.0))
            end: dict[str, float] = {}
            for one in watch(
                guest, command, self.name, context, repeat=repeat, deadline=deadline
            ):
                if one.t is None:
                    end[one.metric] = one.value
                yield one
            yield Measurement("scale", made.scale, "1:N", repeat)
            yield from ratios(end, repeat)
            context.keep(f"beside-the-letter-{repeat}", beside(end, made))


def choose_scale(memory_kb: float) -> int:
    """N of 1:N: the least power of two with which RES and VmPTE fit the guest.

    Raises :class:`UserError` for a guest too small to be worth it.
    """
    scale = 1
    while not _fits(scale, memory_kb):
        scale *= 2
    if scale > MOST_SCALE:
        raise UserError(
            f"server-snapshot: a guest of {memory_kb / 1024:.0f} MiB is too small",
            hint="give it at least --memory 512M",
        )
    return scale


def _fits(scale: int, memory_kb: float) -> bool:
    return (LETTER_RES + LETTER_VMPTE) / scale <= SHARE * memory_kb * 1024


def check_fit(scale: int, memory_kb: float) -> None:
    """Raise :class:`UserError` for a scale that the guest cannot hold: it would only be killed."""
    if not _fits(scale, memory_kb):
        need = (LETTER_RES + LETTER_VMPTE) / scale / 2**20
        raise UserError(
            f"server-snapshot: scale 1:{scale} takes {need:.0f} MiB, "
            f"more than {SHARE:.0%} of the guest's {memory_kb / 1024:.0f} MiB",
            hint="give a larger scale, 0 to choose one, or more --memory",
        )


def compose(scale: int, live_pages: int) -> Composition:
    """How many 2 MiB stretches hold memory, and how many held some, at scale 1:``scale``.

    Raises :class:`UserError` when so few pages per table need more tables than there are.
    """
    virt = LETTER_VIRT // scale // TABLE_MAPS * TABLE_MAPS
    tables = LETTER_VMPTE / scale / PAGE
    # PMD tables over the whole, one more for a ragged end, PUD tables, and the process's own.
    upper = math.ceil(virt / UPPER_MAPS) + 1 + math.ceil(virt / (512 * UPPER_MAPS))
    live = round(LETTER_RES / scale / PAGE / live_pages)
    dropped = round(tables - upper - OWN_TABLES) - live
    if dropped < 0:
        least = math.ceil(LETTER_RES / scale / PAGE / (tables - upper - OWN_TABLES))
        raise UserError(
            f"server-snapshot: with live_pages {live_pages} the letter's RES needs more tables "
            "than its VmPTE holds", hint=f"give {least} or more",
        )
    return Composition(scale, virt, live, dropped, live_pages, upper)


def memory_of(guest: Guest) -> float:
    """MemTotal of the guest in kB."""
    words = guest.run("grep MemTotal: /proc/meminfo").stdout.split()
    if len(words) != 3 or not words[1].isdigit():
        raise InfrastructureError(f"the guest does not say its memory: {' '.join(words)}")
    return float(words[1])


def ratios(end: dict[str, float], repeat: int) -> Iterator[Measurement]:
    """What can be held against the letter at any scale; ``end`` in kB by name.

    ``VmPTE_per_ideal`` is VmPTE over what maps the same RES densely, RES/512.
    """
    pte, rss = end["VmPTE"], end["VmRSS"]
    yield Measurement("VmPTE_per_VmRSS", 100.0 * pte / rss, "%", repeat)
    yield Measurement("VmSize_per_VmRSS", end["VmSize"] / rss, "times", repeat)
    yield Measurement("VmPTE_per_ideal", pte / (rss / 512), "times", repeat)


def beside(end: dict[str, float], made: Composition) -> str:
    """The letter's figures beside ours, these multiplied by N, and the composition in words."""
    letter = {"VmSize": LETTER_VIRT, "VmRSS": LETTER_RES, "VmPTE": LETTER_VMPTE}
    lines = [f"scale 1:{made.scale}"]
    for name, figure in letter.items():
        ours = end[name] * 1024 * made.scale
        lines.append(
            f"{name:7} letter {figure / GIB:9.1f} GiB, ours x {made.scale} {ours / GIB:9.1f} GiB "
            f"({end[name]:.0f} kB)"
        )
    lines.append(
        f"made of {made.live} live 2 MiB stretches of {made.live_pages} pages, {made.dropped} "
        f"dropped ones, some {made.upper_tables} PMD and PUD tables; "
        f"the letter's ideal of 1.2 GiB is {LETTER_IDEAL / made.scale / 1024:.0f} kB here"
    )
    return "\n".join(lines) + "\n"
