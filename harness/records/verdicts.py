"""How one test ended on one variant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

from pydantic import Field

from harness.core import digest
from harness.records.events import Event
from harness.records.plans import SuitePlan
from harness.records.record import Name, Record, Scalar

Word: TypeAlias = Literal[
    "pass", "fail", "broken", "skip", "timeout", "hang", "lost", "crash", "not run",
]
"""``broken``: the test could not do its work. ``timeout``: the guest still answered;
``hang``: it did not; ``lost``: its SSH connection went and no crash was seen."""
BAD: frozenset[Word] = frozenset({"fail", "broken", "timeout", "hang", "lost", "crash"})
Said: TypeAlias = Scalar | list[Scalar] | None


class Verdict(Record):
    """One execution of one test."""

    suite: Name
    test: str
    variant: Name
    verdict: Word
    reason: str = ""
    seed: int = 0
    seconds: float = 0.0
    """Host seconds it took."""
    output: dict[str, Said] = Field(default_factory=dict)
    """What the test itself reported: its last line that is a JSON object, without what nests."""
    parts: dict[str, Word] = Field(default_factory=dict)
    """Verdicts of the test's own sub-tests, where it names them."""
    events: list[Event] = Field(default_factory=list)
    """Everything the kernel complained of meanwhile."""
    boot: int = 0
    attempt: int = 0
    """0 for the planned execution, then 1 and up for those that confirm a difference."""
    command: str = ""
    """What was run in the guest."""
    limits: tuple[float, float] = (120.0, 0.0)
    """Its seconds, those that are stretched and those that are not."""
    log: str = ""
    """The test's output, relative to the run's directory."""

    dump: str = ""
    """The guest's memory behind a crash or a hang, relative to the run's directory; what it shows
    is in the file beside it that ends in ``.txt``. Empty: none was taken."""

    @property
    def ident(self) -> str:
        """The ID by which `harness reproduce` knows a test on a variant; no run is in it."""
        return digest.key([self.suite, self.variant, self.test, self.seed])[:8]


def not_run(plan: SuitePlan, found: Iterable[Verdict]) -> list[Verdict]:
    """A verdict ``not run`` for every planned test of every variant that has none."""
    seen = {(v.variant, v.test, v.seed) for v in found}
    return [
        Verdict(
            suite=plan.suite, test=test.name, variant=variant, verdict="not run", seed=test.seed,
            reason="the run ended before it", command=test.command,
            limits=(test.seconds, test.fixed),
        )
        for variant in plan.variants for test in plan.tests
        if (variant, test.name, test.seed) not in seen
    ]
