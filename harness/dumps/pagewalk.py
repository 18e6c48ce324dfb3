"""The page table of one address, read from a dump of physical memory: no types are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ENTRIES = 512
PRESENT, LARGE = 1 << 0, 1 << 7
ADDRESS = 0x000F_FFFF_FFFF_F000
NAMES = ("PTE", "PMD", "PUD", "P4D", "PGD")  # by level, the lowest first
FLAGS = (
    (0, "present"), (1, "writable"), (2, "user"), (5, "accessed"), (6, "dirty"), (7, "large"),
    (8, "global"), (63, "no-execute"),
)
Read = Callable[[int], int]
"""Eight bytes of physical memory, at an address, as a number; raises when they are not there."""


@dataclass(frozen=True)
class Step:
    """One level of a walk."""

    name: str
    table: int
    """Physical address of the table."""
    index: int
    entry: int
    used: int
    """Entries of the table that are not zero."""


def walk(read: Read, root: int, address: int, levels: int) -> list[Step]:
    """From the top down to the first entry that leads no further.

    ``root`` is what cr3 holds. A table that the dump does not have ends the walk before it.
    """
    steps: list[Step] = []
    table = root & ADDRESS
    names = list(reversed(NAMES if levels == 5 else (*NAMES[:3], NAMES[4])))
    for depth, name in enumerate(names):
        level = len(names) - 1 - depth
        index = address >> (12 + 9 * level) & (ENTRIES - 1)
        try:
            rows = [read(table + 8 * at) for at in range(ENTRIES)]
        except Exception:  # drgn's FaultError, which is not there to be named without drgn
            break
        entry = rows[index]
        steps.append(Step(name, table, index, entry, sum(row != 0 for row in rows)))
        if not entry & PRESENT or (level in (1, 2) and entry & LARGE):
            break
        table = entry & ADDRESS
    return steps


def words(steps: list[Step], address: int) -> list[str]:
    """A walk in lines, for a person; the last says where it leads."""
    lines = [
        f"  {step.name} {step.index:3} of the table at {step.table:#014x} ({step.used} of {ENTRIES}"
        f" entries used): {step.entry:#018x} {flags(step.entry)}"
        for step in steps
    ]
    if not steps:
        return ["  the dump does not have the table that cr3 names"]
    last = steps[-1]
    if last.entry & PRESENT:
        level = NAMES.index(last.name)
        inside = address & ((1 << (12 + 9 * level)) - 1)
        place = (last.entry & ADDRESS & -(1 << (12 + 9 * level))) + inside
        lines.append(f"  so it is mapped, at the physical address {place:#x}")
    elif last.entry:
        lines.append("  so no page is mapped there; the entry is a swap entry or broken")
    else:
        lines.append("  so nothing is mapped there: this entry is empty")
    return lines


def flags(entry: int) -> str:
    """The bits of an entry that have a meaning to the CPU, by name."""
    if not entry & PRESENT:
        return "not present" if entry else "empty"
    return " ".join(name for bit, name in FLAGS if entry >> bit & 1)
