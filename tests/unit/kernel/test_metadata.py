"""Records of builds and sources that the first version wrote are read: nothing is made again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.core.errors import InfrastructureError
from harness.core.workspace import Workspace
from harness.kernel.build import metadata
from harness.kernel.build.builds import Build, build_variant
from harness.kernel.source.sources import find_source
from harness.project.config import Project
from harness.project.reading import parse

OLD = {
    "variant": "after", "key": "49d963d5f1adbb13", "base": "debian-6.1", "release": "6.1.192",
    "source": {"version": "6.1.192-2", "digest": "ae95", "kind": "debian",
               "package": "linux-source-6.1", "suite": "bookworm", "mirror": "http://m.test/debian",
               "sha256": "ae95"},
    "patches": [{"name": "one.patch", "sha256": "1" * 64, "subject": "mm: one"},
                {"name": "x.patch", "sha256": "2" * 64, "subject": "x", "kind": "extra"}],
    "fragments": ["guest"], "requested": {"SMP": "y"}, "config_digest": "c", "compiler": "gcc",
    "arch": "x86_64", "make_variables": {"WERROR": "0"},
    "compat": [{"name": "tools", "reason": "old", "make": {"WERROR": "0"}}],
    "series": {"kind": "lore", "message_id": "m@x", "version": 2,
               "attestation": {"result": "none", "lines": []}},
    "tools": {"make": "GNU Make 4.3"}, "jobs": 2, "seconds": 1.5,
}


def test_a_build_of_the_first_version(tmp_path: Path) -> None:
    (tmp_path / "build.json").write_text(json.dumps(OLD))
    kernel = Build.load(tmp_path, "mine").kernel
    assert (kernel.variant, kernel.lineage, kernel.release) == ("mine", "debian-6.1", "6.1.192")
    assert kernel.source.kind == "debian" and kernel.source.details["suite"] == "bookworm"
    assert [patch.kind for patch in kernel.patches] == ["series", "extra"]
    assert kernel.compat[0].details == {"make": '{"WERROR": "0"}'}
    assert kernel.series and kernel.series.details["version"] == "2"
    (tmp_path / "build.json").write_text(json.dumps({**OLD, "series": {}}))
    assert metadata.read(tmp_path).series is None


def test_a_damaged_record_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "build.json").write_text("{")
    with pytest.raises(InfrastructureError, match=r"is damaged: .*build again"):
        metadata.read(tmp_path)


def test_what_is_written_is_what_is_read(workspace: Workspace, project: Project) -> None:
    build = build_variant(workspace, project, "before")
    assert Build.load(build.directory) == build
    assert build.kernel.lineage == "fake"
    tree = project.root / "linux"
    given = build_variant(workspace, project, "before", source_dir=tree)
    assert given.key == build.key, "the same files"
    assert given.kernel.lineage == str(tree), "not to be compared with other trees"


def test_a_source_of_the_first_version_is_not_fetched_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    project = Project(tmp_path, parse({
        "bases": {"b": {"kind": "debian", "suite": "s", "package": "p"}},
    }, "test"))
    with workspace.publish("sources", "p_1") as staging:
        (staging / "tree").mkdir()
    from harness.kernel.source import sources

    state = sources._state_name(project.base("b"))
    workspace.write_state(state, {
        "directory": "p_1", "version": "1", "digest": "d",
        "origin": {"kind": "debian", "package": "p", "version": "1", "suite": "s", "mirror": "m"},
    })
    found = find_source(workspace, project, "b")
    assert found and (found.version, found.digest) == ("1", "d")
    assert found.record.details == {"package": "p", "suite": "s", "mirror": "m"}
