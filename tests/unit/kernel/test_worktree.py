"""Work areas: only what differs is written, the pristine tree never, and a kill is survived."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build.worktree import WorkTree, drop_half_made
from harness.kernel.series.patches import load_series
from harness.kernel.source import treedigest
from harness.kernel.source.sources import Source
from harness.project.config import Project
from harness.records.kernels import SourceRecord

QUIET = Progress(-1)


@pytest.fixture
def source(project: Project) -> Source:
    """The fake tree as a published one, cloned with hard links."""
    record = SourceRecord(kind="debian", version="6.1.999", digest="d1")
    return Source("fake", project.root / "linux", record)


def test_hard_links_are_never_written_through(
    source: Source, tmp_path: Path, write_series: Callable[..., Path],
    memory_patch: Callable[[str, str], str],
) -> None:
    tree = WorkTree(tmp_path / "slot")
    series = load_series(write_series(a=memory_patch("address + 1", "address + 2")))
    assert tree.update(source, series, QUIET) == ["mm/memory.c"]
    assert (tree.src / "init/main.c").samefile(source.path / "init/main.c")
    assert not (tree.src / "mm/memory.c").samefile(source.path / "mm/memory.c")
    assert "address + 1" in (source.path / "mm/memory.c").read_text()
    assert tree.update(source, series, QUIET) == []
    before = (tree.src / "mm/memory.c").stat().st_mtime_ns
    assert tree.update(source, None, QUIET) == ["mm/memory.c"]
    restored = tree.src / "mm/memory.c"
    assert restored.stat().st_mtime_ns > before, "make would not see the restored file"
    assert not restored.samefile(source.path / "mm/memory.c")


def test_interrupted_update_is_repaired(
    source: Source, tmp_path: Path, write_series: Callable[..., Path],
    memory_patch: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch,
) -> None:
    tree = WorkTree(tmp_path / "slot")
    tree.update(source, None, QUIET)
    new = "--- /dev/null\n+++ b/mm/z.c\n@@ -0,0 +1 @@\n+int z;\n"
    series = load_series(write_series(a=memory_patch("address + 1", "address + 2"), b=new))
    settle = WorkTree._settle

    def killed(self: WorkTree, name: str, wanted: Path | None) -> bool:
        if name == "mm/z.c":
            raise KeyboardInterrupt
        return settle(self, name, wanted)

    monkeypatch.setattr(WorkTree, "_settle", killed)
    with pytest.raises(KeyboardInterrupt):
        tree.update(source, series, QUIET)
    monkeypatch.undo()
    assert "address + 2" in (tree.src / "mm/memory.c").read_text()
    assert tree.update(source, None, QUIET) == ["mm/memory.c"]
    assert tree.update(source, series, QUIET) == ["mm/memory.c", "mm/z.c"]


def test_interrupted_copy_is_made_again(source: Source, tmp_path: Path) -> None:
    tree = WorkTree(tmp_path / "slot")
    (tree.src / "mm").mkdir(parents=True)
    (tree.src / "half").write_text("")
    tree.update(source, None, QUIET)
    assert not (tree.src / "half").exists()
    assert (tree.src / "mm/memory.c").exists()


def test_another_version_of_the_base_is_a_fresh_copy(source: Source, tmp_path: Path) -> None:
    tree = WorkTree(tmp_path / "slot")
    tree.update(source, None, QUIET)
    (tree.obj / "vmlinux").write_text("old")
    newer = Source(
        "fake", source.path, SourceRecord(kind="debian", version="6.1.1000", digest="d2")
    )
    tree.update(newer, None, QUIET)
    assert not (tree.obj / "vmlinux").exists()


def test_executable_bit_and_links_are_followed(
    project: Project, workspace: Workspace, tmp_path: Path
) -> None:
    linux = project.root / "linux"
    (linux / "link").symlink_to("mm")

    def listed() -> Source:
        files, total = treedigest.listing(workspace, linux)
        return Source("fake", linux, SourceRecord(kind="dir", version="6", digest=total), files)

    tree = WorkTree(tmp_path / "slot")
    first = listed()
    tree.update(first, None, QUIET)
    assert (tree.src / "link").readlink() == Path("mm")
    (linux / "scripts/fakeconf.sh").chmod(0o755)
    (linux / "link").unlink()
    (linux / "mm/extra.c").write_text("")
    second = listed()
    assert second.digest != first.digest
    assert tree.update(second, None, QUIET) == ["link", "mm/extra.c", "scripts/fakeconf.sh"]
    assert os.access(tree.src / "scripts/fakeconf.sh", os.X_OK)
    assert not (tree.src / "link").is_symlink()


def test_listing_ignores_what_a_build_leaves(project: Project, workspace: Workspace) -> None:
    linux = project.root / "linux"
    clean = treedigest.listing(workspace, linux)
    for name in (".config", "mm/memory.o", "mm/.memory.o.cmd", "include/config/auto.conf",
                 "include/generated/autoconf.h", "vmlinux", "System.map", ".git/config"):
        (linux / name).parent.mkdir(parents=True, exist_ok=True)
        (linux / name).write_text("x")
    (linux / ".git/config").unlink()
    (linux / ".git").rmdir()
    assert treedigest.listing(workspace, linux) == clean
    (linux / "mm/vmlinux.lds.S").write_text("x")
    assert "mm/vmlinux.lds.S" in treedigest.listing(workspace, linux)[0]


def test_listing_reads_changed_files_only(
    project: Project, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    linux = project.root / "linux"
    for path in linux.rglob("*"):
        os.utime(path, (1, 1))
    treedigest.listing(workspace, linux)
    read: list[str] = []
    real = treedigest._content

    def content(path: str, info: os.stat_result) -> str:
        read.append(path)
        return real(path, info)

    monkeypatch.setattr(treedigest, "_content", content)
    (linux / "Kbuild").write_text("obj-y :=\n")
    treedigest.listing(workspace, linux)
    assert [Path(path).name for path in read] == ["Kbuild"]


def test_damaged_stat_cache_is_ignored(project: Project, workspace: Workspace) -> None:
    first = treedigest.listing(workspace, project.root / "linux")
    (cache,) = workspace.dir("state").glob("tree-*.json")
    for text in ("", "[]", "{}", json.dumps({"total": "x", "files": {"Kbuild": 3}})):
        cache.write_text(text)
        assert treedigest.listing(workspace, project.root / "linux") == first


def test_half_made_objects_go(tmp_path: Path) -> None:
    def put(name: str, when: int) -> Path:
        path = tmp_path / name
        path.write_text(name)
        os.utime(path, ns=(when, when))
        return path

    old, old_cmd = put("old.o", 10), put(".old.o.cmd", 20)
    good, good_cmd = put("good.o", 110), put(".good.o.cmd", 120)
    half, half_cmd = put("half.o", 130), put(".half.o.cmd", 20)
    dep, dep_cmd, _ = put("dep.o", 130), put(".dep.o.cmd", 140), put(".dep.o.d", 135)
    header = put("generated.h", 130)
    drop_half_made(tmp_path, 100)
    assert not half.exists() and half_cmd.exists()
    assert dep.exists() and not dep_cmd.exists()
    assert all(path.exists() for path in (old, old_cmd, good, good_cmd, header))
