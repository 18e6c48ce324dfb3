"""[machines.NAME] is checked like the rest, and a project knows its kernels for a machine."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.project import config, reading
from tests.places import ROOT

HOST = {"kind": "host", "address": "lab1.example"}


def parsed(**machines: object) -> config.Config:
    data: dict[str, Any] = copy.deepcopy(tomllib.loads((ROOT / "harness.toml").read_text()))
    return reading.parse(data | {"machines": machines}, "harness.toml", ROOT)


@pytest.mark.parametrize(("table", "said"), [
    ({"kind": "host"}, r"machines\.lab1\.address"),
    (HOST | {"adress": "x"}, "did you mean 'address'"),
    (HOST | {"kind": "rack"}, r"machines\.lab1\.kind"),
    (HOST | {"start": "kexek"}, r"machines\.lab1\.start"),
    (HOST | {"lease_minutes": 5, "boot_seconds": 300}, "must be longer than a boot takes"),
    (HOST | {"power": {"off": "x"}}, "needs `cycle`, or `on` and `off`"),
    (HOST | {"power": {"kind": "ipmi"}}, "kind 'ipmi' needs `address`"),
    (HOST | {"power": {"kind": "ipmi", "address": "b", "cycle": "x"}}, "'ipmi' has no `cycle`"),
    (HOST | {"power": {"kind": "redfish", "address": "b", "password_env": "A",
                       "password_file": "b"}}, "not both"),
    (HOST | {"tuning": {"turbo": "maybe"}}, r"machines\.lab1\.tuning\.turbo"),
])
def test_what_is_wrong_is_said(table: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        parsed(lab1=table)


def test_the_name_of_guests_is_taken() -> None:
    with pytest.raises(UserError, match="QEMU on this host"):
        parsed(guest=HOST)


def test_kernels_for_a_machine_have_its_fragments_and_a_release_of_their_own() -> None:
    project = config.Project(ROOT, parsed(lab1=HOST, lab2=HOST | {"own_config": "lab2.config",
                                                                  "config": ["own"]}))
    assert project.on_machine("guest") is project
    one = project.on_machine("lab1").variant("after-debug")
    assert one.config == ["host", "debug"] and one.own_release and one.tree == "after-debug-host"
    assert not project.variant("after-debug").own_release
    two = project.on_machine("lab2").variant("before")
    assert (two.start, two.config, two.tree) == ("lab2.config", ["own"], "before-lab2")
    with pytest.raises(UserError, match="unknown machine 'lab'"):
        project.on_machine("lab")


def test_fragments_for_machines_exist() -> None:
    for name in ("host", "own"):
        assert (Path(ROOT) / "kernel/config" / f"{name}.config").is_file()
