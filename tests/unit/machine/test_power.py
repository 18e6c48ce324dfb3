"""Switches: what is called, where passwords come from, what is believed of an answer."""

from __future__ import annotations

import sys
import types
from enum import Enum
from pathlib import Path

import pytest

from harness.core.errors import InfrastructureError, UserError
from harness.machine import power
from harness.project.machine_tables import PowerTable


def made(folder: Path, **keys: object) -> power.Power:
    switch = power.make(PowerTable.model_validate(keys), folder)
    assert switch is not None
    return switch


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power, "PAUSE_S", 0.0)
    log = tmp_path / "log"
    switch = made(tmp_path, on=f"echo on >> {log}", off=f"echo off >> {log}",
                  status="echo 'Outlet 3: ON.'")
    switch.cycle()
    assert log.read_text().split() == ["off", "on"] and switch.status() == "on"
    assert made(tmp_path, cycle="true").status() == "unknown"
    with pytest.raises(InfrastructureError, match="exit code 3"):
        made(tmp_path, cycle="exit 3").cycle()
    assert power.make(None, tmp_path) is None


@pytest.fixture
def ipmitool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that writes down how it was called; ``is`` has what it says of the power."""
    (tmp_path / "bin").mkdir()
    path = tmp_path / "bin" / "ipmitool"
    path.write_text(
        f'#!/bin/sh\necho "$IPMI_PASSWORD $*" >> {tmp_path}/calls\n'
        f'echo "Chassis Power is $(cat {tmp_path}/is)"\n'
    )
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    (tmp_path / "is").write_text("on\n")
    return tmp_path


def test_ipmi(ipmitool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    switch = made(ipmitool, kind="ipmi", address="bmc", user="admin", password_env="BMC")
    with pytest.raises(UserError, match="the environment has no BMC"):
        switch.cycle()
    monkeypatch.setenv("BMC", "secret")
    switch.cycle()
    calls = (ipmitool / "calls").read_text().splitlines()
    assert calls[-1] == "secret -I lanplus -H bmc -U admin -E chassis power cycle"
    (ipmitool / "is").write_text("off\n")
    switch.cycle()  # a cycle does not switch on what is off
    assert (ipmitool / "calls").read_text().splitlines()[-1].endswith("chassis power on")
    by_file = made(ipmitool, kind="ipmi", address="bmc", password_file="pw")
    assert by_file.status() == "off"
    assert f"-f {ipmitool}/pw" in (ipmitool / "calls").read_text()


def test_without_ipmitool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="apt-get install ipmitool"):
        made(tmp_path, kind="ipmi", address="bmc").cycle()


class State(Enum):
    ON = "On"
    OFF = "Off"


class ResetType(Enum):
    ON = "On"
    FORCE_RESTART = "ForceRestart"


class SushyError(Exception):
    pass


class System:
    """Stands for a system of sushy."""

    def __init__(self) -> None:
        self.power_state = State.ON
        self.done: list[ResetType] = []

    def reset_system(self, kind: ResetType) -> None:
        if kind is ResetType.ON and self.power_state is State.ON:
            raise SushyError("it is on")
        self.done.append(kind)


def fake_sushy(monkeypatch: pytest.MonkeyPatch, *systems: System) -> list[dict[str, object]]:
    """A module of that name; what it was opened with."""
    opened: list[dict[str, object]] = []

    class Service:
        def __init__(self, url: str, **more: object) -> None:
            opened.append({"url": url, **more})

        def get_system(self, path: str) -> System:
            return systems[int(path[-1])]

        def get_system_collection(self) -> types.SimpleNamespace:
            return types.SimpleNamespace(get_members=lambda: list(systems))

    module = types.ModuleType("sushy")
    vars(module).update(
        Sushy=Service, ResetType=ResetType, exceptions=types.SimpleNamespace(SushyError=SushyError)
    )
    monkeypatch.setitem(sys.modules, "sushy", module)
    return opened


def test_redfish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = System(), System()
    opened = fake_sushy(monkeypatch, one)
    (tmp_path / "pw").write_text("secret\n")
    switch = made(tmp_path, kind="redfish", address="https://bmc", user="admin", password_file="pw")
    switch.cycle()
    assert one.done == [ResetType.FORCE_RESTART] and switch.status() == "on"
    assert opened[0] == {
        "url": "https://bmc", "username": "admin", "password": "secret", "verify": True,
    }
    one.power_state = State.OFF
    switch.cycle()
    assert one.done[-1] is ResetType.ON
    fake_sushy(monkeypatch, one, two)
    with pytest.raises(UserError, match="manages 2 systems"):
        switch.cycle()
    made(tmp_path, kind="redfish", address="https://bmc", system="/Systems/1").cycle()
    assert two.done == [ResetType.FORCE_RESTART]


def test_without_sushy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sushy", None)
    with pytest.raises(UserError, match=r"pte-harness\[redfish\]"):
        made(tmp_path, kind="redfish", address="https://bmc").status()
