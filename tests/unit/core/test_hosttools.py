"""One table of what the host must have: the doctor, error messages and setup.sh agree."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness import doctor
from harness.core import hosttools
from harness.core.errors import UserError
from harness.core.proc import need
from harness.core.workspace import Workspace
from tests.places import ROOT


def test_setup_installs_what_the_table_lists() -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "scripts/setup.sh"), "packages"], capture_output=True, text=True,
        check=True,
    )
    assert set(done.stdout.split()) == hosttools.installed()


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UserError, match="apt-get install e2fsprogs"):
        need("mke2fs")


def test_the_doctor_knows_of_a_missing_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "missing_identity", lambda: "empty ident name")
    found = {one.what: one for one in doctor.examine(Workspace(tmp_path), None)}
    assert found["git identity"].state == doctor.WARN
    assert "user.name" in found["git identity"].remedy
    assert {tool.name for tool in hosttools.TOOLS if tool.need == "always"} <= {
        *found, "qemu-system-x86_64",
    }


def test_the_doctor_names_what_single_commands_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {one.what: one for one in doctor.examine(Workspace(tmp_path), None)}
    assert there["drgn"].state == doctor.OK and there["drgn"].found[0].isdigit()
    monkeypatch.setattr(doctor, "EXTRAS", (("no-such-package", "dumps", "opens dumps"),))
    absent = {one.what: one for one in doctor.examine(Workspace(tmp_path), None)}
    assert absent["no-such-package"] == doctor.Finding(
        "no-such-package", doctor.WARN, "", "opens dumps", "pip install 'pte-harness[dumps]'"
    )
