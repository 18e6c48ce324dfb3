"""A run keeps the memory of guests that crash or hang; without it, it says why, and goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import GuestCrash, InfrastructureError
from harness.core.progress import Progress
from harness.dumps import keeping
from harness.dumps.keeping import DumpKeeper
from harness.records.plans import SuitePlan
from harness.records.store import load_verdicts
from harness.records.verdicts import Verdict
from harness.suites import conductor, reproduce
from harness.suites.conductor import conduct
from tests.unit.dumps import made
from tests.unit.suites.fakes import FakeLab, FakeSession, ListedSuite, Script, planned
from tests.unit.suites.projects import small_project

MEMORY = made.flattened(made.whole(made.state()))


class Ears(Progress):
    def __init__(self) -> None:
        super().__init__(-1)
        self.heard: list[str] = []

    def warn(self, text: str) -> None:
        self.heard.append(text)

    def once(self, text: str) -> None:
        self.heard.append(text)


@pytest.fixture(autouse=True)
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """drgn is not asked: the dumps here are none that it knows."""
    monkeypatch.setattr(keeping, "capture", lambda argv, timeout: f"seen {argv[3]}\n")
    monkeypatch.setattr(conductor, "require_drgn", lambda: None)
    monkeypatch.setattr(conductor, "find_source", lambda *_: None)


def keeper(root: Path, ears: Ears) -> DumpKeeper:
    return DumpKeeper(root, root / "vmlinux", None, "6.1.192", "1G", ears)


def guest(root: Path, memory: bytes | None = MEMORY) -> FakeSession:
    return FakeSession(Script(memory=memory), root)


def test_a_dump_and_its_words(tmp_path: Path) -> None:
    ears = Ears()
    place = keeper(tmp_path, ears).take(guest(tmp_path), "00-after-mmap", "", "BUG")
    assert place == "dumps/00-after-mmap.vmcore" and not ears.heard
    assert sorted(path.name for path in (tmp_path / "dumps").iterdir()) == \
        ["00-after-mmap.txt", "00-after-mmap.vmcore"]
    assert "00-after-mmap.vmcore" in keeping.told(tmp_path / place).read_text()


def test_a_guest_that_is_gone_costs_a_word(tmp_path: Path) -> None:
    ears = Ears()
    assert keeper(tmp_path, ears).take(guest(tmp_path, None), "00-x", "", "") == ""
    assert ears.heard == ["no dump of 00-x: QEMU has ended already"]


def test_dumps_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ears = Ears()
    kept = [keeper(tmp_path, ears).take(guest(tmp_path), f"{n:02d}", "", "") for n in range(9)]
    assert [bool(place) for place in kept] == [True] * 8 + [False]
    assert ears.heard == ["the run has 8 dumps; no more are taken"]
    monkeypatch.setattr(keeping, "LARGEST", 100)
    other = tmp_path / "other"
    assert keeper(other, ears).take(guest(tmp_path), "00", "", "") == ""
    assert not list((other / "dumps").iterdir()) and "more than" in ears.heard[-1]


def test_what_drgn_cannot_read_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(argv: list[str], timeout: float) -> str:
        raise InfrastructureError("killed by SIGSEGV")

    monkeypatch.setattr(keeping, "capture", fails)
    ears = Ears()
    place = keeper(tmp_path, ears).take(guest(tmp_path), "00", "", "BUG")
    assert place and "drgn says nothing of it" in ears.heard[0]
    assert "killed by SIGSEGV" in keeping.told(tmp_path / place).read_text()


def crashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[FakeLab, Path]:
    """A run whose first boot dies, and in which then a test crashes."""
    tests = [planned("good"), planned("bad")]
    monkeypatch.setattr(conductor, "find_suite", lambda name: ListedSuite(tests))
    death = GuestCrash("Kernel panic", kind="panic")
    script = Script({"bad": death}, boots=(death,), memory=MEMORY)
    lab = FakeLab(tmp_path, {"after": script}, small_project(tmp_path))
    plan = SuitePlan(suite="races", base="mine", variants=["after"], smp=2, memory="1G", dump=True)
    conduct(lab, plan, tmp_path / "results/run")
    return lab, tmp_path / "results/run"


def test_a_run_points_to_its_dumps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, run = crashed(tmp_path, monkeypatch)
    dumps = {v.test: v.dump for v in load_verdicts(run)[0]}
    assert dumps == {"boot": "dumps/00-after-boot.vmcore", "good": "",
                     "bad": "dumps/01-after-bad.vmcore"}
    assert all(keeping.FREEZE in words for words in lab.appended)
    page = (run / "report.html").read_text()
    assert "What the guest" in page and "seen " in page and "--drgn" in page


def test_a_dump_is_found_by_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, run = crashed(tmp_path, monkeypatch)
    ident = next(v.ident for v in load_verdicts(run)[0] if v.test == "bad")
    found = reproduce.find_dump(tmp_path / "results", ident)
    assert found is not None and found.verdict.test == "bad" and found.directory == run
    (run / found.verdict.dump).unlink()
    assert reproduce.find_dump(tmp_path / "results", ident) is None


def test_a_verdict_without_a_dump_says_so() -> None:
    assert Verdict(suite="races", test="t", variant="v", verdict="pass").dump == ""
