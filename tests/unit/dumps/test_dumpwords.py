"""What is said of a dump: the page table of the address that the oops names, and who crashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from harness.core.errors import UserError
from harness.dumps import dumpwords, opening, pagewalk
from harness.dumps.dumpwords import describe, faulting_address
from harness.dumps.vmcore import CpuState

ADDRESS = 0x7F12_3456_7ABC
INDICES = [ADDRESS >> shift & 511 for shift in (39, 30, 21, 12)]


def memory(*entries: int) -> Mapping[int, int]:
    """Physical memory with a table for each entry, at 0x1000, 0x2000 and so on."""
    tables = {0x1000 * (n + 1) + 8 * at: 0 for n in range(len(entries)) for at in range(512)}
    for number, entry in enumerate(entries):
        tables[0x1000 * (number + 1) + 8 * INDICES[number]] = entry
    return tables


def steps(*entries: int) -> list[pagewalk.Step]:
    return pagewalk.walk(memory(*entries).__getitem__, 0x1000 | 0x18, ADDRESS, 4)


def test_a_walk_ends_at_the_page() -> None:
    found = steps(0x2067, 0x3067, 0x4067, 0x8000_0000_0ABC_D067)
    assert [one.name for one in found] == ["PGD", "PUD", "PMD", "PTE"]
    assert [one.index for one in found] == INDICES and {one.used for one in found} == {1}
    text = "\n".join(pagewalk.words(found, ADDRESS))
    assert "present writable user accessed dirty no-execute" in text
    assert text.endswith("mapped, at the physical address 0xabcdabc")


def test_a_walk_ends_where_nothing_is_mapped() -> None:
    found = steps(0x2067, 0x3067, 0)
    assert len(found) == 3 and "this entry is empty" in pagewalk.words(found, ADDRESS)[-1]
    swapped = pagewalk.words(steps(0x2067, 0x3067, 0x4067, 0x1234_0000), ADDRESS)
    assert "swap entry or broken" in swapped[-1] and "not present" in swapped[-2]


def test_a_large_page_is_the_end_of_a_walk() -> None:
    found = steps(0x2067, 0x3067, 0x0020_00E7)
    inside = ADDRESS & 0x1F_FFFF
    assert pagewalk.words(found, ADDRESS)[-1].endswith(f"{0x200000 + inside:#x}")
    assert "large" in pagewalk.words(found, ADDRESS)[-2]


def test_a_table_that_the_dump_does_not_have_ends_the_walk() -> None:
    assert len(steps(0x2067, 0xFFF_0067)) == 2
    assert "does not have the table" in pagewalk.words([], 0)[0]


@pytest.mark.parametrize(("oops", "address"), [
    ("BUG: unable to handle page fault for address: ffffea0000000008\n#PF", 0xFFFFEA0000000008),
    ("BUG: kernel NULL pointer dereference, address: 0000000000000010", 0x10),
    ("general protection fault, probably for non-canonical address 0xdead000000000100: 0000",
     0xDEAD000000000100),
    ("kernel BUG at mm/memory.c:1234!", None), ("", None),
])
def test_the_address_of_an_oops(oops: str, address: int | None) -> None:
    assert faulting_address(oops) == address


@dataclass
class Named:
    """A symbol."""

    name: str


class Wordless:
    """A program of drgn's that knows no types and has one page table."""

    def __init__(self) -> None:
        self.memory = memory(0x2067, 0x3067, 0)

    def read_u64(self, address: int, physical: bool) -> int:
        assert physical
        return self.memory[address]

    def crashed_thread(self) -> None:
        raise LookupError("could not find 'runqueues'")

    threads = crashed_thread

    def symbol(self, address: int) -> Named:
        return Named("do_idle")

    def type(self, name: str) -> None:
        raise LookupError(name)


def test_a_kernel_without_types_still_has_a_page_table() -> None:
    text = describe(Wordless(), [CpuState(0, 0xFFFFFFFF81000000, 0, ADDRESS, 0x1000)], None, "BUG")
    assert text.startswith("BUG\n") and "no types of this kernel are at hand" in text
    assert f"last page fault of CPU 0, {ADDRESS:#x}" in text and "this entry is empty" in text
    assert "CPU 0 at 0xffffffff81000000 (do_idle)" in text
    assert "the faulting address, 0x10" in describe(
        Wordless(), [CpuState(0, 0, 0, 0, 0x1000)], 0x10, ""
    )
    assert "no registers" in describe(Wordless(), [], None, "")


class Stacked:
    """A thread whose stack leads into a program."""

    def stack_trace(self) -> Stacked:
        return self

    def __str__(self) -> str:
        return "#0  panic+0x1/0x2\n#1  0xffffffffc0000000\n#2  0x7fd38837f350\n#3  0x0\n#4  0x0"


def test_a_stack_ends_where_the_kernel_was_entered() -> None:
    assert dumpwords._stack(Stacked()) == [
        "  #0  panic+0x1/0x2", "  #1  0xffffffffc0000000", "  user space, at 0x7fd38837f350",
    ]


def test_what_a_kernel_would_say_of_itself() -> None:
    symbols = {"_stext": 0xFFFFFFFF81000000, "init_top_pgt": 0xFFFFFFFF82000000}
    rows = opening.vmcoreinfo(symbols, "6.1.192", "abcd", 5).splitlines()
    assert {"OSRELEASE=6.1.192", "BUILD-ID=abcd", "SYMBOL(swapper_pg_dir)=ffffffff82000000",
            "NUMBER(pgtable_l5_enabled)=1", "KERNELOFFSET=0"} <= set(rows)
    with pytest.raises(UserError, match="x86-64"):
        opening.vmcoreinfo({}, "6.1", "", 4)
