"""A search with a laboratory that builds nothing: what it tries, skips, and does after a kill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness import search
from harness.core.errors import InfrastructureError, UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.project.bases import CommitBase
from harness.project.config import Project
from harness.records.bisections import Bisection
from harness.records.samples import Sample
from harness.suites.suiteplan import SuiteOptions
from tests.unit.kernel.test_commits import git

COMMITS = 16
WHAT = search.Effect("common", {"op": "pipe"}, "instructions_per_op")


@dataclass
class World:
    """What the fake laboratory finds of each commit, and what it was asked for."""

    idents: list[str]
    culprit: int = COMMITS
    """From this index on an operation costs more and the test fails."""
    unbuildable: set[int] = field(default_factory=set)
    killed_at: int = -1
    """The build that is the last of a process: a number from 0."""
    verdict: str = ""
    """What the test says instead of passing or failing."""
    metric: str = "instructions_per_op"
    built: list[int] = field(default_factory=list)
    tests: list[tuple[str, list[str]]] = field(default_factory=list)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A good commit and sixteen more."""
    tree = tmp_path / "linux"
    tree.mkdir()
    git(tree, "init", "-q", "-b", "main")
    for number in range(COMMITS + 1):
        git(tree, "commit", "-q", "--allow-empty", "-m", f"commit {number}")
    return tree


@pytest.fixture
def world(tree: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The fake laboratory in the place of the real one."""
    world = World(git(tree, "rev-list", "--reverse", "main").split())

    class FakeLab:
        def __init__(self, project: Project, **rest: object) -> None:
            base = project.base("tip")
            assert isinstance(base, CommitBase)
            self.at = world.idents.index(base.commit)

        def build(self, variant: str, jobs: int | None = None) -> None:
            if len(world.built) == world.killed_at:
                raise KeyboardInterrupt
            world.built.append(self.at)
            if self.at in world.unbuildable:
                raise InfrastructureError("mm/memory.c:7: error: expected ';'")

        def plan(self, *words: object, **rest: object) -> int:
            return self.at

        def measure(self, plan: int, directory: Path) -> None:
            directory.mkdir(parents=True)
            cost = 1000.0 + 20.0 * (plan >= world.culprit)
            sample = Sample.model_construct(
                metric=world.metric, value=cost, unit="instructions", t=None
            )
            samples[directory] = [sample]

        def test(self, suite: str, options: SuiteOptions, *, directory: Path) -> object:
            world.tests.append((suite, list(options.wanted or [])))
            bad = self.at >= world.culprit
            verdict = world.verdict or ("fail" if bad else "pass")
            return SimpleNamespace(
                exit_code=int(bad), words=lambda: "nothing was run",
                verdicts=[SimpleNamespace(test="race-fork", verdict=verdict, reason="a reason")],
            )

    samples: dict[Path, list[Sample]] = {}
    monkeypatch.setattr(search, "Lab", FakeLab)
    monkeypatch.setattr(search, "load_samples", lambda directory: (samples[directory], 0))
    return world


@pytest.fixture
def go(tmp_path: Path) -> Callable[[Bisection], search.SearchResult]:
    def run(record: Bisection) -> search.SearchResult:
        return search.run(
            record, tmp_path / "search", workspace=Workspace(tmp_path / "ws"),
            progress=Progress(-1),
        )

    return run


Go = Callable[[Bisection], search.SearchResult]


def record_of(tree: Path, what: search.Effect | search.BrokenTest = WHAT) -> Bisection:
    return search.begin(search.Stretch(tree, f"main~{COMMITS}", "main"), what)


@pytest.mark.parametrize("culprit", [1, 8, 11, 15])
def test_the_dear_one_among_sixteen_takes_at_most_five_builds(
    tree: Path, world: World, go: Go, culprit: int
) -> None:
    world.culprit = culprit
    found = go(record_of(tree))
    assert [one.commit for one in found.culprits] == [world.idents[culprit]]
    assert len(world.built) <= 5 and world.built[0] == 0
    words = search.words(found)
    assert words.startswith(f"{world.idents[culprit][:12]} commit {culprit}\n")
    assert "1,000.0 -> 1,020.0 instructions (+2.00 %)" in words
    assert f"({len(world.built)} of 16 commits were built)" in words


def test_what_does_not_build_is_skipped(tree: Path, world: World, go: Go) -> None:
    world.culprit, world.unbuildable = 8, {7, 8}
    found = go(record_of(tree))
    assert [one.commit for one in found.culprits] == world.idents[7:10]
    reasons = {one.index: one.reason for one in found.record.tried if one.state == "skipped"}
    assert set(reasons) == {7, 8} and "expected ';'" in reasons[8]
    assert "one of these changed common instructions_per_op" in search.words(found)


def test_a_good_commit_that_does_not_build_ends_the_search(
    tree: Path, world: World, go: Go
) -> None:
    world.unbuildable = {0}
    with pytest.raises(InfrastructureError, match="expected ';'"):
        go(record_of(tree))


def test_a_killed_search_goes_on_where_it_was(
    tree: Path, world: World, go: Go, tmp_path: Path
) -> None:
    world.culprit, world.killed_at = 11, 3
    with pytest.raises(KeyboardInterrupt):
        go(record_of(tree))
    before = list(world.built)
    assert len(before) == 3
    world.killed_at = -1
    found = go(search.load(tmp_path / "search"))
    assert [one.commit for one in found.culprits] == [world.idents[11]]
    assert len(world.built) == len(set(world.built)) <= 5 and world.built[:3] == before
    # A search that has come to its end is only told again.
    assert go(search.load(tmp_path / "search")).culprits == found.culprits
    assert len(world.built) <= 5


def test_a_search_killed_in_its_first_build_goes_on_with_its_fragments(
    tree: Path, world: World, go: Go, tmp_path: Path
) -> None:
    world.culprit, world.killed_at = 11, 0
    where = search.Stretch(tree, f"main~{COMMITS}", "main", ("guest", "debug"))
    with pytest.raises(KeyboardInterrupt):
        go(search.begin(where, WHAT))
    world.killed_at = -1
    again = search.load(tmp_path / "search")
    assert again.fragments == ["guest", "debug"]
    assert [one.commit for one in go(again).culprits] == [world.idents[11]]


def test_the_commit_from_which_a_test_fails(tree: Path, world: World, go: Go) -> None:
    world.culprit = 5
    found = go(record_of(tree, search.BrokenTest("races", "race-fork")))
    assert [one.commit for one in found.culprits] == [world.idents[5]]
    assert len(world.built) <= 5
    assert set(map(str, world.tests)) == {"('races', ['race-fork'])"}
    assert "is the first commit that changed races/race-fork" in search.words(found)


def test_a_test_that_fails_on_the_good_commit_is_said_to(
    tree: Path, world: World, go: Go
) -> None:
    world.culprit = 0
    with pytest.raises(UserError, match=r"fails on the good commit .* already: a reason"):
        go(record_of(tree, search.BrokenTest("races", "race-fork")))


def test_a_test_that_is_not_run_decides_nothing(tree: Path, world: World, go: Go) -> None:
    world.verdict = "skip"
    with pytest.raises(InfrastructureError, match="races/race-fork was not run"):
        go(record_of(tree, search.BrokenTest("races", "race-fork")))


def test_nothing_changed(tree: Path, world: World, go: Go) -> None:
    world.culprit = COMMITS + 1
    found = go(record_of(tree))
    assert found.culprits == [] and "nothing to find" in search.words(found)


def test_a_metric_that_is_not_there_names_those_that_are(
    tree: Path, world: World, go: Go
) -> None:
    world.metric = "seconds"
    with pytest.raises(UserError, match="gives no instructions_per_op here") as caught:
        go(record_of(tree))
    assert "--metric: one of seconds" in (caught.value.hint or "")


def test_searches_that_cannot_begin(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="are one commit"):
        search.begin(search.Stretch(tree, "main", "main"), WHAT)
    with pytest.raises(UserError, match="is no ancestor of"):
        search.begin(search.Stretch(tree, "main", "main~1"), WHAT)
    with pytest.raises(UserError, match="holds no search"):
        search.load(tmp_path)
    for text in (b"{}", b"\xff"):
        (tmp_path / search.BISECT_FILE).write_bytes(text)
        with pytest.raises(UserError, match="is damaged"):
            search.load(tmp_path)
