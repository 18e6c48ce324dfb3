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
    (folder / "series").write_text("# kept\n0001-mm-one.patch\n")  # a comment is no change
    commit(tree, "init/main.c", "/* two */\n", "init: two")
    changed = seriestree.save(tree, folder)
    assert "0002-init-two.patch" in changed
    assert (folder / "series").read_text().startswith("# kept\n0001-")
    subprocess.run(["git", "-C", str(tree), "reset", "-q", "--hard", "base"], check=True)
    commit(tree, "init/main.c", "/* three */\n", "init: three")
    seriestree.save(tree, folder, drop=True)
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


@pytest.fixture
def folder(tree: Path, tmp_path: Path) -> Path:
    """The patch files of a series of two patches, saved from `tree`."""
    commit(tree, "mm/memory.c", "/* one */\n", "mm: one")
    commit(tree, "init/main.c", "/* two */\n", "init: two")
    folder = tmp_path / "patches"
    seriestree.save(tree, folder)
    return folder


def test_two_series_of_a_base_have_two_work_trees() -> None:
    names = {seriestree.tree_name("b", s) for s in ("kernel/patches/one", "kernel/patches/two")}
    names |= {seriestree.tree_name("c", "kernel/patches/one"), seriestree.tree_name("b", "k/a-b")}
    names |= {seriestree.tree_name("b", "k-a/b")}
    assert len(names) == 5 and not any("/" in name for name in names)


def test_one_series_is_never_saved_over_another(
    folder: Path, source: Source, tmp_path: Path
) -> None:
    work, other = tmp_path / "work", tmp_path / "other"
    assert seriestree.edit(load_series(folder), source, work, QUIET, folder)
    other.mkdir()
    (other / "0001-theirs.patch").write_text((folder / "0001-mm-one.patch").read_text())
    (other / "series").write_text("0001-theirs.patch\n")
    before = {p.name: p.read_bytes() for p in other.iterdir()}
    with pytest.raises(UserError, match=r"a work tree of the series in .*patches, not of"):
        seriestree.save(work, other)
    with pytest.raises(UserError, match=r"a work tree of the series in .*patches, not of"):
        seriestree.edit(load_series(other), source, work, QUIET, other)
    assert {p.name: p.read_bytes() for p in other.iterdir()} == before


def test_patches_of_others_in_the_same_directory_stay(folder: Path, tree: Path) -> None:
    (folder / "0003-not-of-this-series.patch").write_text("x")
    commit(tree, "init/main.c", "/* three */\n", "init: three")
    assert "0003-init-three.patch" in seriestree.save(tree, folder)
    assert (folder / "0003-not-of-this-series.patch").read_text() == "x"


def test_files_that_changed_since_edit_are_not_written_over(
    folder: Path, source: Source, tmp_path: Path
) -> None:
    """Edit, commit, save, then `git checkout kernel/`: the tree is the stale one."""
    work = tmp_path / "work"
    was = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert seriestree.edit(load_series(folder), source, work, QUIET, folder)
    assert seriestree.unsaved(work, folder) == []
    commit(work, "init/main.c", "/* three */\n", "init: three")
    assert seriestree.unsaved(work, folder) == [
        "tree and files differ: 0001-mm-one.patch, 0002-init-two.patch, 0003-init-three.patch"
    ]
    seriestree.save(work, folder)
    assert seriestree.unsaved(work, folder) == []
    for path in folder.iterdir():
        path.unlink()
    for name, data in was.items():
        (folder / name).write_bytes(data)
    (said, differ) = seriestree.unsaved(work, folder)
    assert said.startswith("the patch files changed since the tree was made: 0001-mm-one.patch")
    assert differ.startswith("tree and files differ")
    with pytest.raises(UserError, match=r"patch files in .* changed since .*0003-init-three"):
        seriestree.save(work, folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == was


def test_no_patch_is_dropped_unasked(folder: Path, tree: Path) -> None:
    subprocess.run(["git", "-C", str(tree), "reset", "-q", "--hard", "HEAD^"], check=True)
    with pytest.raises(UserError, match=r"1 commits, .* 2 patches: 1 would be dropped; .*--drop"):
        seriestree.save(tree, folder)
    assert len(list(folder.glob("*.patch"))) == 2
    assert "0002-init-two.patch" in seriestree.save(tree, folder, drop=True)
    assert load_series(folder).patches[0].subject == "mm: one"


def test_a_patch_that_does_not_apply_leaves_a_tree_that_cannot_be_saved(
    folder: Path, source: Source, tmp_path: Path
) -> None:
    """`git am` has stopped: what comes after it is no commit yet."""
    work = tmp_path / "work"
    path = folder / "0002-init-two.patch"
    path.write_text(path.read_text().replace("handle_mm_fault(1)", "handle_mm_fault(9)"))
    with pytest.raises(UserError, match=r"0002-init-two\.patch does not apply"):
        seriestree.edit(load_series(folder), source, work, QUIET, folder)
    with pytest.raises(UserError, match="git am or rebase is in progress"):
        seriestree.save(work, folder)


def test_without_an_identity_nothing_is_begun(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for who in ("AUTHOR", "COMMITTER"):
        for what in ("NAME", "EMAIL"):
            monkeypatch.delenv(f"GIT_{who}_{what}", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.useConfigOnly")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    assert seriestree.missing_identity()
    with pytest.raises(UserError, match=r"git cannot commit here: .*user\.name"):
        seriestree.edit(None, source, tmp_path / "work", QUIET)
    assert not (tmp_path / "work").exists()
