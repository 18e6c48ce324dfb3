"""A series that is a branch of the user's own tree: built as it is, edited in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import series_command
from harness.cli.app import app
from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build.builds import plan_build
from harness.kernel.series.patchlist import get_series
from harness.kernel.source import reach
from harness.project.config import Project
from harness.project.reading import load
from tests.unit.kernel.test_commits import git

QUIET = Progress(-1)
Run = Callable[..., str]


@pytest.fixture
def mine(project: Project) -> Project:
    """The project with its base as a git tree, whose branch topic has two commits."""
    tree = project.root / "linux"
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", "-Af")
    git(tree, "commit", "-qm", "base")
    git(tree, "tag", "v1")
    git(tree, "checkout", "-qb", "topic")
    add(tree, "mm/memory.c", "mm: one")
    add(tree, "init/main.c", "init: two")
    with (project.root / "harness.toml").open("a") as stream:
        stream.write(
            '[variants.topic]\nseries = "mine"\nbase = "v1"\n'
            '[bases.v1]\nkind = "commit"\npath = "linux"\ncommit = "v1"\nconfig = ["guest"]\n'
            '[series.mine]\nkind = "git"\npath = "linux"\nrange = "v1..topic"\n'
        )
    return load(project.root)


def add(tree: Path, name: str, subject: str) -> None:
    with (tree / name).open("a") as stream:
        stream.write(f"/* {subject} */\n")
    git(tree, "commit", "-qam", subject)


def with_range(project: Project, words: str, more: str = "") -> Project:
    path = project.root / "harness.toml"
    path.write_text(path.read_text().replace('range = "v1..topic"', f'range = "{words}"\n{more}'))
    return load(project.root)


def test_its_commits_are_the_patches_and_the_key(mine: Project, workspace: Workspace) -> None:
    series = get_series(workspace, mine, "mine", QUIET, fetch=False)
    assert series is not None and series.record is not None
    assert [patch.subject for patch in series.patches] == ["mm: one", "init: two"]
    tree = mine.root / "linux"
    assert series.record.kind == "git" and series.record.name == "mine"
    assert series.record.details["tip"] == git(tree, "rev-parse", "topic")
    before = plan_build(workspace, mine, "topic", progress=QUIET)
    assert before.series is not None and len(before.series.patches) == 2

    # Another name of the same commits is the same series; an amended one is not.
    git(tree, "branch", "other", "topic")
    again = get_series(workspace, with_range(mine, "v1..other"), "mine", QUIET, fetch=False)
    assert again is not None and again.directory == series.directory
    git(tree, "commit", "-q", "--amend", "-m", "init: two, said better")
    path = mine.root / "harness.toml"
    path.write_text(path.read_text().replace("v1..other", "v1..topic"))
    amended = get_series(workspace, load(mine.root), "mine", QUIET, fetch=False)
    assert amended is not None and amended.directory != series.directory
    assert amended.patches[1].subject == "init: two, said better"
    assert git(tree, "status", "--porcelain") == ""


def test_what_the_user_has_set_for_their_mails_changes_nothing(
    mine: Project, workspace: Workspace, tmp_path: Path
) -> None:
    one = get_series(workspace, mine, "mine", QUIET, fetch=False)
    tree = mine.root / "linux"
    for key, value in {
        "diff.noprefix": "true", "format.signOff": "true", "format.coverLetter": "true",
        "format.subjectPrefix": "PATCH mm", "format.outputDirectory": str(tmp_path / "mails"),
    }.items():
        git(tree, "config", key, value)
    two = get_series(Workspace(tmp_path / "ws2"), mine, "mine", QUIET, fetch=False)
    assert one is not None and two is not None
    assert [p.sha256 for p in one.patches] == [p.sha256 for p in two.patches]


@pytest.mark.parametrize(("words", "says"), [
    ("v1..tropic", "knows no revision 'tropic'"),
    ("v1", "'v1' is no range of commits"),
    ("v1...topic", "is no range of commits"),
    ("topic..v1", r"there is no commit in topic\.\.v1"),
    ("v1..merged", "holds a merge, which is no patch: .*Merge"),
    ("v1..empty", r"a commit in v1\.\.empty of .* changes no file"),
])
def test_ranges_that_are_refused(
    mine: Project, workspace: Workspace, words: str, says: str
) -> None:
    tree = mine.root / "linux"
    git(tree, "checkout", "-q", "-b", "merged", "v1")
    git(tree, "merge", "-q", "--no-ff", "--no-edit", "topic")
    git(tree, "checkout", "-q", "-b", "empty", "v1")
    git(tree, "commit", "-q", "--allow-empty", "-m", "nothing")
    with pytest.raises(UserError, match=says) as caught:
        get_series(workspace, with_range(mine, words), "mine", QUIET, fetch=False)
    assert "\n" not in caught.value.line()


def test_other_faults_have_a_line_too(mine: Project, workspace: Workspace) -> None:
    with pytest.raises(UserError, match="has 2 commits, not 3"):
        get_series(
            workspace, with_range(mine, "v1..topic", "patches = 3"), "mine", QUIET, fetch=False
        )
    path = mine.root / "harness.toml"
    text = path.read_text()
    path.write_text(text.replace('range = "v1..topic"\n', ""))
    with pytest.raises(UserError, match="kind 'git' needs `range`"):
        load(mine.root)
    path.write_text(text.replace('kind = "git"\npath = "linux"', 'kind = "git"\npath = "none"'))
    with pytest.raises(UserError, match="there is no directory"):
        get_series(workspace, load(mine.root), "mine", QUIET, fetch=False)


@pytest.fixture
def run(
    mine: Project, workspace: Workspace, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """`harness series WORDS` on that variant, in this process; both outputs."""
    monkeypatch.chdir(mine.root)

    def call(*words: str) -> str:
        options = ["--variant", "topic", "--workspace", str(workspace.root)]
        app(["series", words[0], *options, *words[1:]], standalone_mode=False)
        said = capsys.readouterr()
        return said.out + said.err

    return call


def test_it_is_edited_in_place_and_never_saved(run: Run, mine: Project) -> None:
    tree = mine.root / "linux"
    said = run("edit")
    assert "the series is the branch topic of" in said and "nothing needs to be saved" in said
    assert said.splitlines()[0] == str(tree)
    assert "nothing to save" in run("save") and "its 2 commits" in run("save")
    assert "2 patches, 2 files" in run("status")
    with (tree / "mm/memory.c").open("a") as stream:
        stream.write("/* later */\n")
    assert "uncommitted changes, which are not in the series" in run("status")


def test_each_prefix_is_tried_and_the_first_bad_one_found(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def attempt(lab: object, variant: str, patches: int, *rest: object) -> str | None:
        tried.append(patches)
        return "exit code 1" if patches == 2 else None

    monkeypatch.setattr(series_command, "_try", attempt)
    assert "first bad patch: 0002-init-two.patch" in run("bisect", "--", "false")
    tried.clear()
    monkeypatch.setattr("harness.kernel.series.seriestree.checkpatch", lambda *words: [])
    monkeypatch.setattr(series_command, "_check_applies", lambda *words: None)
    monkeypatch.setattr(
        series_command, "_try", lambda lab, variant, patches, *rest: tried.append(patches)
    )
    said = run("check", "--each")
    assert "2 patches apply" in said and tried == [1, 2]
    assert "ok   0001-mm-one.patch" in said


def test_bases_say_of_a_branch_that_it_is_here(mine: Project, workspace: Workspace) -> None:
    path = mine.root / "harness.toml"
    path.write_text(path.read_text().replace('commit = "v1"', 'commit = "v1"\nseries = "mine"'))
    found = reach.survey(workspace, load(mine.root), ["v1"], None)
    assert found[0].series == "mine (here)"
