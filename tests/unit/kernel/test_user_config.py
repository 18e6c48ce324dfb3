"""A configuration of the user's own: what it lacks is said once, before anything is compiled."""

from __future__ import annotations

import pytest

from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build.builds import Build, build_variant
from harness.project.config import Project
from harness.project.reading import load
from tests.unit.kernel.test_commits import git


@pytest.fixture
def mine(project: Project) -> Project:
    """The project with a commit of its tree as a lenient base that takes mine.config."""
    tree = project.root / "linux"
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", "-Af")
    git(tree, "commit", "-qm", "base")
    (project.root / "kernel/config/guest.config").write_text("CONFIG_SMP=y # [essential]\n")
    with (project.root / "harness.toml").open("a") as stream:
        stream.write(
            '[variants.mine]\nbase = "mine"\n[bases.mine]\nkind = "commit"\npath = "linux"\n'
            'commit = "main"\nconfig = ["./mine.config"]\nlenient = true\n'
        )
    return load(project.root)


def build(project: Project, workspace: Workspace, config: str) -> Build:
    (project.root / "mine.config").write_text(config)
    return build_variant(workspace, project, "mine", progress=Progress())


def test_one_that_no_guest_boots_is_refused_before_the_build(
    mine: Project, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine.root)
    with pytest.raises(UserError, match=r"no guest can boot this.*CONFIG_SMP is not built"):
        build(mine, workspace, "CONFIG_DEBUG_KERNEL=y\n")
    assert not list(workspace.root.glob("work/**/*.o"))


def test_what_the_kernel_does_not_have_is_said_and_left_out(
    mine: Project, workspace: Workspace, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(mine.root)
    made = build(mine, workspace, "CONFIG_SMP=y\nCONFIG_DEBUG_VM=y\nCONFIG_CC_IS_CLANG=y\n")
    said = capsys.readouterr().err
    assert "CONFIG_SMP=y" in made.config.read_text()
    assert said.count("CC_IS_CLANG, DEBUG_VM") == 1
    assert said.count("of a kernel that clang built; gcc builds it here") == 1
