"""harness.local.toml: laid over the tracked file, and to blame for what is wrong in it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.project import config, reading
from tests.places import FAKE_LINUX, ROOT

TRACKED = """
[settings.guest]
smp = 2
[bases.mine]
kind = "dir"
path = "linux"
config = ["guest"]
[variants.plain]
[variants.other]
[[comparisons]]
baseline = "plain"
variant = "other"
[profiles.small]
boots = 5
workloads = [{ name = "micro" }]
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "harness.toml").write_text(TRACKED)
    return tmp_path


def overlay(root: Path, text: str) -> config.Project:
    (root / "harness.local.toml").write_text(text)
    return reading.load(root)


def test_tables_are_merged_and_comparisons_added(root: Path) -> None:
    assert reading.load(root).overlay is None
    project = overlay(root, """
[settings.guest]
memory = "8G"
[variants.mine]
extends = "other"
config = ["debug"]
[profiles.small]
boots = 1
[[comparisons]]
baseline = "plain"
variant = "mine"
""")
    assert project.overlay == root / "harness.local.toml"
    assert (project.config.guest.smp, project.config.guest.memory) == (2, "8G")
    assert list(project.config.variants) == ["plain", "other", "mine"]
    assert project.comparisons(["plain", "other", "mine"]) == [
        ("plain", "other"), ("plain", "mine"),
    ]
    assert project.profile("small").boots == 1
    assert [one.name for one in project.profile("small").workloads] == ["micro"]


def test_a_base_of_another_kind_takes_the_place(root: Path) -> None:
    project = overlay(root, '[bases.mine]\nkind = "debian"\nsuite = "a"\npackage = "b"\n')
    assert project.base("mine").place == "b of a"
    assert overlay(root, '[bases.mine]\npath = "../linux"\n').base("mine").place == "../linux"


@pytest.mark.parametrize(("text", "says"), [
    ("[settings.guest]\nmemmory = 1\n", r"harness\.local\.toml: unknown key 'settings.guest.memm"),
    ("[variants.mine]\nextends = 'othr'\n", r"harness\.local\.toml: variants\.mine: extends"),
    ("[[comparisons]]\nbaseline = 'plain'\nvariant = 'mine'\n",
     r"harness\.local\.toml: comparisons: unknown variant 'mine'"),
    ("[bases\n", r"harness\.local\.toml: "),
    ("comparisons = 1\n", r"harness\.local\.toml: comparisons"),
])
def test_errors_name_the_local_file(root: Path, text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        overlay(root, text)


def test_errors_of_the_tracked_file_stay_its_own(root: Path) -> None:
    (root / "harness.toml").write_text(TRACKED + "[variants.wrong]\nbase = 'none'\n")
    with pytest.raises(UserError, match=r"harness\.toml: variants\.wrong: unknown base"):
        overlay(root, "[settings.guest]\nmemory = '8G'\n")


def test_it_is_said_once_and_only_when_asked(root: Path) -> None:
    shutil.copytree(FAKE_LINUX, root / "linux")
    overlay(root, "[variants.mine]\n")

    def said(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "harness", "build", "--dry-run", "--workspace", "ws", *words],
            cwd=root, capture_output=True, text=True, check=True,
        ).stderr

    assert said().count("harness.local.toml") == 0
    assert said("-v").count("harness.local.toml is laid over harness.toml") == 1


def test_this_repository_ignores_its_own() -> None:
    lines = (ROOT / ".gitignore").read_text().splitlines()
    assert "harness.local.toml" in lines
