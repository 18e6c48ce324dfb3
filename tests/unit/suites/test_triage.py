"""The same bug is one entry; its oops is readable without debug information."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.kernel.build import decode
from harness.machine.oops import Collector
from harness.records.events import Event
from harness.records.verdicts import Verdict
from harness.suites.triage import Signature, all_known, load_known, signature, sort_bugs
from tests.places import DATA

OOPS = """\
[   12.1] BUG: unable to handle page fault for address: ffff88800{n}000
[   12.1] #PF: supervisor read access in kernel mode
[   12.1] Oops: 0000 [#1] SMP
[   12.1] CPU: {n} PID: 77{n} Comm: race-fork Not tainted 6.1.192 #1
[   12.1] RIP: 0010:copy_pte_range.isra.0+0x{n}4/0xa40
[   12.1] Call Trace:
[   12.1]  <TASK>
[   12.1]  ? __die_body.cold+0x1a/0x1f
[   12.1]  copy_page_range+0x3{n}1/0x900
[   12.1]  dup_mmap+0x2f0/0x640
[   12.1]  kernel_clone+0x9d/0x3b0
[   12.1]  </TASK>
"""
KASAN = """\
BUG: KASAN: use-after-free in do_anonymous_page+0x1c/0x500
Read of size 8 at addr ffff888 by task x/1
Call Trace:
 <TASK>
 dump_stack_lvl+0x33/0x42
 print_report+0xc1/0x5e0
 kasan_report+0xaf/0xe0
 do_anonymous_page+0x1c/0x500
 __handle_mm_fault+0x900/0xf00
 </TASK>
Freed by task 99:
 pte_free+0x1/0x2
"""


def test_a_captured_panic() -> None:
    collector = Collector()
    for line in (DATA / "console-sysrq-crash.txt").read_text().splitlines():
        collector.feed(line)
    (event,) = collector.events
    assert signature(event.kind, event.text).frames == (
        "sysrq_handle_crash", "__handle_sysrq", "write_sysrq_trigger",
    )


def test_numbers_do_not_make_another_bug() -> None:
    one, two = (signature("oops", OOPS.format(n=n)) for n in (1, 2))
    assert one.frames == ("copy_pte_range", "copy_page_range", "dup_mmap")
    assert one.ident == two.ident and one.title != two.title


def test_reporters_and_other_stacks_are_no_frames() -> None:
    assert signature("kasan", KASAN).frames == ("do_anonymous_page", "__handle_mm_fault")


def test_without_a_stack_the_announcement_counts() -> None:
    def mark(n: int) -> Signature:
        return signature("bad-page", f"BUG: non-zero pgtables_bytes on freeing mm: {n}")

    assert mark(4096).ident == mark(-8192).ident
    assert mark(1).ident != signature("bad-page", "BUG: Bad page state in process x").ident


def verdict(test: str, *oopses: str) -> Verdict:
    events = [Event(kind="oops", title=text.splitlines()[0], text=text) for text in oopses]
    return Verdict(suite="s", test=test, variant="after", verdict="crash", events=events)


def test_bugs_are_counted_and_known_ones_come_last() -> None:
    first = verdict("a", OOPS.format(n=1), "BUG: other")
    second = verdict("b", OOPS.format(n=2))
    known = {signature("oops", OOPS.format(n=3)).ident: "vanilla"}
    bugs = sort_bugs([first, second], known)
    assert [(bug.count, bug.known) for bug in bugs] == [(1, ""), (2, "vanilla")]
    assert all_known(second, known) and not all_known(first, known)
    assert not all_known(verdict("c"), known)


def test_the_list_of_known_issues(tmp_path: Path) -> None:
    assert load_known(tmp_path) == {}
    (tmp_path / "known-issues.toml").write_text('[[issue]]\nsignature = "1a"\nnote = "n"\n')
    assert load_known(tmp_path) == {"1a": "n"}
    (tmp_path / "known-issues.toml").write_text('[[issue]]\nsig = "1a"\n')
    with pytest.raises(UserError, match=r"\[\[issue\]\] with signature and note"):
        load_known(tmp_path)


def test_bare_addresses_get_symbols(tmp_path: Path) -> None:
    (tmp_path / "System.map").write_text(
        "ffffffff81000000 T _stext\nffffffff81000100 t copy_pte_range\n"
        "ffffffff81000200 D some_data\nffffffff81000300 T _etext\n"
    )
    text = decode.decode("R10: ffffffff81000112 RBX: ffff888100000000", tmp_path, None)
    assert text.startswith(
        "R10: ffffffff81000112 (copy_pte_range+0x12) RBX: ffff888100000000\n"
    )
    assert decode.NO_LINES in text
