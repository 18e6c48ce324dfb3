"""The kernel's own memory-management selftests, one at a time.

A tree's ``run_vmtests.sh`` knows the list of tests, their arguments (which depend on
the guest: CPUs, huge pages) and the set-up around each (huge pages, a mount, limits).
So the script itself is run, in the guest, once per test: bash reads a ``run_test`` of
ours before it (guest/suites/selftests.sh) that runs nothing but that one. Parsing the
script would be a guess about shell, and its one run as a whole has one verdict for
fifty tests and none for those behind the first that kills the kernel.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import digest
from harness.core.errors import InfrastructureError, UserError
from harness.image.disk import get_disk
from harness.image.programs import GUEST_DIR
from harness.kernel.source.sources import Source, get_source
from harness.records.plans import PlannedTest, SuitePlan
from harness.records.verdicts import Word
from harness.suites import selftests_tree
from harness.suites.choose import choose
from harness.suites.judgement import Judgement, Outcome
from harness.suites.suite import Suite
from harness.suites.swap import give_swap
from harness.suites.workbench import Workbench

if TYPE_CHECKING:
    from harness.machine.session import Session

NAME = "selftests"
PLACE = f"{GUEST_DIR}/{NAME}"
HOOK = "selftests.sh"
SCRIPT = "run_vmtests.sh"
SECONDS = 120.0  # the tree says 45, but under TCG userfaultfd compares 256 MB bytewise for minutes
# khugepaged wants a gigabyte of huge pages: what earlier tests left in pieces made it fail.
TIDY = "sync; echo 3 > /proc/sys/vm/drop_caches; echo 1 > /proc/sys/vm/compact_memory"
SKIP_CODE, NOT_FOUND, UNREACHED = 4, 127, 250
# Not called by 6.1's script, and about nothing but page tables. What a newer script calls is
# left to it.
# Each with what must be there for it.
MORE = (
    ("khugepaged", "/sys/kernel/mm/transparent_hugepage/khugepaged"),
    ("khugepaged all:shmem", "/sys/kernel/mm/transparent_hugepage/khugepaged"),
    ("migration", "/sys/devices/system/node/node1"),
    ("split_huge_page_test", "/sys/kernel/debug/split_huge_pages"),
    ("hmm-tests", "/dev/hmm_dmirror0"),  # the script wants the driver as a module
)
_TAP = re.compile(r"^[#\s]*(not ok|ok)\s+\d+\s*-?\s*(.*)$")


class SelftestSuite(Suite):
    """The selftests of the variants' base, compiled from its tree, on a read-only disk."""

    name = NAME
    title = "the kernel's own memory-management selftests, of the variants' base"

    def disks(self, lab: Workbench, plan: SuitePlan) -> list[Path]:
        """The compiled suite with our two scripts; compiled if it is not in the cache."""
        source = get_source(
            lab.workspace, lab.project, one_base(lab, plan.variants), progress=lab.progress
        )
        return [disk(lab, source)]

    def prepare(self, session: Session, lab: Workbench, plan: SuitePlan) -> None:
        """Copy the suite from its read-only disk: the tests write beside themselves.

        What else they skip themselves without: debugfs, and somewhere to swap to.
        """
        session.run(
            f"mkdir -p /mnt/suite {PLACE} && mount -o ro /dev/vdb /mnt/suite && "
            f"cp -a /mnt/suite/. {PLACE}/ && umount /mnt/suite\n"
            "{ mount -t debugfs debugfs /sys/kernel/debug || true; } 2>/dev/null",
            seconds=60.0,
        )
        give_swap(session)

    def ask(self, session: Session, plan: SuitePlan) -> list[PlannedTest]:
        """What the tree's script would run in this guest, and programs that it forgets."""
        return listed(session, plan.wanted)

    def judge(self, outcome: Outcome) -> Judgement:
        """By kselftest's exit codes and TAP lines."""
        return judge(outcome)


def one_base(lab: Workbench, variants: Sequence[str]) -> str:
    """The base of all variants; :class:`UserError` when there are several."""
    bases = {lab.project.base_name(variant) for variant in variants}
    if len(bases) > 1:
        raise UserError(
            f"the variants have different bases: {', '.join(sorted(bases))}",
            hint="each base has selftests of its own; run them apart",
        )
    return bases.pop()


def disk(lab: Workbench, source: Source) -> Path:
    """The disk with the selftests of a tree, made if it is not in the cache."""
    files = [lab.project.file(f"guest/suites/{name}") for name in (HOOK, "sudo")]
    key = digest.key([selftests_tree.key(source), *map(digest.of_file, files)])

    def populate(root: Path) -> None:
        selftests_tree.compile_into(lab.workspace, source, root, lab.progress)
        (root / "bin").mkdir()
        shutil.copy(files[0], root / HOOK)
        shutil.copy(files[1], root / "bin" / "sudo")

    return get_disk(lab.workspace, NAME, key, populate, lab.progress)


def listed(session: Session, only: Sequence[str]) -> list[PlannedTest]:
    """The tests that the script would run in this guest, and programs it forgets.

    Raises :class:`InfrastructureError` with the script's words when it lists none and
    :class:`UserError` when ``only`` (names, first words or patterns) matches nothing.
    """
    listing = "/tmp/selftests.list"
    result = session.run(_script(f"HARNESS_LIST={listing}") + f"; cat {listing} >&2",
                       seconds=90.0, check=False)
    lines = [line for line in result.stderr.splitlines() if "readonly function" not in line]
    if not lines or "No such file" in lines[-1]:
        raise InfrastructureError(
            f"{SCRIPT} lists no test", excerpt=result.stdout[-1000:] or "\n".join(lines[-5:])
        )
    tests = [
        PlannedTest(name=name(line), command=command(line), seconds=SECONDS)
        for line in dict.fromkeys(lines)
    ]
    needed = " ".join(path for _, path in MORE)
    there = session.run(f"cd {PLACE} && ls -d * {needed} 2>/dev/null", check=False).stdout.split()
    called = {test.name.split()[0] for test in tests}
    tests += [
        PlannedTest(name=line, command=f"{TIDY}; cd {PLACE} && ./{line}", seconds=SECONDS)
        for line, need in MORE
        if {line.split()[0], need} <= set(there) and line.split()[0] not in called
    ]
    return choose(tests, only)


def name(line: str) -> str:
    """A test's name: its command line as the script has it, without the leading ``./``."""
    return line.removeprefix("./")


def command(line: str) -> str:
    """The shell command that runs the script for this one test; exits as the test did."""
    code = "/tmp/selftests.code"
    wanted = f"HARNESS_TEST={shlex.quote(line)} HARNESS_CODE={code}"
    return (
        f"rm -f {code}; {TIDY}; {_script(wanted)}; "
        f"exit $(cat {code} 2>/dev/null || echo {UNREACHED})"
    )


def _script(variables: str) -> str:
    return (
        f"cd {PLACE} && PATH={PLACE}/bin:$PATH BASH_ENV={PLACE}/{HOOK} {variables} "
        f"bash ./{SCRIPT}"
    )


def judge(outcome: Outcome) -> Judgement:
    """The verdict by kselftest's exit codes; its sub-tests' by their TAP lines."""
    if outcome.code == UNREACHED:
        return Judgement("not run", f"the script's set-up failed: {outcome.last_words}")
    outcome = replace(outcome, text=own_output(outcome.text))
    parts = subtests(outcome.text)
    bad = [part for part, word in parts.items() if word == "fail"]
    if outcome.code == SKIP_CODE:
        return Judgement("skip", skip_reason(outcome), parts=parts)
    if outcome.code == NOT_FOUND:
        return Judgement("not run", f"the program is not there: {outcome.last_words}")
    if outcome.code == 0 and not bad:
        return Judgement("pass", parts=parts)
    if bad:
        reason = f"{len(bad)} of {len(parts)} sub-tests: {bad[0]}"
    else:
        reason = _complaint(outcome) or f"exit code {outcome.code}"
    return Judgement("fail", reason, parts=parts)


def own_output(text: str) -> str:
    """What the test itself printed, without the script's words before and behind it."""
    _, begun, rest = text.partition("[harness] begin\n")
    return rest.partition("[harness] end")[0] if begun else text


def subtests(text: str) -> dict[str, Word]:
    """The sub-tests a program reports as TAP; two of one name are told apart by a number."""
    found: dict[str, Word] = {}
    for line in text.splitlines():
        if match := _TAP.match(line):
            title, _, directive = match[2].partition(" # ")
            label = title.strip() or "unnamed"
            count = 2
            while label in found:
                label = f"{title.strip()} ({count})"
                count += 1
            skipped = directive.upper().startswith("SKIP") or match[2].upper().startswith("# SKIP")
            found[label] = "skip" if skipped else "pass" if match[1] == "ok" else "fail"
    return found


def skip_reason(outcome: Outcome) -> str:
    """The line in which a test says why it skipped itself."""
    if said := re.search(r"# SKIP (.*\S)", outcome.text):
        return said[1][:200]
    for line in reversed(outcome.text.splitlines()):
        if re.search(r"skip|requires|not (supported|enabled|available)|unavailable", line, re.I):
            return line.strip("#[]- \t")[:200] or "[SKIP]"
    return outcome.last_words


def _complaint(outcome: Outcome) -> str:
    """The line in which a test says what failed."""
    lines = [line.strip() for line in outcome.text.splitlines() if line.strip()]
    for line in reversed(lines):
        if re.search(r"fail|error|unexpected|mismatch|cannot|could not", line, re.I):
            return line[:200]
    return outcome.last_words
