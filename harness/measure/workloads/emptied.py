"""``emptied``: page tables kept after each way in which memory can become empty.

Models what programs do to memory that they are done with: dropped by pieces, unmapped in part,
moved, swapped out, reclaimed, truncated, punched, merged, protected, pinned, migrated, forked. The
ways are the cases of guest/piecewise.c, each in a process of its own. Read by the program itself
from its ``VmPTE``: with all touched, and at the end, both less what it was before the first touch.

Cannot show: cost, nor how often a real program does what a case does (see ``allocator`` and
``redis``). A case that the kernel or the guest cannot do is left out, with a warning: migration
needs two NUMA nodes, a truncated file on disk small pages in the page cache.

Source: own work; ``harness stability --suite piecewise`` gives verdicts on the same cases.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import ClassVar, Literal, get_args

from pydantic import Field

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.machine.session import Session
from harness.measure.workloads.rounds import EXIT_FAILED, EXIT_SKIP
from harness.measure.workloads.workload import (
    CellParams,
    Context,
    Line,
    Measurement,
    Settings,
    TypedWorkload,
    json_line,
    push_program,
)
from harness.records.workloads import Metric

PROGRAM = "piecewise"
KEPT = "kept"
Case = Literal[
    "dontneed-chunk", "dontneed-reverse", "zeropage", "munmap-halves", "munmap-half",
    "mremap-away", "mremap-dontunmap", "swapout-dontneed", "swapoff-dontneed",
    "madvfree-reclaim", "file-dontneed", "file-reclaim", "file-truncate", "shmem-truncate",
    "shmem-punch", "fork-exit", "thp-dontneed", "thp-split-dontneed", "ksm-unmerge-dontneed",
    "mprotect-none", "mlock-dontneed", "gup-dontneed", "migrate-dontneed", "uffd-copy-dontneed",
    "uffd-wp-marker",
]
CASES: tuple[str, ...] = get_args(Case)
MIB_S = 0.05  # of the slower cases under TCG, for the time estimate
START_S = 1.0
LONGEST_S = 180.0  # ksmd may take two minutes to merge


class EmptiedParams(CellParams):
    """Parameters of one cell."""

    case: Case
    """How the memory becomes empty: a case of guest/piecewise.c."""
    size_mib: int = Field(default=32, ge=2, le=256, multiple_of=2)
    chunk_kib: int = Field(default=4, ge=4, le=1 << 20, multiple_of=4)
    """How much is dropped at a time, where the case drops by pieces."""


class Emptied(TypedWorkload[EmptiedParams]):
    """The workload."""

    name = "emptied"
    title = "page tables kept after each way in which memory can become empty"
    metrics = (
        Metric(name="VmPTE_kept", unit="kB", kind="memory", better="less", exact=True,
               slack=8.0, headline=True, label="page tables left when all is empty"),
        Metric(name="VmPTE_touched", unit="kB", kind="memory", exact=True, slack=8.0,
               label="page tables with all touched"),
    )
    usual: ClassVar[Settings] = {"case": [*CASES]}
    model = EmptiedParams

    def words(self, cell: EmptiedParams) -> str:
        """``munmap-half``."""
        return cell.case

    def estimate(self, cell: EmptiedParams, accel: str) -> float:
        """Host seconds, about."""
        return (START_S + cell.size_mib * MIB_S) * (0.05 if accel == "kvm" else 1.0)

    def run(self, session: Session, cell: EmptiedParams, context: Context) -> Iterator[Measurement]:
        """Once per repeat."""
        argv = [
            push_program(session, context, PROGRAM), "--size", f"{cell.size_mib}M",
            "--chunk", f"{cell.chunk_kib}K", cell.case,
        ]
        context.keep("command", shlex.join(argv) + "\n")
        for repeat in range(context.repeat):
            deadline = Deadline(LONGEST_S + session.scaled(60.0))
            done = session.run(shlex.join(argv), deadline=deadline, check=False)
            context.keep(f"stdout-{repeat}", done.stdout + done.stderr)
            line = outcome(done.code, done.stdout, done.stderr, context)
            if line is not None:
                yield from measurements(line, repeat)


def outcome(code: int, stdout: str, stderr: str, context: Context) -> Line | None:
    """The program's line; None, with a warning, where the case cannot be done here.

    Tables that are kept are a result and no failure. Raises :class:`InfrastructureError` when
    the program died, or says that more went wrong than that.
    """
    if code not in (0, EXIT_FAILED, EXIT_SKIP):
        raise InfrastructureError(f"{PROGRAM} ended with {code}", excerpt=stderr[-500:])
    line = json_line(stdout, PROGRAM)
    if code == EXIT_SKIP:
        context.warn(f"{line.get('case')} cannot be measured in this guest: {line.get('reason')}")
        return None
    if code == EXIT_FAILED and line.get("verdict") != KEPT:
        raise InfrastructureError(f"{PROGRAM} failed: {line.get('reason')}")
    return line


def measurements(line: Line, repeat: int = 0) -> Iterator[Measurement]:
    """The two numbers of a case.

    Raises :class:`InfrastructureError` when the program could not read its own VmPTE.
    """
    before = line["vmpte_before_kb"]
    for metric, key in (("VmPTE_kept", "dropped"), ("VmPTE_touched", "touched")):
        then = line[f"vmpte_{key}_kb"]
        if before < 0 or then < 0:
            raise InfrastructureError(f"{PROGRAM} could not read VmPTE in the guest")
        yield Measurement(metric, float(then - before), "kB", repeat)
