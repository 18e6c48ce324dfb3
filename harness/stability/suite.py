"""Runs tests in a guest one after the other, and goes on after whatever they do to it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.deadline import Deadline
from harness.core.errors import GuestCrash, InfrastructureError
from harness.machine.guest import Guest
from harness.stability.record import Verdict, Word

SKIP_CODE = 77  # automake's, and the race suite's
LEAK_SLACK = 16  # page tables that sshd and other bystanders may gain meanwhile
SETTLE_S = 3.0
QUIET_KINDS = frozenset({"oom"})  # a memory cgroup test provokes these; it judges them itself


@dataclass(frozen=True)
class TestCase:
    """One test: a command in the guest and how long it may take, in seconds under KVM."""

    __test__ = False  # pytest must not collect it

    name: str
    command: str
    seconds: float
    seed: int = 0


class SuiteRunner:
    """Runs a suite on one variant. ``boot`` gives a guest that is not started yet."""

    def __init__(
        self, suite: str, variant: str, boot: Callable[[int], Guest],
        prepare: Callable[[Guest], None],
    ) -> None:
        self.suite, self.variant = suite, variant
        self._boot, self._prepare = boot, prepare
        self.boots = 0

    def run(self, tests: Sequence[TestCase]) -> Iterator[Verdict]:
        """A verdict per test, in order; the guest is booted anew after a test that killed it.

        Raises :class:`InfrastructureError` when a fresh guest does not come up.
        """
        todo = list(tests)
        while todo:
            number = self.boots
            self.boots += 1
            guest = self._boot(number)
            with contextlib.ExitStack() as stack:
                stack.callback(guest.kill)
                guest.start()
                guest.wait_ready()
                guest.connect()
                self._prepare(guest)
                alive = True
                while todo and alive:
                    verdict = self._one(guest, todo.pop(0), number)
                    alive = verdict.verdict not in ("crash", "hang")
                    yield verdict
                if alive:
                    yield from self._last_words(guest, number)

    def _one(self, guest: Guest, test: TestCase, boot: int) -> Verdict:
        seen, start = len(guest.events), time.monotonic()
        before = page_tables(guest)
        word: Word
        output: dict[str, Any] = {}
        try:
            deadline = Deadline(test.seconds * 4 + guest.scaled(20.0))
            result = guest.session.run(test.command, deadline, check=False)
            guest.check()
            output = last_json(result.stdout)
            word, reason = judge(result.code, output, result.stderr)
            gained = self._leak(guest, before)
            if word == "pass" and gained > LEAK_SLACK:
                word, reason = "fail", f"the guest has {gained} more page tables than before"
        except GuestCrash as error:
            word, reason = "crash", error.message
        except InfrastructureError as error:
            word, reason = "hang", error.message
        splats = [e for e in guest.events[seen:] if e.kind not in QUIET_KINDS]
        if word in ("pass", "skip") and splats:
            word, reason = "fail", f"the kernel complained: {splats[0].title}"
        return Verdict(
            suite=self.suite, test=test.name, variant=self.variant, verdict=word, reason=reason,
            seed=test.seed, seconds=round(time.monotonic() - start, 1), output=output,
            splats=[e.text for e in splats], boot=boot,
        )

    def _last_words(self, guest: Guest, boot: int) -> Iterator[Verdict]:
        """Power off in good order: dying address spaces report leaked tables."""
        seen = len(guest.events)
        guest.power_off()
        splats = guest.events[seen:]
        if splats:
            yield Verdict(
                suite=self.suite, test="power-off", variant=self.variant, verdict="fail",
                reason=f"the kernel complained: {splats[0].title}",
                splats=[e.text for e in splats], boot=boot,
            )

    def _leak(self, guest: Guest, before: int) -> int:
        """How many page tables more than before, once the guest has settled."""
        deadline = Deadline(guest.scaled(SETTLE_S))
        gained = page_tables(guest) - before
        while gained > LEAK_SLACK and not deadline.expired:
            time.sleep(0.2)
            gained = page_tables(guest) - before
        return gained


def page_tables(guest: Guest) -> int:
    """``nr_page_table_pages`` of the guest, with the per-CPU parts folded in."""
    text = guest.run(
        "echo 1 > /proc/sys/vm/stat_refresh; grep -w nr_page_table_pages /proc/vmstat"
    ).stdout
    return int(text.split()[1])


def judge(code: int, output: dict[str, Any], errors: str) -> tuple[Word, str]:
    """The verdict of an exit code, with the test's own reason."""
    reason = str(output.get("reason") or "") or (errors.strip().splitlines() or [""])[-1]
    if code == 0:
        return "pass", ""
    if code == SKIP_CODE:
        return "skip", reason
    return "fail", reason or f"exit code {code}"


def last_json(text: str) -> dict[str, Any]:
    """The last line of output that is a JSON object; empty when there is none."""
    for line in reversed(text.splitlines()):
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    return {}
