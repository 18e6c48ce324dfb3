"""A series as commits and back again, on the fake kernel tree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.series import seriestree
from harness.kernel.series.patches import load_series
from harness.kernel.source.sources import Source, get_source
from harness.project.config import Project

QUIET = Progress(-1)


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A Developer")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "dev@example.org")
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-01-01T00:00:00Z")


@pytest.fixture
def source(workspace: Workspace, project: Project) -> Source:
    return get_source(workspace, project, "fake", progress=QUIET)


@pytest.fixture
def tree(source: Source, tmp_path: Path) -> Path:
    work = tmp_path / "tree"
    assert seriestree.edit(None, source, work, QUIET)
    return work


def commit(tree: Path, name: str, text: str, subject: str) -> None:
    with (tree / name).open("a") as stream:
        stream.write(text)
    subprocess.run(["git", "-C", str(tree), "commit", "-qam", subject], check=True)


def test_commits_become_patches_and_come_back_unchanged(
    tree: Path, source: Source, tmp_path: Path
) -> None:
    commit(tree, "mm/memory.c", "/* one */\n", "mm: one")
    commit(tree, "init/main.c", "/* two */\n", "init: two\n\nWhy two is wanted.")
    folder = tmp_path / "patches"
    assert set(seriestree.save(tree, folder)) == {
        "0001-mm-one.patch", "0002-init-two.patch", "series",
    }
    series = load_series(folder)
    assert [p.subject for p in series.patches] == ["mm: one", "init: two"]
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    again = tmp_path / "again"
    assert seriestree.edit(series, source, again, QUIET)
    assert seriestree.commits(again) == ["mm: one", "init: two"]
    assert seriestree.save(again, folder) == []
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_only_what_changed_is_written(tree: Path, tmp_path: Path) -> None:
    commit(tree, "mm/memory.c", "/* one */\n", "mm: one")
    folder = tmp_path / "patches"
    seriestree.save(tree, folder)
    (folder / "series").write_text("# kept\n0001-mm-one.patch\n")
    commit(tree, "init/main.c", "/* two */\n", "init: two")
    changed = seriestree.save(tree, folder)
    assert "0002-init-two.patch" in changed
    assert (folder / "series").read_text().startswith("# kept\n0001-")
    subprocess.run(["git", "-C", str(tree), "reset", "-q", "--hard", "base"], check=True)
    commit(tree, "init/main.c", "/* three */\n", "init: three")
    seriestree.save(tree, folder)
    assert sorted(p.name for p in folder.glob("*.patch")) == ["0001-init-three.patch"]


def test_unsaved_work_is_never_lost(tree: Path, source: Source, tmp_path: Path) -> None:
    commit(tree, "mm/memory.c", "/* one */\n", "mm: one")
    assert not seriestree.edit(None, source, tree, QUIET)
    assert seriestree.commits(tree) == ["mm: one"]
    (tree / "mm/memory.c").write_text("half a thought\n")
    with pytest.raises(UserError, match="uncommitted changes"):
        seriestree.save(tree, tmp_path / "patches")


def test_editing_does_not_reach_the_pristine_tree(tree: Path, source: Source) -> None:
    pristine = (source.path / "mm/memory.c").read_bytes()
    with (tree / "mm/memory.c").open("a") as stream:  # in place, as some editors do
        stream.write("x")
    assert (source.path / "mm/memory.c").read_bytes() == pristine


def test_nothing_to_save(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no commit above its base"):
        seriestree.save(tree, tmp_path / "patches")
    with pytest.raises(UserError, match="harness series edit"):
        seriestree.save(tmp_path / "nowhere", tmp_path / "patches")


@pytest.mark.parametrize("bad", [1, 2, 3, 7, 8])
def test_bisection_finds_the_first_bad(bad: int) -> None:
    tried: list[int] = []

    def is_bad(count: int) -> bool:
        tried.append(count)
        return count >= bad

    assert seriestree.first_bad(8, is_bad) == bad
    assert len(tried) <= 5


def test_bisection_of_nothing() -> None:
    assert seriestree.first_bad(8, lambda count: True) == 0
    with pytest.raises(UserError, match="nothing to bisect"):
        seriestree.first_bad(8, lambda count: False)
