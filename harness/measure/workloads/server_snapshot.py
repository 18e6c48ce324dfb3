"""``server-snapshot``: a server with VIRT 55t, RES 590g and VmPTE 110g, at scale 1:N.

Models the state of a server whose allocator maps much and gives back with
MADV_DONTNEED what it does not need (guest/server-snapshot.c): address space is
reserved, nearly all of it was touched once and dropped, and the memory in use lies
strewn over the whole of it. All three figures are a published server's (see Source), divided by
N, the least power of two with which the process fits the guest; they fit each other, for tables
that map 55t are 110g. VmPTE counts the tables of every level: the upper ones (1/512 of the PTE
tables) are taken off the dropped part, so that VmPTE, not the number of PTE tables, stands in
the right ratio.

With ``live_pages = 512`` memory in use is dense, as in the published ideal of 1.2g
(590g / 512); where empty tables are freed VmPTE stays above the ideal by the upper
tables, if those are not freed: 55t / 1 GiB of them. Fewer pages per 2 MiB
show what fragmentation leaves of the ideal.

Cannot show: the history (each dropped range held one page, once), the cost, or
what an allocator would make of it (see ``allocator``).

Source: "Free user PTE page table pages", linux-mm, 19 August 2021, introduction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from pydantic import Field

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError, UserError
from harness.core.plurals import plural
from harness.core.sizes import GIB
from harness.machine.session import Session
from harness.measure.workloads.vmpte import CHUNK_S, FAULT_S
from harness.measure.workloads.watching import watch, watched
from harness.measure.workloads.workload import (
    CellParams,
    Context,
    Measurement,
    Settings,
    TypedWorkload,
    push_program,
)
from harness.records.record import Params
from harness.records.workloads import Metric

SERVER_VIRT, SERVER_RES, SERVER_VMPTE = 55 * 1024 * GIB, 590 * GIB, 110 * GIB  # bytes
SERVER_IDEAL = 1.2 * GIB
PAGE, TABLE_MAPS, UPPER_MAPS = 4096, 2 * 2**20, GIB  # bytes; mapped by a PTE and a PMD table
OWN_TABLES = 10  # of the process itself: text, stack, vdso. Measured: 40 kB
SHARE = 0.75  # of the guest's memory that the process may fill
MOST_SCALE = 8192  # beyond, the process's own megabyte is more than 1 % of RES
GUESSED_SCALE = 256  # for the estimate of time: what a guest of 4 GiB gets


class ServerSnapshotParams(CellParams):
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


class ServerSnapshot(TypedWorkload[ServerSnapshotParams]):
    """The workload."""

    name = "server-snapshot"
    title = "the state of a server that mapped 55 TiB, uses 590 GiB and has 110 GiB of tables, 1:N"
    metrics = (
        *watched(),
        Metric(name="VmPTE_per_ideal", unit="times", kind="memory", better="less", headline=True,
               label="page tables, in times of what maps the same memory densely"),
        Metric(name="VmPTE_per_VmRSS", unit="%", kind="memory", better="less", headline=True,
               label="page tables, in percent of resident memory"),
        Metric(name="VmSize_per_VmRSS", unit="times", label="address space over resident memory"),
        Metric(name="scale", unit="1:N", label="scale"),
    )
    model = ServerSnapshotParams

    def cells(self, settings: Settings) -> list[Params]:
        """One cell per density of the memory in use."""
        cells = super().cells(settings)
        for cell in map(self.parse, cells):
            compose(cell.scale or GUESSED_SCALE, cell.live_pages)
        return cells

    def words(self, cell: ServerSnapshotParams) -> str:
        """``512 pages in use per 2 MiB``."""
        scale = f", 1:{cell.scale}" if cell.scale else ""
        return f"{plural(cell.live_pages, 'page')} in use per 2 MiB{scale}"

    def estimate(self, cell: ServerSnapshotParams, accel: str) -> float:
        """Host seconds, about."""
        made = compose(cell.scale or GUESSED_SCALE, cell.live_pages)
        faults = made.live * made.live_pages + made.dropped
        slow = 0.05 if accel == "kvm" else 1.0
        return 2.0 + slow * (faults * FAULT_S + made.dropped * CHUNK_S)

    def run(
        self, session: Session, cell: ServerSnapshotParams, context: Context
    ) -> Iterator[Measurement]:
        """Choose the scale, build the address space, read it from outside."""
        memory = memory_of(session)
        made = compose(cell.scale or choose_scale(memory), cell.live_pages)
        check_fit(made.scale, memory)
        context.keep("composition", json.dumps(asdict(made), indent=1) + "\n")
        command = (
            f"{push_program(session, context, self.name)} --virt {made.virt_bytes} "
            f"--live {made.live} --dropped {made.dropped} --live-pages {made.live_pages}"
        )
        scaled = cell.model_copy(update={"scale": made.scale})
        patience = 60.0 + 5.0 * self.estimate(scaled, "tcg") + session.scaled(10.0)
        for repeat in range(context.repeat):
            end: dict[str, float] = {}
            for one in watch(
                session, command, self.name, context, repeat=repeat, deadline=Deadline(patience)
            ):
                if one.t is None:
                    end[one.metric] = one.value
                yield one
            yield Measurement("scale", made.scale, "1:N", repeat)
            yield from ratios(end, repeat)
            context.keep(f"beside-the-original-{repeat}", beside(end, made))


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
    return (SERVER_RES + SERVER_VMPTE) / scale <= SHARE * memory_kb * 1024


def check_fit(scale: int, memory_kb: float) -> None:
    """Raise :class:`UserError` for a scale that the guest cannot hold: it would only be killed."""
    if not _fits(scale, memory_kb):
        need = (SERVER_RES + SERVER_VMPTE) / scale / 2**20
        raise UserError(
            f"server-snapshot: scale 1:{scale} takes {need:.0f} MiB, "
            f"more than {SHARE:.0%} of the guest's {memory_kb / 1024:.0f} MiB",
            hint="give a larger scale, 0 to choose one, or more --memory",
        )


def compose(scale: int, live_pages: int) -> Composition:
    """How many 2 MiB stretches hold memory, and how many held some, at scale 1:``scale``.

    Raises :class:`UserError` when so few pages per table need more tables than there are.
    """
    virt = SERVER_VIRT // scale // TABLE_MAPS * TABLE_MAPS
    tables = SERVER_VMPTE / scale / PAGE
    # PMD tables over the whole, one more for a ragged end, PUD tables, and the process's own.
    upper = math.ceil(virt / UPPER_MAPS) + 1 + math.ceil(virt / (512 * UPPER_MAPS))
    live = round(SERVER_RES / scale / PAGE / live_pages)
    dropped = round(tables - upper - OWN_TABLES) - live
    if dropped < 0:
        least = math.ceil(SERVER_RES / scale / PAGE / (tables - upper - OWN_TABLES))
        raise UserError(
            f"server-snapshot: with live_pages {live_pages} the server's RES needs more tables "
            "than its VmPTE holds", hint=f"give {least} or more",
        )
    return Composition(scale, virt, live, dropped, live_pages, upper)


def memory_of(session: Session) -> float:
    """MemTotal of the guest in kB."""
    words = session.run("grep MemTotal: /proc/meminfo").stdout.split()
    if len(words) != 3 or not words[1].isdigit():
        raise InfrastructureError(f"the guest does not say its memory: {' '.join(words)}")
    return float(words[1])


def ratios(end: dict[str, float], repeat: int) -> Iterator[Measurement]:
    """What can be held against the original at any scale; ``end`` in kB by name.

    ``VmPTE_per_ideal`` is VmPTE over what maps the same RES densely, RES/512.
    """
    pte, rss = end["VmPTE"], end["VmRSS"]
    yield Measurement("VmPTE_per_VmRSS", 100.0 * pte / rss, "%", repeat)
    yield Measurement("VmSize_per_VmRSS", end["VmSize"] / rss, "times", repeat)
    yield Measurement("VmPTE_per_ideal", pte / (rss / 512), "times", repeat)


def beside(end: dict[str, float], made: Composition) -> str:
    """The server's figures beside ours, these multiplied by N, and the composition in words."""
    original = {"VmSize": SERVER_VIRT, "VmRSS": SERVER_RES, "VmPTE": SERVER_VMPTE}
    lines = [f"scale 1:{made.scale}"]
    for name, figure in original.items():
        ours = end[name] * 1024 * made.scale
        lines.append(
            f"{name:7} original {figure / GIB:9.1f} GiB, ours x {made.scale} {ours / GIB:9.1f} GiB "
            f"({end[name]:.0f} kB)"
        )
    lines.append(
        f"made of {made.live} live 2 MiB stretches of {made.live_pages} pages, {made.dropped} "
        f"dropped ones, some {made.upper_tables} PMD and PUD tables; "
        f"the ideal of 1.2 GiB is {SERVER_IDEAL / made.scale / 1024:.0f} kB here"
    )
    return "\n".join(lines) + "\n"
