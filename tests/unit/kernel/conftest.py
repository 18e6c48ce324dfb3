"""A checkout in the small around the fake kernel tree."""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.workspace import Workspace
from harness.project import reading
from harness.project.config import Project
from tests.places import FAKE_LINUX

TOML = """
[defaults]
base = "fake"
variants = ["before", "after"]
[bases.fake]
kind = "dir"
path = "linux"
config = ["guest"]
[variants.before]
[variants.after]
series = "kernel/patches/{base}"
[variants.debug]
config = ["debug"]
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project whose base is a copy of the fake tree in ``linux``."""
    root = tmp_path / "checkout"
    (root / "kernel/config").mkdir(parents=True)
    (root / "kernel/patches/fake").mkdir(parents=True)
    shutil.copytree(FAKE_LINUX, root / "linux")
    (root / "harness.toml").write_text(TOML)
    (root / "kernel/config/guest.config").write_text(
        "# what guests need\nCONFIG_SMP=y      # threads\nCONFIG_NR_CPUS=64 # many\n"
    )
    (root / "kernel/config/debug.config").write_text(
        "CONFIG_DEBUG_KERNEL=y\nCONFIG_DEBUG_VM=y # checks\n"
    )
    (root / "kernel/patches/fake/series").write_text("# none yet\n")
    return reading.load(root)


def diff(name: str, old: str, new: str, subject: str = "mm: change") -> str:
    """A format-patch file that turns ``old`` into ``new``."""
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{name}", f"b/{name}"
    )
    return (
        f"From 0123 Mon Sep 17 00:00:00 2001\nFrom: A B <a@b>\nSubject: [PATCH 1/2] {subject}\n\n"
        f"Reason.\n---\n {name} | 2 +-\n\ndiff --git a/{name} b/{name}\n"
        + "".join(lines) + "-- \n2.39.5\n\n"
    )


@pytest.fixture
def write_series(project: Project) -> Callable[..., Path]:
    """Write kernel/patches/fake from name=text pairs."""

    def write(**patches: str) -> Path:
        directory = project.root / "kernel/patches/fake"
        for name, text in patches.items():
            (directory / f"{name}.patch").write_text(text)
        (directory / "series").write_text("".join(f"{name}.patch\n" for name in patches))
        return directory

    return write


@pytest.fixture
def memory_patch(project: Project) -> Callable[[str, str], str]:
    """A patch that replaces a text in mm/memory.c."""

    def make(old: str, new: str) -> str:
        text = (project.root / "linux/mm/memory.c").read_text()
        assert old in text
        return diff("mm/memory.c", text, text.replace(old, new))

    return make
