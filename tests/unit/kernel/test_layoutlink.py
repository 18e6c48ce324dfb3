"""Another layout of a kernel: the same objects, in the same order, at other addresses."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.core.workspace import Workspace
from harness.kernel.build import gapped_ld
from harness.kernel.build.builds import Build, build_variant, plan_build
from harness.kernel.build.gapped_ld import STEP, STEPS, gap_before, gapped
from harness.project.config import Project
from tests.unit.kernel.test_build import compiled


def functions(build: Build) -> dict[str, int]:
    """Name to address, of what is in System.map's text."""
    lines = (line.split() for line in build.system_map.read_text().splitlines())
    return {name: int(at, 16) for at, kind, name in lines if kind in "tT"}


def test_a_gap_is_the_layouts_and_the_objects() -> None:
    names = [f"mm/{number}.o" for number in range(400)]
    one, two = ([gap_before(layout, name) for name in names] for layout in (1, 2))
    assert one != two
    assert set(one) == set(two) == {step * STEP for step in range(STEPS)}
    assert one == [gap_before(1, f"./{name}") for name in names]
    assert {gap_before(0, name) for name in names} == {0}


def test_only_what_is_linked_whole_gets_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = [f"{number}.o" for number in range(20)]
    for name in names:
        subprocess.run(["as", "-o", name, "-"], input="nop\n", text=True, check=True)
    subprocess.run(["ar", "cDPrST", "thin.a", *names], check=True)
    subprocess.run(["ar", "cDPrS", "fat.a", names[0]], check=True)
    words = ["-o", "x", "--whole-archive", "thin.a", "fat.a", "none.a", "y.o", "--no-whole-archive",
             "thin.a"]
    found = gapped(words, 1, Path("gaps"))
    gaps = [word for word in found.arguments if word.startswith("gaps/")]
    assert [word for word in found.arguments if word not in gaps] == [
        "-o", "x", "--whole-archive", *names, "fat.a", "none.a", "y.o", "--no-whole-archive",
        "thin.a",
    ]
    assert len(gaps) == found.objects > 10
    assert found.gap_bytes == sum(gap_before(1, name) for name in names)
    assert gapped(words, 0, Path("gaps")).objects == 0


def test_a_layout_moves_functions_and_compiles_nothing(
    workspace: Workspace, project: Project
) -> None:
    usual = build_variant(workspace, project, "before")
    first = build_variant(workspace, project, "before", layout=1)
    second = build_variant(workspace, project, "before", layout=2)
    assert len({usual.key, first.key, second.key}) == 3
    assert compiled(first) == compiled(second) == ["init/version.o"], "it names the build"
    places = [functions(build) for build in (usual, first, second)]
    assert places[0].keys() == places[1].keys() == places[2].keys()
    assert len({tuple(place.values()) for place in places}) == 3
    assert list(places[0]) == list(places[1]), "the order is the same"
    assert usual.kernel.layout.number == usual.kernel.layout.objects == 0
    for number, build in ((1, first), (2, second)):
        layout, names = build.kernel.layout, ("init/main.o", "init/version.o", "mm/memory.o")
        assert layout.number == number
        assert layout.gap_bytes == sum(gap_before(number, name) for name in names) > 0
        assert build.key.encode() in build.bzimage.read_bytes()


def test_the_build_after_a_layout_is_the_usual_one(workspace: Workspace, project: Project) -> None:
    build_variant(workspace, project, "before", layout=1)
    after = functions(build_variant(workspace, project, "before"))
    other = Workspace(workspace.root.with_name("other"))
    assert after == functions(build_variant(other, project, "before"))
    again = build_variant(workspace, project, "before", layout=1, force=True)
    assert functions(again) != after


def test_two_variants_of_one_layout_have_the_same_gaps(
    workspace: Workspace, project: Project, write_series: Callable[..., Path],
    memory_patch: Callable[[str, str], str],
) -> None:
    write_series(one=memory_patch("address + 1", "address + 2"))
    before, after = (
        build_variant(workspace, project, name, layout=3) for name in ("before", "after")
    )
    assert functions(before) == functions(after)
    assert before.kernel.layout == after.kernel.layout


def test_a_layout_is_part_of_the_plan(workspace: Workspace, project: Project) -> None:
    usual, other = (
        plan_build(workspace, project, "before", layout=layout) for layout in (0, 2)
    )
    assert usual.key != other.key
    assert usual.slot == other.slot
    assert other.steps()[-1] == "before: link it as layout 2"
    assert not any("layout" in step for step in usual.steps())


def test_a_tree_that_cannot_be_laid_out_otherwise_is_named(
    workspace: Workspace, project: Project
) -> None:
    makefile = project.root / "linux/Makefile"
    text = makefile.read_text()
    start = text.index("\t@cd $(O) && rm -f vmlinux.a")
    end = text.index("\t@nm -n")
    link = "\t@ld --build-id=none -e start_kernel -o $@ $^\n"
    makefile.write_text(text[:start] + link + text[end:])
    build_variant(workspace, project, "before")
    with pytest.raises(UserError, match="layout 1 cannot be made of this tree"):
        build_variant(workspace, project, "before", layout=1)


def test_the_reproducer_makes_the_same_layout(
    workspace: Workspace, project: Project, tmp_path: Path
) -> None:
    build = build_variant(workspace, project, "before", layout=2)
    tree = tmp_path / "again"
    subprocess.run(["cp", "-r", str(project.root / "linux"), str(tree)], check=True)
    done = subprocess.run(
        ["sh", str(build.directory / "reproducer.sh"), str(tree)], capture_output=True, text=True,
        check=False,
    )
    assert "same kernel, bit for bit" in done.stdout, done.stderr
    assert (build.directory / Path(gapped_ld.__file__).name).exists()
