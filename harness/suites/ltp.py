"""LTP, test by test, by our own runner under our console watcher.

kirk, LTP's own executor, was measured against what is asked here: a dropped connection
aborts its session, and the culprit and all tests behind it are missing from its report;
it never sees the serial console; its exit code is 0 after a panic. Wrapped, it would run
one test per session and still leave the attribution to us. What it does beyond that is
to read ``runtest`` files and exit codes, which are LTP's own interface.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserError
from harness.records.plans import PlannedTest, SuitePlan
from harness.records.verdicts import Word
from harness.suites.choose import choose
from harness.suites.judgement import Judgement, Outcome
from harness.suites.ltp_tree import LtpTree, open_tree
from harness.suites.suite import Option, Suite
from harness.suites.swap import OFF, ON, give_swap
from harness.suites.workbench import Workbench

if TYPE_CHECKING:
    from harness.machine.session import Session

NAME = "ltp"
PLACE = "/opt/ltp"
SCRATCH = "/var/tmp/ltp"  # the root disk: tmpfs has no swap files and no direct I/O
PATIENCE = "/run/ltp.env"
SECONDS = 120.0
TFAIL, TBROK, TWARN, TCONF = 1, 2, 4, 32
NOT_FOUND, SIGNAL = 127, 128
# Out of memory comes when swap is full as well. Under TCG reclaim writes it more slowly than ksmd
# merges pages: oom02 takes 25 seconds without swap and was not done after seven minutes with it.
SWAPLESS = re.compile(r"oom\d")
BITS: tuple[tuple[int, Word, str], ...] = (
    (TFAIL, "fail", "TFAIL"), (TBROK, "broken", "TBROK"), (TWARN, "broken", "TWARN"),
)


class LtpSuite(Suite):
    """Runtest files of an installed LTP tree, which a read-only disk carries into the guest."""

    name = NAME
    title = "the Linux Test Project, of an installed tree (--ltp, or [settings.ltp] path)"
    takes: frozenset[Option] = frozenset({"ltp", "lists", "skip_file", "test_seconds"})

    def tests(self, lab: Workbench, plan: SuitePlan) -> list[PlannedTest]:
        """The tests of the runtest files asked for, or of those that harness.toml names."""
        return planned(
            tree_of(lab, plan), plan.lists, only=plan.wanted,
            skip=read_skips(Path(plan.skip_file) if plan.skip_file else None),
            seconds=SECONDS if plan.test_seconds is None else plan.test_seconds,
        )

    def disks(self, lab: Workbench, plan: SuitePlan) -> list[Path]:
        """The tree's disk."""
        return [tree_of(lab, plan).disk(lab.workspace, lab.progress)]

    def prepare(self, session: Session, lab: Workbench, plan: SuitePlan) -> None:
        """Mount the tree, give swap, and say how much slower than a real machine this guest is."""
        patience = max(1, round(session.scaled(1.0)))
        session.run(
            f"mkdir -p {PLACE} {SCRATCH} && mount -o ro /dev/vdb {PLACE} && "
            f"echo export LTP_TIMEOUT_MUL={patience} > {PATIENCE}"
        )
        give_swap(session)

    def judge(self, outcome: Outcome) -> Judgement:
        """By LTP's exit codes, which are bits."""
        return judge(outcome)


def tree_of(lab: Workbench, plan: SuitePlan) -> LtpTree:
    """The tree that a plan names; :class:`UserError` when it names none or it is none."""
    return open_tree(lab.workspace, Path(plan.ltp) if plan.ltp else None)


def planned(
    tree: LtpTree, lists: Sequence[str], *, only: Sequence[str], skip: dict[str, str],
    seconds: float,
) -> list[PlannedTest]:
    """The tests of runtest files; ``skip``: test -> reason, ``seconds``: the most each may take.

    Raises :class:`UserError` for an unknown suite or test.
    """
    tests: dict[str, PlannedTest] = {}
    for suite in lists:
        for name, line in parse(tree.suite(suite)):
            label, known = name, tests.get(name)
            if known and known.command != command(line):
                label = f"{suite}:{name}"
            tests[label] = PlannedTest(
                name=label, command=command(line), seconds=seconds, skip=skip.get(name, "")
            )
    if not tests:
        raise UserError(f"the LTP suites {', '.join(lists)} hold no test")
    return choose(list(tests.values()), only)


def parse(text: str) -> list[tuple[str, str]]:
    """Name and command line of every test of a runtest file."""
    rows = []
    for raw in text.splitlines():
        words = raw.split(None, 1)
        if words and not words[0].startswith("#"):
            rows.append((words[0], words[1].strip() if len(words) > 1 else words[0]))
    return rows


def read_skips(path: Path | None) -> dict[str, str]:
    """The tests of a skip file: a name, and the reason behind it.

    Raises :class:`UserError` when it cannot be read.
    """
    if path is None:
        return {}
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    rows = [line.replace("#", " ", 1).split(None, 1) for line in lines
            if line.strip() and not line.lstrip().startswith("#")]
    return {row[0]: f"{path.name}: {row[1].strip() if len(row) > 1 else 'listed'}" for row in rows}


def command(line: str) -> str:
    """The shell command of one test: a clean environment, a scratch directory of its own."""
    before, after = (f"{OFF}; ", f"{ON}; ") if SWAPLESS.match(line) else ("", "")
    return (
        f"export LTPROOT={PLACE} TMPDIR={SCRATCH}/t LTP_COLORIZE_OUTPUT=n LANG=C "
        f"PATH={PLACE}/testcases/bin:{PLACE}/bin:$PATH\n. {PATIENCE}\n"
        f"rm -rf $TMPDIR; mkdir -p -m 1777 $TMPDIR; cd {PLACE}/testcases/bin\n"
        f"{before}sh -c {shlex.quote(line)}; code=$?\n{after}cd /; rm -rf $TMPDIR; exit $code"
    )


def judge(outcome: Outcome) -> Judgement:
    """The verdict by LTP's exit codes, which are bits; the reason is the line that says it."""
    code = outcome.code
    word, mark = _word(code)
    if word == "pass":
        return Judgement("pass")
    if code == NOT_FOUND:
        return Judgement("not run", f"the program is not there: {outcome.last_words}")
    if code > SIGNAL:
        return Judgement("broken", f"killed by signal {code - SIGNAL}")
    return Judgement(word, _line(outcome.text, mark) or outcome.last_words or f"exit code {code}")


def _word(code: int) -> tuple[Word, str]:
    if code == 0:
        return "pass", ""
    if code == TCONF:
        return "skip", "TCONF"
    if code < 0 or code > 63:
        return "broken", ""
    found = ((word, mark) for bit, word, mark in BITS if code & bit)
    return next(found, ("fail", ""))


def _line(text: str, mark: str) -> str:
    """The first line with a mark, without the program's name in front of it."""
    found = re.search(rf"{mark}\s*:?\s*(.+)$", text, re.MULTILINE) if mark else None
    return found[1].strip()[:200] if found else ""
