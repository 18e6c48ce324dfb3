"""stress-ng's and trinity's ends, from output of the real programs."""

from __future__ import annotations

from pathlib import Path

from harness.suites.judgement import Outcome
from harness.suites.stressors import judge_stress, judge_trinity, plan_stress, plan_trinity
from tests.unit.suites.fakes import FakeSession, Script

CLASS = "class 'vm' stressors: bad-altstack bigheap mmap vm-rw\n"
GOOD = """\
stress-ng: metrc: [46] stressor       bogo ops real time  usr time  sys time   bogo ops/s
stress-ng: metrc: [46]                           (secs)    (secs)    (secs)   (real time)
stress-ng: metrc: [46] mmap                 12      7.02      0.06      0.07         0.00
stress-ng: info:  [46] successful run completed in 7.13s
"""


def guest(tmp_path: Path) -> FakeSession:
    """Has a stress-ng and no trinity."""
    listing = "stress-ng --class vm? 2>&1 || true"
    return FakeSession(Script(runs={listing: CLASS}, codes={"command -v trinity": 1}), tmp_path)


def test_stressors_share_the_time(tmp_path: Path) -> None:
    tests = plan_stress(guest(tmp_path), [], 40.0, 7)
    assert [t.name for t in tests] == ["bad-altstack", "bigheap", "mmap", "vm-rw"]
    assert all("--verify" in t.command and "--timeout 10s --seed 7" in t.command for t in tests)


def test_stress_verdicts() -> None:
    assert judge_stress(Outcome(0, GOOD)).word == "pass"
    idle = judge_stress(Outcome(0, GOOD.replace(" 12 ", "  0 ")))
    assert (idle.word, idle.reason) == ("broken", "no operation in the given time")
    none = judge_stress(Outcome(0, "stress-ng: info:  [50] numa: no NUMA nodes, skipping test\n"))
    assert none.word == "skip" and "no NUMA nodes" in none.reason
    lost = judge_stress(Outcome(2, "stress-ng: fail:  [9] mmap: address 0x1 not 0xaa\n"))
    assert (lost.word, lost.reason) == ("fail", "mmap: address 0x1 not 0xaa")
    assert judge_stress(Outcome(0, "stress-ng: fail:  [9] x\n" + GOOD)).word == "fail"
    assert judge_stress(Outcome(4, "not implemented\n")).word == "skip"
    hangs = ("stress-ng: info:  [9] disabled 'mlockmany' as it may hang or reboot the machine\n"
             "stress-ng: error: [9] No stress workers invoked\n")
    assert judge_stress(Outcome(1, hangs)).reason.startswith("disabled 'mlockmany' as it may hang")
    assert judge_stress(Outcome(1, hangs)).word == "skip"


def test_trinity_is_skipped_where_it_is_not(tmp_path: Path) -> None:
    (test,) = plan_trinity(guest(tmp_path), [], 60.0, 3)
    assert test.skip == "trinity is not in the image" and "-s 3" in test.command
    ran = "[main] Ran 512 syscalls. Successes: 9  Failures: 503\n"
    assert [judge_trinity(Outcome(code, ran)).word for code in (0, 1, 127, 139)] == [
        "pass", "pass", "not run", "broken",
    ]
    assert judge_trinity(Outcome(0, ran.replace("512", "0"))).word == "broken"
