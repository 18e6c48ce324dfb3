"""Commits of a user's tree: laid out from git's objects, the user's own files untouched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build.worktree import WorkTree
from harness.kernel.source import commits
from harness.kernel.source.sources import Source
from harness.records.kernels import SourceRecord

MAKEFILE = "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 7\nEXTRAVERSION =\n"


def git(tree: Path, *words: str) -> str:
    """git in a test's tree, with an identity of its own."""
    return subprocess.run(
        ["git", "-C", str(tree), "-c", "user.name=T", "-c", "user.email=t@example.org", *words],
        check=True, capture_output=True, text=True,
    ).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three commits: v1, then a changed, a removed and a new file, then one more."""
    tree = tmp_path / "linux"
    tree.mkdir()
    git(tree, "init", "-q", "-b", "main")
    for name, text in {"Makefile": MAKEFILE, "Kconfig": "", "Kbuild": "", "mm/a.c": "1\n",
                       "mm/gone.c": "x\n", "scripts/run.sh": "#!/bin/sh\n"}.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    (tree / "scripts/run.sh").chmod(0o755)
    (tree / "link").symlink_to("mm/a.c")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "first")
    git(tree, "tag", "v1")
    (tree / "mm/a.c").write_text("2\n")
    (tree / "mm/gone.c").unlink()
    (tree / "mm/new.c").write_text("n\n")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "second")
    git(tree, "commit", "-q", "--allow-empty", "-m", "third")
    return tree


def test_a_commit_is_laid_out_and_the_next_rewrites_only_what_differs(
    tree: Path, tmp_path: Path
) -> None:
    workspace, quiet = Workspace(tmp_path / "ws"), Progress(-1)
    repository = commits.open_repository(tree / "mm")
    (tree / "mm/a.c").write_text("dirty\n")  # the work tree is nobody's business here
    one, two = (commits.find_commit(repository, name) for name in ("v1", "main"))
    assert commits.kernel_version(one) == "6.1.7"
    place = commits.lay_out(workspace, one, quiet)
    assert (place / "mm/a.c").read_text() == "1\n"
    assert (place / "link").readlink() == Path("mm/a.c")
    kept = (place / "Makefile").stat().st_mtime_ns
    place = commits.lay_out(workspace, two, quiet)
    assert (place / "mm/a.c").read_text() == "2\n"
    assert not (place / "mm/gone.c").exists()
    assert (place / "mm/new.c").exists()
    assert (place / "Makefile").stat().st_mtime_ns == kept
    assert (tree / "mm/a.c").read_text() == "dirty\n"
    assert git(tree, "status", "--porcelain").split() == ["M", "mm/a.c"]


def test_the_files_of_a_commit_tell_modes_apart(tree: Path) -> None:
    commit = commits.find_commit(commits.open_repository(tree), "main")
    files = commits.files_of(commit)
    assert files["scripts/run.sh"].startswith("x")
    assert files["link"].startswith("l")
    assert "mm/gone.c" not in files
    assert files["mm/a.c"] == git(tree, "rev-parse", "main:mm/a.c")


def test_commits_between_are_oldest_first(tree: Path) -> None:
    repository = commits.open_repository(tree)
    good, bad = (commits.find_commit(repository, name) for name in ("v1", "HEAD"))
    assert [one.subject for one in commits.commits_between(good, bad)] == ["second", "third"]
    with pytest.raises(UserError, match="is no ancestor of"):
        commits.commits_between(bad, good)


def test_bad_input_is_said_in_one_line(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not in a git tree"):
        commits.open_repository(tmp_path)
    with pytest.raises(UserError, match="there is no directory"):
        commits.open_repository(tmp_path / "none")
    repository = commits.open_repository(tree)
    with pytest.raises(UserError, match="did you mean 'main'"):
        commits.find_commit(repository, "mian")
    with pytest.raises(UserError, match="is no revision"):
        commits.find_commit(repository, "--output=x")


def test_linked_work_trees_are_one_repository(tree: Path, tmp_path: Path) -> None:
    git(tree, "worktree", "add", "-q", str(tmp_path / "other"), "v1")
    one, two = (commits.open_repository(path) for path in (tree, tmp_path / "other"))
    assert one.ident == two.ident
    # ... each with a HEAD of its own.
    assert commits.find_commit(one, "HEAD").subject == "third"
    assert commits.find_commit(two, "HEAD").subject == "first"


def test_a_snapshot_has_what_is_not_committed_and_leaves_the_repository_alone(
    tree: Path, tmp_path: Path
) -> None:
    workspace, quiet = Workspace(tmp_path / "ws"), Progress(-1)
    repository = commits.open_repository(tree)
    clean = commits.snapshot(workspace, repository, quiet)
    assert clean.ident == git(tree, "rev-parse", "HEAD")
    (tree / "mm/a.c").write_text("not committed\n")
    (tree / "mm/untracked.c").write_text("u\n")
    before = sorted((tree / ".git/objects").rglob("*"))
    dirty = commits.snapshot(workspace, repository, quiet)
    place = commits.lay_out(workspace, dirty, quiet)
    assert (place / "mm/a.c").read_text() == "not committed\n"
    assert (place / "mm/untracked.c").exists()
    assert sorted((tree / ".git/objects").rglob("*")) == before
    assert git(tree, "status", "--porcelain").split() == ["M", "mm/a.c", "??", "mm/untracked.c"]
    assert "uncommitted changes on" in dirty.subject


def test_a_file_that_is_not_the_commits_own_is_an_error(tree: Path, tmp_path: Path) -> None:
    """As when another harness lays out another commit while this one is copied."""
    workspace, quiet = Workspace(tmp_path / "ws"), Progress(-1)
    repository = commits.open_repository(tree)
    one, two = (commits.find_commit(repository, name) for name in ("v1", "main"))
    work = WorkTree(tmp_path / "slot")
    record = SourceRecord(kind="commit", version="6.1.7", digest="1")
    place = commits.lay_out(workspace, one, quiet)
    work.update(Source("base", place, record, commits.files_of(one), one), None, quiet)
    assert (work.src / "mm/a.c").read_text() == "1\n"
    other = Source("tip", place, record, commits.files_of(two), two)
    with pytest.raises(InfrastructureError, match=r"mm/a\.c is not what commit"):
        work.update(other, None, quiet)  # still laid out as the first
    commits.lay_out(workspace, two, quiet)
    assert work.update(other, None, quiet) == ["mm/a.c", "mm/gone.c", "mm/new.c"]
