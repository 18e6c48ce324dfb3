"""The installed package is enough: a project elsewhere plans its builds without a checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import FAKE_LINUX, ROOT

TOML = """
[bases.mine]
kind = "dir"
path = "linux"
[variants.plain]
[variants.patched]
patches = ["one.patch"]
[[comparisons]]
baseline = "plain"
variant = "patched"
[[profiles.small.workloads]]
name = "micro"
"""
KEPT_OUT = shutil.ignore_patterns(
    ".*", "results", "tests", "docs", "*.egg-info", "__pycache__", "bin"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install .` puts into an environment."""
    top = tmp_path_factory.mktemp("installed")
    shutil.copytree(ROOT, top / "checkout", ignore=KEPT_OUT)
    # Not pip: it would fetch its own setuptools, or want `wheel`. The content is the same.
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build", "--build-lib", str(top / "site")],
        cwd=top / "checkout", check=True, capture_output=True,
    )
    shutil.rmtree(top / "checkout")
    return top / "site"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A project of twelve lines outside of any checkout of the harness."""
    shutil.copytree(FAKE_LINUX, tmp_path / "linux")
    (tmp_path / "harness.toml").write_text(TOML)
    (tmp_path / "one.patch").write_text(
        "--- a/mm/memory.c\n+++ b/mm/memory.c\n@@ -3,6 +3,6 @@\n"
        " static int pte_alloc(int address)\n {\n-\treturn address + 1;\n+\treturn address + 2;\n"
        " }\n \n int handle_mm_fault(int address)\n"
    )
    return tmp_path


def harness(site: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *words, "--workspace", str(cwd / "ws")], cwd=cwd,
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(site)},
    )


def test_all_data_comes_with_it(site: Path) -> None:
    for folder in ("kernel/config", "guest", "kernel/patches/compat"):
        tracked = subprocess.run(
            ["git", "-C", str(ROOT), "ls-files", folder], capture_output=True, text=True,
            check=True,
        ).stdout.splitlines()
        for name in tracked:
            if not name.endswith((".md", ".0")):
                built_in = site / "harness/builtin" / name
                assert built_in.read_bytes() == (ROOT / name).read_bytes()


def test_a_project_elsewhere_plans_a_build(site: Path, elsewhere: Path) -> None:
    done = harness(site, elsewhere, "build", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "plain: configure from tinyconfig + guest, mm, lean" in done.stdout
    assert "patched: apply 1 patch to mine" in done.stdout
    assert not (elsewhere / "ws/work").exists()


def test_its_own_files_come_before_built_in_ones(site: Path, elsewhere: Path) -> None:
    """One fragment of three lines instead of the built-in ones: then the small kernel builds."""
    folder = elsewhere / "kernel/config"
    folder.mkdir(parents=True)
    for name in ("mm", "lean"):
        (folder / f"{name}.config").write_text("")
    (folder / "guest.config").write_text("CONFIG_SMP=y\n")
    done = harness(site, elsewhere, "build")
    assert done.returncode == 0, done.stderr
    assert "plain: 6.1.999" in done.stdout and "patched: 6.1.999" in done.stdout


def test_its_guest_programs_are_laid_over_built_in_ones(elsewhere: Path) -> None:
    from harness.image import programs
    from harness.project import reading

    (elsewhere / "guest/races").mkdir(parents=True)
    (elsewhere / "guest/races/race-mine.c").write_text("/* mine */\n")
    (elsewhere / "guest/micro.c").write_text("/* mine */\n")
    project = reading.load(elsewhere)
    found = programs.sources(project)
    assert found["micro.c"] == elsewhere / "guest/micro.c"
    assert found["races/race-mine.c"] == elsewhere / "guest/races/race-mine.c"
    assert found["churn.c"] == ROOT / "guest/churn.c"
    with programs.source_tree(project, elsewhere) as tree:
        assert (tree / "micro.c").read_text() == "/* mine */\n"
        assert (tree / "Makefile").exists() and (tree / "races/race-mine.c").exists()
