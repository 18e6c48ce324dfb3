"""`harness init`: the file it writes loads, and its measurement can be planned."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.lab import Lab
from harness.project import reading, starter
from harness.project.bases import CommitBase
from tests.places import FAKE_LINUX
from tests.unit.kernel.test_commits import git


def harness(*words: str, cwd: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words], cwd=cwd, capture_output=True, text=True,
        check=False, timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "linux"
    shutil.copytree(FAKE_LINUX, tree)
    git(tree, "init", "-q", "-b", "main")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", 'mm: "first" [1/2] \\ <x>')
    return tree


def planned(root: Path, workspace: Path) -> list[str]:
    lab = Lab(root, workspace=workspace)
    plan = lab.plan(try_kvm=False)
    assert [(pair.baseline, pair.variant) for pair in plan.comparisons] == [
        tuple(lab.project.config.variants)
    ]
    return plan.variants


def test_a_kernel_tree_compares_its_head_with_its_work_tree(tree: Path, tmp_path: Path) -> None:
    code, out, said = harness("init", cwd=tree)
    assert code == 0, said
    assert out.strip() == str(tree / "harness.toml")
    assert "info/exclude" in said and "harness bench --dry-run" in said
    project = reading.load(tree)
    base, tip = project.base("base"), project.base("tip")
    assert isinstance(base, CommitBase) and isinstance(tip, CommitBase)
    head = subprocess.run(
        ["git", "-C", str(tree), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert (base.path, base.commit, tip.path, tip.commit) == (".", head, ".", "")
    assert project.results.resolve() == tmp_path / "linux-results"
    assert planned(tree, tmp_path / "ws") == ["base", "tip"]
    code, out, said = harness(
        "build", "--dry-run", "--workspace", str(tmp_path / "ws"), cwd=tree
    )
    assert code == 0, said
    assert out.startswith("base: ") and "\ntip: " in out


def test_a_tree_elsewhere_is_named(tree: Path, tmp_path: Path) -> None:
    code, _, said = harness("init", "new/place", "--tree", "linux", cwd=tmp_path)
    assert code == 0, said
    place = tmp_path / "new/place"
    base = reading.load(place).base("base")
    assert isinstance(base, CommitBase) and base.path == str(tree)
    assert reading.load(place).results == place / "results"
    assert planned(place, tmp_path / "ws") == ["base", "tip"]


def test_elsewhere_debians_kernel_is_an_example(tmp_path: Path) -> None:
    place = tmp_path / "empty"
    place.mkdir()
    code, _, said = harness("init", cwd=place)
    assert code == 0, said
    assert reading.load(place).base("debian-6.1").kind == "debian"
    assert planned(place, tmp_path / "ws") == ["plain", "changed"]


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text("# mine\n")
    with pytest.raises(UserError, match="is there already"):
        starter.write(tmp_path, None)
    assert (tmp_path / "harness.toml").read_text() == "# mine\n"


@pytest.mark.parametrize(("words", "says"), [
    (["init", "--tree", "none"], "there is no directory"),
    (["init", "--tree", "."], "is not in a git tree"),
    (["init", "a-file"], "is no directory"),
])
def test_what_is_refused(tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "a-file").touch()
    code, _, said = harness(*words, cwd=tmp_path)
    assert code == 2 and says in said and said.count("\n") == 1
    assert not (tmp_path / "harness.toml").exists()
