"""What many nights say together: hours, how seldom a kernel fails, and which tests are flaky.

Failures of a kernel are taken for a Poisson process: with no failure in T hours a rate of more than
3 / T (exactly 2.996) is excluded with a probability of 95 %, and with k failures what the quantile
of chi squared with 2 k + 2 degrees of freedom says. The hours are those of the clock: under
emulation a kernel does less in one than on a CPU.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from harness.core.plurals import plural
from harness.records.boots import BootRecord
from harness.records.night import NightRow
from harness.records.runs import Run
from harness.records.store import load_verdicts
from harness.records.verdicts import BAD, Verdict

CONFIDENCE = 0.95
FAILED = frozenset({"crash", "hang"})
"""Verdicts in which the kernel itself failed."""
UNKNOWN = "not recorded"
Place: TypeAlias = tuple[str, str, str]
"""A variant, a host, an accel."""


@dataclass(frozen=True)
class Rate:
    """Failures in so many hours."""

    failures: int
    hours: float

    @property
    def bound(self) -> float:
        """The rate in 1/h that is not exceeded, with a probability of 95 %."""
        from scipy.stats import chi2  # noqa: PLC0415

        return float(chi2.ppf(CONFIDENCE, 2 * self.failures + 2)) / 2 / self.hours

    def words(self) -> str:
        """``0 in 412 h: less than one in 137 h``; with failures the observed rate as well."""
        if self.hours <= 0:
            return f"{self.failures} in no time at all"
        seen = "" if not self.failures else f"one in {span(self.hours / self.failures)}, "
        return f"{self.failures} in {span(self.hours)}: {seen}{self.excluding()}"

    def excluding(self) -> str:
        """``less than one in 137 h``; hours are needed for it."""
        return f"less than one in {span(_cut(1 / self.bound))}"


def _cut(hours: float) -> float:
    """Three digits, rounded down: a bound must not promise more than there is."""
    if hours >= 100:
        return float(int(hours))
    step = 10.0 ** (math.floor(math.log10(hours)) - 2)
    return math.floor(hours / step + 1e-9) * step


def span(hours: float) -> str:
    """Hours with three digits; what is short, in minutes or seconds."""
    if hours < 1 / 60:
        return f"{3600 * hours:.2g} s"
    if hours < 1:
        return f"{60 * hours:.2g} min"
    return f"{hours:.0f} h" if hours >= 99.5 else f"{hours:.3g} h"


@dataclass
class NightGroup:
    """All nights of one suite on one variant of one base and release, on one host."""

    suite: str
    variant: str
    base: str
    release: str
    host: str
    accel: str
    rows: list[NightRow] = field(default_factory=list)

    @property
    def rate(self) -> Rate:
        """Of all of its builds."""
        return _rate(self.rows)

    @property
    def builds(self) -> list[str]:
        """Their keys, the newest last."""
        return list(dict.fromkeys(row.kernel for row in self.rows))

    @property
    def newest(self) -> Rate:
        """Of the newest build alone: what is known of the kernel as it is now."""
        return _rate([row for row in self.rows if row.kernel == self.builds[-1]])


def _rate(rows: Iterable[NightRow]) -> Rate:
    failures = hours = 0.0
    for row in rows:
        failures += row.crashes + row.hangs
        hours += row.hours
    return Rate(int(failures), hours)


def groups(rows: Iterable[NightRow]) -> list[NightGroup]:
    """In the order of their names. Rows of before hosts were recorded have none."""
    found: dict[tuple[str, ...], NightGroup] = {}
    for row in sorted(rows, key=lambda one: one.night):
        key = (row.suite, row.variant, row.base, row.release, row.host or UNKNOWN, row.accel)
        found.setdefault(key, NightGroup(*key)).rows.append(row)
    return [found[key] for key in sorted(found)]


def by_kernel(found: Iterable[NightGroup]) -> list[NightGroup]:
    """The same over all suites and hosts: a group for each variant of a base and release."""
    whole: dict[tuple[str, str, str], NightGroup] = {}
    for one in found:
        key = (one.variant, one.base, one.release)
        group = whole.setdefault(key, NightGroup("", *key, "", ""))
        group.rows = sorted([*group.rows, *one.rows], key=lambda row: row.night)
    return [whole[key] for key in sorted(whole)]


@dataclass(frozen=True)
class Flaky:
    """A test that passed and failed on one and the same build."""

    suite: str
    variant: str
    test: str
    kernel: str
    bad: int
    times: int
    """That it ran to a verdict, skips left out."""
    words: str
    """How it failed: ``2 fail, 1 timeout``."""
    last: str
    """The night of the last failure."""

    @property
    def share(self) -> str:
        """``3 of 41, 7.3 % (95 %: 1.5 to 19.9 %)``, by Clopper and Pearson."""
        from scipy.stats import binomtest  # noqa: PLC0415

        ends = binomtest(self.bad, self.times).proportion_ci(CONFIDENCE)
        return f"{self.bad} of {self.times}, {100 * self.bad / self.times:.2g} % " \
               f"(95 %: {100 * ends.low:.2g} to {100 * ends.high:.2g} %)"


def flaky(root: Path, rows: Sequence[NightRow]) -> list[Flaky]:
    """What is flaky, the most often failing first; from the verdicts that nights keep for ever.

    Seeds differ from night to night and are no part of what a test is here: a race that fails
    with one seed in a hundred is just what is looked for.
    """
    kernels = {(row.night, row.part, row.variant): row.kernel for row in rows}
    ends: dict[tuple[str, str, str, str], Counter[str]] = {}
    last: dict[tuple[str, str, str, str], str] = {}
    for night, part in sorted({(row.night, row.part) for row in rows}):
        for verdict in load_verdicts(root / night / part)[0]:
            kernel = kernels.get((night, part, verdict.variant))
            if kernel is None:
                continue
            key = (verdict.suite, verdict.variant, verdict.test, kernel)
            ends.setdefault(key, Counter())[verdict.verdict] += 1
            if verdict.verdict in BAD:
                last[key] = night
    found = [
        Flaky(*key, bad=sum(counts[word] for word in BAD), last=last[key],
              times=counts["pass"] + sum(counts[word] for word in BAD),
              words=", ".join(f"{counts[word]} {word}" for word in sorted(BAD) if counts[word]))
        for key, counts in ends.items() if counts["pass"] and key in last
    ]
    return sorted(found, key=lambda one: (-one.bad / one.times, one.suite, one.test))


def where(run: Run, boot: BootRecord | None) -> tuple[str, str]:
    """The host that a test of a run ran on, as a person calls it, and the accel."""
    plan = run.plan
    accel = boot.accel if boot else run.accels[0].name if run.accels else "auto"
    if boot is not None and boot.ran_on:
        return boot.ran_on, accel
    here = run.host.name or run.host.label  # records of earlier versions have no name
    return (here if plan.machine == "guest" else plan.machine), accel


def by_host(
    verdicts: Iterable[Verdict], run: Run, boots: Iterable[BootRecord]
) -> dict[Place, list[Verdict]]:
    """Verdicts by variant, host and accel, in their order."""
    known = {(one.variant, one.boot): one for one in boots}
    found: dict[Place, list[Verdict]] = {}
    for verdict in verdicts:
        ran = verdict.verdict != "not run" and bool(verdict.seconds or verdict.log)
        boot = known.get((verdict.variant, verdict.boot)) if ran else None
        found.setdefault((verdict.variant, *where(run, boot)), []).append(verdict)
    return found


def in_words(rows: Iterable[NightRow]) -> list[str]:
    """A line for each kernel over all suites and hosts, for the terminal."""
    return [
        f"{one.variant} {one.release}: {one.rate.words()} ({plural(len(one.builds), 'build')})"
        for one in by_kernel(groups(rows))
    ]
