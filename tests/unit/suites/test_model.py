"""The fuzzer with a model: a wrong belief is found, shortened, and mailed as a C program."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import GuestCrash, UserError
from harness.records.plans import SuitePlan
from harness.records.store import load_verdicts
from harness.records.verdicts import Verdict
from harness.suites import conductor
from harness.suites import reproduce as again
from harness.suites.conductor import conduct
from harness.suites.judgement import Outcome, last_json
from harness.suites.model import ModelSuite
from harness.suites.races import RaceSuite
from harness.suites.shrink import CONFIRMED_BY, shrink, write_program
from harness.suites.steps import Steps, ranges, shorten
from tests.places import ROOT
from tests.unit.suites.fakes import Answer, FakeLab, ListedSuite, Script, planned
from tests.unit.suites.projects import small_project

PLAN = SuitePlan(suite="model", variants=["after"], seed=7, seconds=240.0)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the program, compiled for this machine."""
    out = tmp_path_factory.mktemp("programs")
    subprocess.run(
        ["make", "-s", "-C", str(ROOT / "guest"), f"OUT={out}", str(out / "model")], check=True,
    )
    return out

MACHINE = (
    "pte_table_freed", "pswpout", "pgmigrate_success", "thp_fault_alloc",
    "thp_collapse_alloc", "cow_ksm",
)


def play(programs: Path, *words: str) -> Outcome:
    done = subprocess.run(
        [str(programs / "model"), *words], capture_output=True, text=True, check=False,
        timeout=120,
    )
    return Outcome(done.returncode, done.stdout + done.stderr)


def search(steps: range, fails: Callable[[list[int]], int | None]) -> tuple[list[int], int]:
    """The shortest part that fails, and how many were tried."""
    parts, tries = shorten(steps), 0
    part = next(parts)
    while True:
        tries += 1
        try:
            part = parts.send(fails(part))
        except StopIteration as end:
            return list(end.value), tries


def compiled(source: Path) -> Outcome:
    """What a C program says, and its exit code."""
    binary = source.with_suffix("")
    subprocess.run(["gcc", "-O1", "-Wall", "-Werror", "-o", str(binary), str(source)], check=True)
    done = subprocess.run([str(binary)], capture_output=True, text=True, check=False, timeout=60)
    return Outcome(done.returncode, done.stdout)


def test_a_seed_repeats_its_sequence(programs: Path) -> None:
    first, second = (play(programs, "--seed", "5", "--emit-c", "keeps") for _ in range(2))
    assert first == second != play(programs, "--seed", "6", "--emit-c", "keeps")
    ran = [last_json(play(programs, "--seed", "5", "--steps", "60").text) for _ in range(2)]
    for one in ran:  # what the whole machine counts, whoever else is at work on it
        for counter in MACHINE:
            one.pop(counter, None)
    assert ran[0] == ran[1] and ran[0]["verdict"] == "pass" and ran[0]["steps"] == 60


def test_several_threads_have_memory_of_their_own(programs: Path) -> None:
    done = play(programs, "--threads", "3", "--steps", "64")
    assert done.code == 0 and last_json(done.text)["steps"] == 3 * 64


@pytest.mark.parametrize(("fake", "most"), [("plant=90", 3), ("moved", 6)])
def test_a_planted_mistake_is_found_shortened_and_mailed(
    programs: Path, tmp_path: Path, fake: str, most: int
) -> None:
    sequence = ["--seed", "5", "--fake", fake]
    found = last_json(play(programs, *sequence).text)
    assert found["verdict"] == "fail" and isinstance(found["failed_step"], int)

    def fails(part: list[int]) -> int | None:
        said = last_json(play(programs, *sequence, "--keep", ranges(part)).text)
        return int(str(said["failed_step"])) if said["verdict"] == "fail" else None

    kept, tries = search(range(1, found["failed_step"] + 1), fails)
    assert 1 <= len(kept) <= most and tries < 150
    steps = Steps(400, "model", (*sequence, "--emit-c", "keeps"), "model")
    mailed = compiled(write_program(programs, steps, kept, tmp_path))
    assert mailed.code == 1 and "expected" in mailed.text, (kept, mailed)
    # Without the mistake the same steps pass, in the fuzzer and as C.
    told = Steps(400, "model", ("--seed", "5", "--emit-c", "keeps"), "model")
    assert play(programs, "--seed", "5", "--keep", ranges(kept)).code == 0
    assert compiled(write_program(programs, told, kept, tmp_path)).code == 0


def test_a_whole_sequence_as_c_holds_what_the_fuzzer_holds(
    programs: Path, tmp_path: Path
) -> None:
    steps = Steps(400, "model", ("--seed", "11", "--emit-c", "keeps"), "model")
    done = compiled(write_program(programs, steps, range(1, 401), tmp_path))
    assert done == Outcome(0, "playing\n")


def test_words_that_mean_nothing(programs: Path) -> None:
    for words, said in (
        (["--keep", "5-3"], "steps such as 1-5,9"), (["--fake", "luck"], "no such mistake"),
        (["--emit-c", "linux"], "frees or keeps"),
        (["--keep", "1", "--threads", "2"], "only what one thread plays"),
    ):
        done = play(programs, *words)
        assert done.code == 2 and said in done.text


@pytest.mark.skipif(
    "pte_table_freed" in Path("/proc/vmstat").read_text(), reason="this kernel frees empty tables",
)
def test_a_kernel_that_keeps_empty_tables_fails_where_it_is_believed_to_free_them(
    programs: Path,
) -> None:
    done = play(programs, "--fake", "frees")
    assert done.code == 1 and re.search(r"VmPTE: \d+ kB of page tables", done.text)


def test_ranges() -> None:
    assert ranges([1, 2, 3, 5, 8, 9]) == "1-3,5,8-9"
    assert ranges([]) == ""


def test_the_search_keeps_what_is_needed_together() -> None:
    needed = {3, 57, 199, 200}
    kept, tries = search(
        range(1, 401), lambda part: 200 if needed <= set(part) else None,
    )
    assert kept == sorted(needed) and tries < 100
    assert search(range(1, 401), lambda part: None) == ([], 1)
    assert search(range(1, 2), lambda part: 1)[0] == [1]


def test_turns_fill_the_time_with_seeds_of_their_own(tmp_path: Path) -> None:
    tests = ModelSuite().tests(FakeLab(tmp_path), PLAN)
    assert [(t.name, t.seed) for t in tests] == [
        ("one-thread", 7), ("threads", 7), ("one-thread", 8), ("threads", 8),
    ]
    assert all("--system --steps 400 --seconds 60" in t.command for t in tests)
    assert "--seed 80000" in tests[3].command and "--threads 3" in tests[3].command
    some = PLAN.model_copy(update={"wanted": ["threads"], "threads": 5, "seconds": 6.0})
    (one,) = ModelSuite().tests(FakeLab(tmp_path), some)
    assert one.command.endswith("--seconds 3 --threads 5")


def verdict(command: str, **more: object) -> Verdict:
    return Verdict.model_validate({
        "suite": "model", "test": "one-thread", "variant": "after", "verdict": "fail",
        "command": command, **more,
    })


def test_what_failed_is_read_from_the_end_or_from_the_beginning() -> None:
    command = "/opt/harness/model --seed 70000 --system --steps 400 --seconds 60 --threads 1"
    log = '{"sequence":70000}\n{"sequence":70001}\n'
    said = {"failed_sequence": 70001, "failed_step": 33, "frees": True}
    steps = ModelSuite().steps(verdict(command, output=said), log)
    assert steps.keep([1, 2, 9]) == (
        "/opt/harness/model --seed 70001 --steps 33 --system --keep 1-2,9"
    )
    faked = ModelSuite().steps(verdict(f"{command} --fake moved", output=said), log)
    assert faked.play.endswith("--steps 33 --system --fake moved") and "--fake" in faked.emit
    assert steps.emit_words([4])[-3:] == ["frees", "--keep", "4"]
    crashed = ModelSuite().steps(verdict(command, verdict="crash"), log)
    assert crashed.count == 400 and "--seed 70001 --steps 400" in crashed.play
    with pytest.raises(UserError, match="another each time"):
        ModelSuite().steps(verdict(command.replace("threads 1", "threads 3")), log)
    with pytest.raises(UserError, match="names no sequence"):
        ModelSuite().steps(verdict(command), "")
    with pytest.raises(UserError, match="--shrink is for the suite model"):
        RaceSuite().steps(verdict(command), log)


class Fails(dict[str, Answer]):
    """Answers of a guest in which a part of the sequence that holds these steps fails."""

    def __init__(self, needed: set[int], answer: Callable[[int], Answer]) -> None:
        super().__init__()
        self.needed, self.answer = needed, answer
        self.played: list[str] = []

    def get(self, key: str, default: object = None) -> Answer:
        self.played.append(key)
        words = shlex.split(key)
        if "--keep" not in words:
            return (0, "")
        part = {
            step for piece in words[words.index("--keep") + 1].split(",")
            for step in range(int(piece.split("-")[0]), int(piece.split("-")[-1]) + 1)
        }
        return self.answer(max(self.needed)) if self.needed <= part else (0, '{"verdict":"pass"}')


def failing(step: int) -> Answer:
    said = {"failed_sequence": 70000, "failed_step": step, "verdict": "fail", "reason": "lost"}
    return (1, json.dumps(said) + "\n")


def run_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer) -> again.Found:
    """A run whose one test ended so."""
    command = "/opt/harness/model --seed 70000 --system --steps 400 --seconds 60 --threads 1"
    test = planned("one-thread", seed=7, command=command)

    class Listed(ModelSuite):
        def tests(self, lab: object, plan: SuitePlan) -> list[object]:  # type: ignore[override]
            return [test]

    suite = Listed()
    monkeypatch.setattr(suite, "prepare", lambda *_: None)
    for module in (conductor, again):
        monkeypatch.setattr(module, "find_suite", lambda name: suite)
    monkeypatch.setattr(conductor, "find_source", lambda *_: None)
    plan = SuitePlan(suite="model", base="mine", variants=["after"], smp=2, memory="1G")
    lab = FakeLab(tmp_path, {"after": Script({command: answer})}, small_project(tmp_path))
    conduct(lab, plan, tmp_path / "results/run")
    (only,) = load_verdicts(tmp_path / "results/run")[0]
    return again.find_verdict(tmp_path / "results", only.ident)


@pytest.mark.parametrize("crashes", [False, True])
def test_shrink_plays_parts_in_guests(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crashes: bool
) -> None:
    def dies(step: int) -> Answer:
        return GuestCrash("kernel BUG at mm/memory.c:1", kind="bug", oops="", log=tmp_path)

    begun = '{"sequence":70000}\n'
    found = run_of(tmp_path, monkeypatch, (1, begun + str(failing(300)[1])))  # type: ignore[index]
    answers = Fails({7, 30, 222}, dies if crashes else failing)
    lab = FakeLab(tmp_path, {"after": Script(answers)}, small_project(tmp_path))
    monkeypatch.setattr(lab, "programs", lambda: programs)
    told: list[str] = []
    done = shrink(lab, found, tmp_path / "results/again", say=told.append)
    assert done.kept == [7, 30, 222] and done.failed == CONFIRMED_BY
    assert done.exit_code == (4 if crashes else 1)
    assert re.match(r"\d+: \d+ steps: ", told[0]) and len(answers.played) == done.tries
    assert "3 of 300 steps are left" in done.words() and "/* step 30 */" in done.words()
    assert (len(lab.sessions) > 3) == crashes  # a guest is used as long as it lives


def test_shrink_of_what_does_not_fail_again(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = '{"sequence":70000}\n'
    found = run_of(tmp_path, monkeypatch, (1, begun + str(failing(30)[1])))  # type: ignore[index]
    lab = FakeLab(tmp_path, {}, small_project(tmp_path))
    done = shrink(lab, found, tmp_path / "results/again", say=lambda _: None)
    assert done.exit_code == 0 and done.words().startswith("not reproduced: the sequence of 30")


def test_shrink_wants_something_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = run_of(tmp_path, monkeypatch, (0, ""))
    with pytest.raises(UserError, match="ended with pass"):
        shrink(FakeLab(tmp_path), found, tmp_path / "again", say=lambda _: None)
    assert ListedSuite([]).name == "races"
