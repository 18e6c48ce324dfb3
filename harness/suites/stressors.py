"""stress-ng's memory stressors with verification on, and trinity's memory calls.

Both are programs of others, taken from the guest's image (`packages` in harness.toml);
what an image does not have is skipped, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.records.plans import PlannedTest, SuitePlan
from harness.suites.choose import choose
from harness.suites.judgement import Judgement, Outcome
from harness.suites.suite import Option, Suite

if TYPE_CHECKING:
    from harness.machine.session import Session

SECONDS = 10  # per stressor where the user gives no time
# Exit codes of stress-ng(1).
OK, NOT_SUCCESS, NO_RESOURCE, NOT_IMPLEMENTED, BY_SIGNAL, VERIFY = 0, 2, 3, 4, 5, 8
_SKIPPED = re.compile(r"[\w-]+: .+, skipping.*|.*skipping stressor.*")
_DISABLED = re.compile(r"disabled '[\w-]+' as .*")  # two of the class, without --pathological
_BOGO = re.compile(r"metrc: \[\d+\] [\w-]+ +(\d+) ", re.MULTILINE)
_RAN = re.compile(r"Ran (\d+) syscalls")
# Its own group of memory calls. Without socket families to choose from it dies of a bug of its own.
TRINITY = "trinity -q -g vm --disable-fds=sockets --disable-fds=perf"


class StressNgSuite(Suite):
    """stress-ng's class ``vm`` with ``--verify``, each stressor for its share of the time."""

    name = "stress-ng"
    title = "stress-ng's memory stressors with verification, equal shares of the time"
    takes: frozenset[Option] = frozenset({"minutes", "seed"})

    def ask(self, session: Session, plan: SuitePlan) -> list[PlannedTest]:
        """The stressors that the image's stress-ng has."""
        return plan_stress(session, plan.wanted, plan.seconds, plan.seed)

    def judge(self, outcome: Outcome) -> Judgement:
        """By its exit codes and what it prints."""
        return judge_stress(outcome)


class TrinitySuite(Suite):
    """Random system calls of trinity's group ``vm``, as nobody; does the kernel live?"""

    name = "trinity"
    title = "trinity's random memory system calls, as an ordinary user"
    takes: frozenset[Option] = frozenset({"minutes", "seed"})

    def ask(self, session: Session, plan: SuitePlan) -> list[PlannedTest]:
        """One test, skipped where the image has no trinity."""
        return plan_trinity(session, plan.wanted, plan.seconds, plan.seed)

    def judge(self, outcome: Outcome) -> Judgement:
        """A kernel that lives through it passes."""
        return judge_trinity(outcome)


def plan_stress(
    session: Session, only: Sequence[str], seconds: float, seed: int
) -> list[PlannedTest]:
    """The stressors of the class vm that this guest's stress-ng has, with equal shares of time."""
    text = session.run("stress-ng --class vm? 2>&1 || true", check=False).stdout
    names = re.findall(r"[a-z][\w-]*", text.partition("stressors:")[2])
    each = max(2, round(seconds / len(names))) if seconds and names else SECONDS
    tests = [
        PlannedTest(
            name=name, seed=seed, seconds=30.0, fixed=4.0 * each,
            # --oomable: a stressor that the OOM killer takes is not started again.
            command=f"stress-ng --{name} 2 --verify --timeout {each}s --seed {seed} --oomable "
            "--vm-bytes 20% --metrics-brief --temp-path /var/tmp",
        )
        for name in names
    ]
    return choose(tests, only)


def judge_stress(outcome: Outcome) -> Judgement:
    """By stress-ng's exit codes; a failed verification names what did not match."""
    lines = [line for line in outcome.text.splitlines() if re.search(r"\bfail:|\berror:", line)]
    reason = re.sub(r"^stress-ng: (fail|error): +\[\d+\] *", "", lines[0]) if lines else ""
    if outcome.code == OK and not any("fail:" in line for line in lines):
        if skipped := _SKIPPED.search(outcome.text):
            return Judgement("skip", skipped[0].strip())
        # A stressor that never got round to a single operation has verified nothing.
        idle = set(_BOGO.findall(outcome.text)) == {"0"}
        return Judgement("broken", "no operation in the given time") if idle else Judgement("pass")
    if outcome.code in (NO_RESOURCE, NOT_IMPLEMENTED):
        return Judgement("skip", reason or outcome.last_words)
    if disabled := _DISABLED.search(outcome.text):
        return Judgement("skip", disabled[0].strip())
    if outcome.code == 127:
        return Judgement("not run", "stress-ng is not in the image")
    return Judgement("fail", reason or f"exit code {outcome.code}")


def plan_trinity(
    session: Session, only: Sequence[str], seconds: float, seed: int
) -> list[PlannedTest]:
    """Trinity's memory calls as one test; a test that is skipped where there is no trinity."""
    here = session.run("command -v trinity", check=False).code == 0
    test = PlannedTest(
        name="mm-calls", seed=seed, seconds=30.0, fixed=seconds + 30.0,
        command="cd /var/tmp && chmod 1777 . && timeout -s INT "
        f"{round(seconds)} setpriv --reuid nobody --clear-groups {TRINITY} -s {seed}; "
        "code=$?; [ $code = 124 ] && exit 0; exit $code",
        skip="" if here else "trinity is not in the image",
    )
    return choose([test], only)


def judge_trinity(outcome: Outcome) -> Judgement:
    """Trinity tests the kernel, not itself: a kernel that lives through it passes."""
    if outcome.code in (0, 1):
        ran = _RAN.findall(outcome.text)
        if not ran or ran[-1] == "0":
            return Judgement("broken", "no system call in the given time")
        return Judgement("pass", output={"syscalls": int(ran[-1])})
    if outcome.code == 127:
        return Judgement("not run", outcome.last_words)
    return Judgement("broken", outcome.last_words or f"exit code {outcome.code}")
