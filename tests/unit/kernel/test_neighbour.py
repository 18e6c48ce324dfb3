"""A variant begins with the objects of its nearest neighbour, and comes out as if it had not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.workspace import Workspace
from harness.kernel.build import neighbour
from harness.kernel.build.builds import Build, build_variant, plan_build
from harness.kernel.build.worktree import RUNNING, WorkTree
from harness.project.config import Project

MakePatch = Callable[[str, str], str]


def compiled(build: Build) -> list[str]:
    """The objects that a build's log says were compiled."""
    log = (build.directory / "build.log").read_text()
    return sorted(line.split()[1] for line in log.splitlines() if line.startswith("  CC "))


def slot(workspace: Workspace, project: Project, variant: str) -> Path:
    return workspace.root / plan_build(workspace, project, variant).slot


@pytest.fixture
def project(
    project: Project, write_series: Callable[..., Path], memory_patch: MakePatch
) -> Project:
    """`after` differs from `before` in mm/memory.c."""
    write_series(one=memory_patch("address + 1", "address + 2"))
    return project


@pytest.mark.parametrize(("first", "second"), [("before", "after"), ("after", "before")])
def test_only_what_differs_is_compiled(
    workspace: Workspace, project: Project, tmp_path: Path, first: str, second: str
) -> None:
    """Also where the file that differs is an old one of the pristine tree."""
    old = build_variant(workspace, project, first)
    assert compiled(old) == ["init/main.o", "init/version.o", "mm/memory.o"]
    pristine = {p: p.stat().st_mtime_ns for p in (project.root / "linux").rglob("*")}
    new = build_variant(workspace, project, second)
    assert compiled(new) == ["init/version.o", "mm/memory.o"]
    clean = build_variant(Workspace(tmp_path / "other"), project, second)
    assert compiled(clean) == ["init/main.o", "init/version.o", "mm/memory.o"]
    for one in ("bzImage", "vmlinux", "System.map", "config"):
        assert (new.directory / one).read_bytes() == (clean.directory / one).read_bytes()
    assert {p: p.stat().st_mtime_ns for p in pristine} == pristine


def test_a_change_that_the_neighbour_has_not_compiled_yet(
    workspace: Workspace, project: Project, tmp_path: Path
) -> None:
    """Its source is already another than its objects are of: only times tell."""
    build_variant(workspace, project, "after")
    (project.root / "kernel/patches/fake/one.patch").write_text("")
    tree = WorkTree(slot(workspace, project, "before").parent / "after")
    source = plan_build(workspace, project, "before").source
    assert source
    from harness.core.progress import Progress

    assert tree.update(source, None, Progress(-1)) == ["mm/memory.c"]
    new = build_variant(workspace, project, "before")
    assert "mm/memory.o" in compiled(new)
    clean = build_variant(Workspace(tmp_path / "other"), project, "before")
    assert new.vmlinux.read_bytes() == clean.vmlinux.read_bytes()


def test_the_nearest_configuration_is_taken(workspace: Workspace, project: Project) -> None:
    build_variant(workspace, project, "before")
    build_variant(workspace, project, "debug")
    tree = WorkTree(slot(workspace, project, "after"))
    shutil.copytree(slot(workspace, project, "before"), tree.slot)
    found = neighbour.candidates(tree)
    assert [(one.tree.slot.name, one.symbols, one.files) for one in found] == [
        ("before", 0, 0), ("debug", 2, 0),
    ]


def test_half_made_and_foreign_objects_are_not_taken(
    workspace: Workspace, project: Project
) -> None:
    build_variant(workspace, project, "before")
    tree = WorkTree(slot(workspace, project, "before"))
    marker = tree.obj / RUNNING
    marker.write_text("")
    after = build_variant(workspace, project, "after")
    assert "init/main.o" in compiled(after), "objects of a make that was killed"
    marker.unlink()
    shutil.rmtree(slot(workspace, project, "after"))
    shutil.rmtree(after.directory)
    with workspace.lock(neighbour.lock_name(plan_build(workspace, project, "before").slot)):
        pass
    state = tree.slot / "src.json"
    state.write_text(state.read_text().replace('"origin":"', '"origin":"x').replace(
        '"files":{', '"files":null,"was":{'
    ))
    assert "init/main.o" in compiled(build_variant(workspace, project, "after"))


def test_a_neighbour_that_is_being_built_is_not_waited_for(
    workspace: Workspace, project: Project
) -> None:
    build_variant(workspace, project, "before")
    held = plan_build(workspace, project, "before").slot
    with workspace.lock(neighbour.lock_name(held)):
        pid = os.fork()
        if not pid:  # the lock is this process's own: only another one finds it held
            code = 1
            try:
                made = build_variant(workspace, project, "after")
                code = 0 if "init/main.o" in compiled(made) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
