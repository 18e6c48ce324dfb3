"""What kernels in trouble print is recognised, and what healthy ones print is not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.core.deadline import Deadline
from harness.core.errors import GuestCrash, InfrastructureError
from harness.machine.console import Console
from harness.machine.oops import Collector, classify
from harness.records.events import Event
from tests.places import DATA


def events(name: str) -> list[Event]:
    collector = Collector()
    for line in (DATA / name).read_text().splitlines():
        collector.feed(line)
    return collector.events


def test_sysrq_crash_as_captured() -> None:
    found = events("console-sysrq-crash.txt")
    assert [(e.kind, e.fatal) for e in found] == [("panic", True)]
    assert "sysrq triggered crash" in found[0].title
    assert "Call Trace" in found[0].text


def test_panic_at_boot_as_captured() -> None:
    found = events("console-no-init.txt")
    assert [(e.kind, e.fatal) for e in found] == [("panic", True)]
    assert "Requested init" in found[0].title


def test_healthy_boot_as_captured() -> None:
    assert events("console-healthy.txt") == []


# The first lines of kernel reports, from printk formats of 6.1.
@pytest.mark.parametrize(("line", "kind", "fatal"), [
    ("BUG: unable to handle page fault for address: ffffea0000000008", "oops", True),
    ("BUG: kernel NULL pointer dereference, address: 0000000000000028", "oops", True),
    ("general protection fault, probably for non-canonical address 0xdead: 0000 [#1] PREEMPT SMP",
     "oops", True),
    ("kernel BUG at mm/memory.c:123!", "oops", True),
    ("BUG: KASAN: use-after-free in __pte_offset_map_lock+0x1d/0x90", "kasan", True),
    ("BUG: KFENCE: use-after-free read in ptlock_free+0x10/0x20", "kfence", True),
    ("BUG: Bad page state in process vmpte  pfn:12345", "bad-page", True),
    ("BUG: Bad page map in process x  pte:8000 pmd:1234", "bad-page", True),
    ("BUG: Bad rss-counter state mm:0000 type:MM_ANONPAGES val:1", "bad-page", True),
    ("BUG: non-zero pgtables_bytes on freeing mm: 4096", "bad-page", True),
    ("pagealloc: memory corruption", "bad-page", True),
    ("WARNING: possible circular locking dependency detected", "lockdep", False),
    ("WARNING: possible recursive locking detected", "lockdep", False),
    ("WARNING: suspicious RCU usage", "lockdep", False),
    ("BUG: sleeping function called from invalid context at mm/page_alloc.c:1", "atomic-sleep",
     False),
    ("BUG: scheduling while atomic: vmpte/123/0x00000002", "atomic-sleep", False),
    ("WARNING: CPU: 1 PID: 77 at mm/memory.c:5 zap_pte_range+0x1/0x2", "warning", False),
    ("watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [vmpte:99]", "soft-lockup", False),
    ("rcu: INFO: rcu_sched detected stalls on CPUs/tasks:", "rcu-stall", False),
    ("rcu: INFO: rcu_preempt self-detected stall on CPU", "rcu-stall", False),
    ("INFO: task khugepaged:42 blocked for more than 120 seconds.", "hung-task", False),
    ("Out of memory: Killed process 123 (multi-fault) total-vm:1kB", "oom", False),
    ("list_del corruption. prev->next should be ffff, but was 0000", "list-corruption", False),
    ("BUG kmalloc-64 (Not tainted): Poison overwritten", "slab", True),
    ("Kernel panic - not syncing: Fatal exception", "panic", True),
])
def test_kinds(line: str, kind: str, fatal: bool) -> None:
    for text in (line, f"[   12.345678] {line}", f"<4>[   12.345678][  T123] {line}"):
        found = classify(text)
        assert found is not None and (found.name, found.fatal) == (kind, fatal)


@pytest.mark.parametrize("line", [
    "Memory: 4037760K/4193908K available",
    "debug: unmapping init memory",
    "pte-harness: ready",
    "x86/fpu: x87 FPU will use FXSAVE",
    "Freeing unused kernel image (initmem) memory: 864K",
    "DEBUG: this is not a bug",
])
def test_no_kinds(line: str) -> None:
    assert classify(f"[    1.000000] {line}") is None


def test_an_oops_and_the_panic_it_causes_are_one_event() -> None:
    collector = Collector()
    for line in ("BUG: unable to handle page fault for address: ffff", "#PF: supervisor read",
                 "Call Trace:", " <TASK>", " zap_pte_range+0x1/0x2", " </TASK>",
                 "---[ end trace 0000000000000000 ]---",
                 "Kernel panic - not syncing: Fatal exception"):
        collector.feed(line)
    assert len(collector.events) == 1
    assert collector.events[0].kind == "oops"


def test_two_warnings_are_two_events() -> None:
    collector = Collector()
    for line in ("WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2", "Call Trace:", " f+0x1/0x2",
                 "---[ end trace 0000000000000000 ]---", "some driver: fine",
                 "WARNING: CPU: 0 PID: 1 at b.c:1 g+0x1/0x2"):
        collector.feed(line)
    assert [e.title.split()[6] for e in collector.events] == ["a.c:1", "b.c:1"]


@pytest.fixture
def wire(tmp_path: Path) -> tuple[socket.socket, Console]:
    ours, guests = socket.socketpair()
    return guests, Console(ours, tmp_path / "console.log")


def test_console_finds_a_word_said_before_and_after(
    wire: tuple[socket.socket, Console]
) -> None:
    guest, console = wire
    guest.sendall(b"hello\r\npte-harness: ready\r\n")
    assert "ready" in console.wait_for("ready", Deadline(5), "get ready")
    guest.close()
    console.close()
    assert console.closed


def test_console_ends_a_wait_at_a_panic(wire: tuple[socket.socket, Console]) -> None:
    guest, console = wire
    guest.sendall((DATA / "console-sysrq-crash.txt").read_bytes())
    guest.close()
    with pytest.raises(GuestCrash, match="sysrq triggered crash") as caught:
        console.wait_for("never", Deadline(30), "say so")
    assert caught.value.kind == "panic" and "Call Trace" in caught.value.oops


def test_console_tells_a_death_from_a_silence(wire: tuple[socket.socket, Console]) -> None:
    guest, console = wire
    with pytest.raises(InfrastructureError, match="did not get ready within 0 s"):
        console.wait_for("ready", Deadline(0.2), "get ready")
    guest.close()
    with pytest.raises(InfrastructureError, match="QEMU ended"):
        console.wait_for("ready", Deadline(5), "get ready")


def test_console_survives_garbage(wire: tuple[socket.socket, Console]) -> None:
    guest, console = wire
    guest.sendall(bytes(range(256)) * 20 + b"\nready\n")
    assert console.wait_for("^ready", Deadline(5), "get ready") == "ready"
    guest.close()
    console.close()
