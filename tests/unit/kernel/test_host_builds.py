"""Kernels for real computers: a release of their own, a whole configuration, modules."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.core.workspace import Workspace
from harness.kernel.build.builds import build_variant, plan_build
from harness.project.config import Project
from harness.project.machine_tables import HostTable


def on_lab1(project: Project, **keys: object) -> Project:
    """The project with a computer, on that computer."""
    table = HostTable.model_validate({"kind": "host", "address": "x", "config": []} | keys)
    config = project.config.model_copy(update={"machines": {"lab1": table}})
    return Project(project.root, config).on_machine("lab1")


def test_the_release_names_the_build(workspace: Workspace, project: Project) -> None:
    usual = build_variant(workspace, project, "before")
    build = build_variant(workspace, on_lab1(project), "before")
    assert build.key != usual.key and build.modules is None
    assert build.release == f"{usual.release}-{build.key}"
    assert plan_build(workspace, project, "before").key == usual.key


def test_a_computers_own_configuration(workspace: Workspace, project: Project) -> None:
    lab1 = on_lab1(project, own_config="lab1.config")
    with pytest.raises(UserError, match="--save-config"):
        build_variant(workspace, lab1, "before")
    own = project.root / "lab1.config"
    own.write_text("CONFIG_NR_CPUS=17\nCONFIG_SMP=m\n")
    build = build_variant(workspace, lab1, "before")
    assert "CONFIG_NR_CPUS=17" in build.config.read_text()
    assert build.modules is not None
    listed = subprocess.run(
        ["tar", "-tzf", str(build.modules)], capture_output=True, text=True, check=True
    ).stdout
    assert f"lib/modules/{build.release}/a.ko" in listed
    own.write_text("CONFIG_NR_CPUS=18\nCONFIG_SMP=m\n")
    assert plan_build(workspace, lab1, "before").cached is None


def test_its_modules_are_part_of_what_is_built(workspace: Workspace, project: Project) -> None:
    lab1 = on_lab1(project, own_config="lab1.config")
    own = project.root / "lab1.config"
    own.write_text("CONFIG_SMP=y\n")
    key = plan_build(workspace, lab1, "before").key
    Path(f"{own}.lsmod").write_text("Module Size Used by\n")
    assert plan_build(workspace, lab1, "before").key != key
