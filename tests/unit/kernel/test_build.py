"""The whole way from tree, series and fragments to a build, on the fake kernel tree."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.core.workspace import Workspace
from harness.kernel.build import kbuild
from harness.kernel.build.builds import Build, build_variant, plan_build
from harness.project.config import Project
from harness.project.reading import load
from tests.places import ROOT

Series = Callable[..., Path]
MakePatch = Callable[[str, str], str]


def compiled(build: Build) -> list[str]:
    """The objects that a build's log says were compiled."""
    log = (build.directory / "build.log").read_text()
    return sorted(line.split()[1] for line in log.splitlines() if line.startswith("  CC "))


def spawn_build(project: Project, workspace: Workspace, variant: str) -> subprocess.Popen[bytes]:
    """The same build in another process."""
    code = (
        "import sys; from pathlib import Path\n"
        "from harness.project.reading import load\n"
        "from harness.core.workspace import Workspace\n"
        "from harness.kernel.build.builds import build_variant\n"
        "b = build_variant(Workspace(Path(sys.argv[2])), load(Path(sys.argv[1])), sys.argv[3])\n"
        "print(b.key)\n"
    )
    root = ROOT
    return subprocess.Popen(
        [sys.executable, "-c", code, str(project.root), str(workspace.root), variant],
        env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE,
    )


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def test_build_holds_artefacts_and_explains_itself(
    workspace: Workspace, project: Project
) -> None:
    build = build_variant(workspace, project, "before")
    for path in (build.bzimage, build.vmlinux, build.system_map, build.config):
        assert path.stat().st_size > 0
    assert "CONFIG_NR_CPUS=64" in build.config.read_text()
    metadata = json.loads((build.directory / "build.json").read_text())
    assert metadata["release"] == "6.1.999"
    assert metadata["source"]["version"] == "6.1.999"
    assert metadata["requested"] == {"SMP": "y", "NR_CPUS": "64"}
    assert metadata["patches"] == []
    assert "gcc" in metadata["compiler"].lower()
    assert build.key.encode() in build.bzimage.read_bytes(), "the kernel does not name its build"


@pytest.fixture
def canary(project: Project, write_series: Series, memory_patch: MakePatch) -> Project:
    """`after`, and two variants on top of it that share its work tree."""
    write_series(one=memory_patch("address + 1", "address + 2"))
    tests = project.root / "tests"
    tests.mkdir()
    for name, new in (("canary", "ret < -1"), ("mutant", "ret < -2")):
        (tests / f"{name}.patch").write_text(memory_patch("ret < 0", new))
    toml = project.root / "harness.toml"
    toml.write_text(toml.read_text() + "".join(
        f'[variants.{name}]\nextends = "after"\npatches = ["tests/{name}.patch"]\n'
        'tree = "after"\n' for name in ("canary", "mutant")
    ))
    return load(project.root)


def test_extra_patches_are_inputs_and_recorded(workspace: Workspace, canary: Project) -> None:
    one, two = (build_variant(workspace, canary, name) for name in ("after", "canary"))
    assert one.key != two.key
    assert [(p.name, p.kind) for p in two.kernel.patches] == [
        ("one.patch", "series"), ("tests/canary.patch", "extra"),
    ]
    assert all(len(p.sha256) == 64 for p in two.kernel.patches)
    text = (workspace.root / plan_build(workspace, canary, "canary").slot / "src/mm/memory.c")
    assert "address + 2" in text.read_text() and "ret < -1" in text.read_text()
    assert (two.directory / "patches/0002-canary.patch").exists()
    patch = canary.root / "tests/canary.patch"
    patch.write_text(patch.read_text().replace("ret < -1", "ret < -7"))
    assert build_variant(workspace, canary, "canary").key != two.key


def test_variants_that_share_a_tree_compile_what_differs(
    workspace: Workspace, canary: Project
) -> None:
    after = build_variant(workspace, canary, "after")
    slots = {plan_build(workspace, canary, n).slot for n in ("after", "canary", "mutant")}
    assert len(slots) == 1
    for name in ("canary", "mutant", "after"):
        build = build_variant(workspace, canary, name)
        if name != "after":
            assert compiled(build) == ["init/version.o", "mm/memory.o"]
    again = build_variant(workspace, canary, "after")
    assert again == after, "the shared tree must not change what is in the cache"
    shutil.rmtree(after.directory)
    rebuilt = build_variant(workspace, canary, "after")
    assert compiled(rebuilt) == ["init/version.o", "mm/memory.o"]
    assert rebuilt.key == after.key


def test_extra_patch_is_exact_or_refused(workspace: Workspace, canary: Project) -> None:
    patch = canary.root / "tests/canary.patch"
    patch.write_text(patch.read_text().replace("@@\n \tint ret;", "@@\n \tint other;"))
    with pytest.raises(UserError, match=r"tests/canary\.patch does not apply.*fuzz"):
        build_variant(workspace, canary, "canary")
    patch.unlink()
    with pytest.raises(UserError, match=r"variant canary names tests/canary\.patch: No such file"):
        build_variant(workspace, canary, "canary")


def test_second_call_builds_nothing(workspace: Workspace, project: Project) -> None:
    first = build_variant(workspace, project, "before")
    stamp = first.bzimage.stat().st_mtime_ns
    start = time.monotonic()
    second = build_variant(workspace, project, "before")
    assert time.monotonic() - start < 0.5
    assert second == first
    assert second.bzimage.stat().st_mtime_ns == stamp


def test_series_changes_only_what_it_touches(
    workspace: Workspace, project: Project, write_series: Series, memory_patch: MakePatch
) -> None:
    write_series(one=memory_patch("address + 1", "address + 2"))
    first = build_variant(workspace, project, "after")
    write_series(one=memory_patch("address + 1", "address + 3"))
    second = build_variant(workspace, project, "after")
    assert second.key != first.key
    assert "mm/memory.o" in compiled(second)
    assert "init/main.o" not in compiled(second)
    assert "init/main.o" in compiled(first)
    assert second.kernel.patches[0].subject == "mm: change"
    source = project.root / "linux/mm/memory.c"
    assert "address + 1" in source.read_text(), "the pristine tree was written to"


def test_series_says_what_its_kernel_must_have(
    workspace: Workspace, project: Project, write_series: Series, memory_patch: MakePatch
) -> None:
    folder = write_series(one=memory_patch("address + 1", "address + 2"),
                          two=memory_patch("address + 1", "address + 3"))
    (folder / "series.config").write_text("CONFIG_FREE_USER_PTE=y # what it is for\n")

    def requested(variant: str, patches: int | None = None) -> dict[str, str]:
        plan = plan_build(workspace, project, variant, fetch=True, patches=patches)
        return plan.requested

    assert requested("after")["FREE_USER_PTE"] == "y"
    assert requested("after", 2)["FREE_USER_PTE"] == "y"
    assert "FREE_USER_PTE" not in requested("after", 1), "a part of it need not have it"
    assert "FREE_USER_PTE" not in requested("before")


def test_series_that_shrinks_restores_the_base(
    workspace: Workspace, project: Project, write_series: Series, memory_patch: MakePatch
) -> None:
    new_file = "--- /dev/null\n+++ b/mm/new.c\n@@ -0,0 +1 @@\n+int x;\n"
    write_series(one=memory_patch("address + 1", "address + 2"), two=new_file)
    build_variant(workspace, project, "after")
    src = next((workspace.root / "work").glob("*/after/src"))
    assert (src / "mm/new.c").exists()
    write_series(three=memory_patch("ret < 0", "ret < -1"))
    build_variant(workspace, project, "after")
    text = (src / "mm/memory.c").read_text()
    assert "address + 1" in text
    assert "ret < -1" in text
    assert not (src / "mm/new.c").exists()


def test_changed_user_tree_is_followed(workspace: Workspace, project: Project) -> None:
    first = build_variant(workspace, project, "before")
    main = project.root / "linux/init/main.c"
    main.write_text(main.read_text().replace("fault(1)", "fault(2)"))
    second = build_variant(workspace, project, "before")
    assert first.key != second.key
    assert "init/main.o" in compiled(second)
    assert "mm/memory.o" not in compiled(second)


def test_source_dir_replaces_the_base(
    workspace: Workspace, project: Project, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (project.root / "linux").rename(other)
    build = build_variant(workspace, project, "before", source_dir=other)
    assert build.kernel.source.details["path"] == str(other)
    with pytest.raises(UserError, match="not a kernel source tree"):
        build_variant(workspace, project, "before", source_dir=tmp_path)


def test_force_builds_from_scratch_and_the_same(workspace: Workspace, project: Project) -> None:
    first = build_variant(workspace, project, "before")
    image, stamp = first.bzimage.read_bytes(), first.bzimage.stat().st_mtime_ns
    again = build_variant(workspace, project, "before", force=True)
    assert again.bzimage.stat().st_mtime_ns != stamp
    assert again.bzimage.read_bytes() == image
    assert "init/main.o" in compiled(again)


def test_changed_fragment_is_another_build(workspace: Workspace, project: Project) -> None:
    first = build_variant(workspace, project, "before")
    fragment = project.root / "kernel/config/guest.config"
    fragment.write_text("CONFIG_SMP=y # threads\nCONFIG_FREE_USER_PTE=y # the series\n")
    second = build_variant(workspace, project, "before")
    assert second.key != first.key
    assert "CONFIG_FREE_USER_PTE=y" in second.config.read_text()
    assert "CONFIG_NR_CPUS=1" in second.config.read_text(), "a symbol of last time stuck"
    assert not list((workspace.root / "work").rglob(".config.*")), "a file was left behind"


def test_comment_in_a_fragment_is_not_an_input(workspace: Workspace, project: Project) -> None:
    first = build_variant(workspace, project, "before")
    fragment = project.root / "kernel/config/guest.config"
    fragment.write_text(fragment.read_text().replace("# many", "# more than anyone has"))
    assert build_variant(workspace, project, "before").key == first.key


def test_symbols_that_cannot_be_set_are_listed(workspace: Workspace, project: Project) -> None:
    (project.root / "kernel/config/debug.config").write_text(
        "CONFIG_DEBUG_VM=y\nCONFIG_NO_SUCH=y\nCONFIG_SMP=y\n"
    )
    with pytest.raises(UserError) as caught:
        build_variant(workspace, project, "debug")
    line = caught.value.line()
    assert "2 requested config symbols" in line
    assert "CONFIG_DEBUG_VM: requested y, got not set (depends on DEBUG_KERNEL)" in line
    assert "CONFIG_NO_SUCH: requested y, got not set (no such symbol in this tree)" in line
    assert not list((workspace.root / "builds").glob("*"))


def test_compile_error_is_shown_with_context(
    workspace: Workspace, project: Project, write_series: Series, memory_patch: MakePatch
) -> None:
    write_series(bad=memory_patch("address + 1;", "addres + 1;"))
    with pytest.raises(InfrastructureError) as caught:
        build_variant(workspace, project, "after")
    assert "mm/memory.c:5:16: error: 'addres' undeclared" in caught.value.excerpt
    assert "return addres + 1;" in caught.value.excerpt
    assert caught.value.log and caught.value.log.exists()
    write_series(good=memory_patch("address + 1;", "address + 4;"))
    assert build_variant(workspace, project, "after").bzimage.exists()


def test_kconfig_syntax_error_is_shown(workspace: Workspace, project: Project) -> None:
    kconfig = project.root / "linux/Kconfig"
    kconfig.write_text(kconfig.read_text() + "blah blah\n")
    with pytest.raises(InfrastructureError) as caught:
        build_variant(workspace, project, "before")
    assert 'unknown statement "blah"' in caught.value.excerpt


def test_a_kernel_that_wants_a_newer_compiler(workspace: Workspace, project: Project) -> None:
    makefile = project.root / "linux/Makefile"
    check = (
        "'***' '*** C compiler is too old.' '***   Your GCC version:    12.2.0' "
        "'***   Minimum GCC version: 99.1.0' '***'"
    )
    makefile.write_text(makefile.read_text().replace(
        "tinyconfig:\n", f"tinyconfig:\n\t@printf '%s\\n' {check} >&2; exit 1\n", 1
    ))
    with pytest.raises(UserError, match=r"needs GCC 99\.1\.0 or newer; here it is 12\.2\.0"):
        build_variant(workspace, project, "before")


def test_patch_that_does_not_apply_changes_nothing(
    workspace: Workspace, project: Project, write_series: Series, memory_patch: MakePatch
) -> None:
    write_series(one=memory_patch("address + 1", "address + 2"))
    first = build_variant(workspace, project, "after")
    write_series(two=memory_patch("address + 1", "address + 2").replace("int address", "long x"))
    with pytest.raises(UserError, match=r"two.patch does not apply: mm/memory.c, the hunk at"):
        build_variant(workspace, project, "after")
    write_series(one=memory_patch("address + 1", "address + 2"))
    assert build_variant(workspace, project, "after") == first


def test_empty_series_tells_what_to_do(workspace: Workspace, project: Project) -> None:
    with pytest.raises(UserError) as caught:
        build_variant(workspace, project, "after")
    assert caught.value.line().endswith(
        "is empty; add patches to it, as `git format-patch -o DIR BASE` makes them, or name a "
        "variant without a series"
    )


def test_unknown_variant_and_fragment(workspace: Workspace, project: Project) -> None:
    with pytest.raises(UserError) as caught:
        build_variant(workspace, project, "befor")
    assert "did you mean 'before'" in caught.value.line()
    (project.root / "kernel/config/debug.config").rename(
        project.root / "kernel/config/own-debugg.config"
    )
    toml = project.root / "harness.toml"
    toml.write_text(toml.read_text().replace('["debug"]', '["own-debug"]'))
    project = load(project.root)
    with pytest.raises(UserError) as caught:
        build_variant(workspace, project, "debug")
    assert "did you mean 'own-debugg'" in caught.value.line()


@pytest.fixture
def gate(project: Project, tmp_path: Path) -> Iterator[Path]:
    """While this file exists, compiling mm/memory.o leaves half an object and waits."""
    path = tmp_path / "gate"
    (project.root / "linux/.gate").write_text(f"{path}\n")
    yield path
    path.unlink(missing_ok=True)  # a failed test must not leave somebody waiting


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_killed_build_is_repaired_and_leaves_no_process(
    workspace: Workspace, project: Project, write_series: Series, memory_patch: MakePatch,
    gate: Path, *, number: signal.Signals,
) -> None:
    write_series(one=memory_patch("address + 1", "address + 2"))
    build_variant(workspace, project, "after")
    write_series(one=memory_patch("address + 1", "address + 3"))
    gate.touch()
    process = spawn_build(project, workspace, "after")
    half = next((workspace.root / "work").glob("*/after/src/.obj")) / "mm/memory.o"
    wait_for(lambda: half.exists() and half.read_bytes() == b"half\n")
    process.send_signal(number)
    process.wait(60)

    def running() -> str:
        return subprocess.run(
            ["pgrep", "-f", str(workspace.root)], capture_output=True, text=True, check=False
        ).stdout

    wait_for(lambda: not running(), 5)
    if number == signal.SIGKILL:  # make could not clean up: half an object looks up to date
        assert half.read_bytes() == b"half\n"
    gate.unlink()
    build = build_variant(workspace, project, "after")
    assert "mm/memory.o" in compiled(build)
    assert len(list((workspace.root / "builds").glob("*"))) == 2


def test_missing_compressor_is_said_before_the_start(
    workspace: Workspace, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(kbuild.COMPRESSORS, "SMP", "no-such-tool")
    with pytest.raises(UserError) as caught:
        build_variant(workspace, project, "before")
    assert caught.value.line() == "no-such-tool is not installed; apt-get install no-such-tool"


def test_concurrent_builds_make_it_once(
    workspace: Workspace, project: Project, gate: Path
) -> None:
    gate.touch()
    one, two = (spawn_build(project, workspace, "before") for _ in range(2))
    wait_for(lambda: list((workspace.root / "work").glob("*/before/src/.obj/mm/memory.o")))
    gate.unlink()
    keys = {process.communicate(timeout=240)[0] for process in (one, two)}
    assert len(keys) == 1
    assert (one.returncode, two.returncode) == (0, 0)
    assert len(list((workspace.root / "builds").glob("[!.]*"))) == 1


def test_environment_is_not_an_input(
    workspace: Workspace, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "KCFLAGS": "--no-such-flag", "LOCALVERSION": "-mine", "MAKEFLAGS": "-n", "O": "/nowhere",
    }.items():
        monkeypatch.setenv(name, value)
    assert build_variant(workspace, project, "before").release == "6.1.999"


def test_plan_says_what_would_be_done(workspace: Workspace, project: Project) -> None:
    plan = plan_build(workspace, project, "debug")
    text = "\n".join(plan.steps())
    assert "tinyconfig + guest, debug (4 symbols)" in text
    assert not (workspace.root / "work").exists()
    build_variant(workspace, project, "debug")
    assert "nothing to do" in plan_build(workspace, project, "debug").steps()[0]


def test_reproducer_repeats_the_build(
    workspace: Workspace, project: Project, write_series: Series, memory_patch: MakePatch,
    tmp_path: Path,
) -> None:
    write_series(one=memory_patch("address + 1", "address + 2"))
    build = build_variant(workspace, project, "after")
    tree = tmp_path / "fresh"
    (project.root / "linux").rename(tree)
    done = subprocess.run(
        ["sh", str(build.directory / "reproducer.sh"), str(tree)], capture_output=True, text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same kernel, bit for bit" in done.stdout


def test_full_disk_is_said_before_the_start(
    workspace: Workspace, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.kernel.build.builds.FRESH_SPACE", 2**60)
    with pytest.raises(UserError, match="GiB free"):
        build_variant(workspace, project, "before")
