"""Switching a computer off and on from afar: by commands, by IPMI, by Redfish."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import capture, need
from harness.project.machine_tables import PowerTable

SECONDS = 60.0
"""How long a switch may take to answer."""
PAUSE_S = 5.0
"""Off, before it is switched on again: capacitors hold memory and devices up for a while."""


class Power(Protocol):
    """A switch. Every method raises :class:`InfrastructureError` when it does not obey."""

    def cycle(self) -> None:
        """Off and on again; returns when it is done, not when the computer has booted."""
        ...

    def status(self) -> str:
        """``on``, ``off`` or ``unknown``."""
        ...


@dataclass(frozen=True)
class CommandPower:
    """Shell commands of this host."""

    table: PowerTable

    def cycle(self) -> None:
        """The command for it, or off and on."""
        if self.table.cycle:
            _shell(self.table.cycle)
            return
        _shell(self.table.off)
        time.sleep(PAUSE_S)
        _shell(self.table.on)

    def status(self) -> str:
        """The first of the words on and off that the command prints."""
        if not self.table.status:
            return "unknown"
        words = _shell(self.table.status).lower().replace(".", " ").split()
        return next((word for word in words if word in ("on", "off")), "unknown")


@dataclass(frozen=True)
class IpmiPower:
    """ipmitool, to a management controller that speaks IPMI 2.0."""

    table: PowerTable
    root: Path
    """What paths are relative to."""

    def cycle(self) -> None:
        """``power cycle``; a computer that is off is switched on, which a cycle does not do."""
        self._ask("on" if self.status() == "off" else "cycle")

    def status(self) -> str:
        """From ``Chassis Power is on``."""
        words = self._ask("status").lower().split()
        return words[-1] if words and words[-1] in ("on", "off") else "unknown"

    def argv(self, word: str) -> list[str]:
        """The command; the password is never in it."""
        argv = [need("ipmitool", package="ipmitool"), "-I", "lanplus", "-H", self.table.address]
        if self.table.user:
            argv += ["-U", self.table.user]
        if self.table.password_file:
            argv += ["-f", str(self.root / Path(self.table.password_file).expanduser())]
        elif self.table.password_env:
            argv += ["-E"]
        return [*argv, "chassis", "power", word]

    def _ask(self, word: str) -> str:
        env = dict(os.environ)
        if self.table.password_env:
            env["IPMI_PASSWORD"] = _password(self.table, self.root)
        return capture(self.argv(word), env=env, timeout=SECONDS)


@dataclass(frozen=True)
class RedfishPower:
    """A management controller that speaks Redfish, by way of sushy (``pip install sushy``)."""

    table: PowerTable
    root: Path

    def cycle(self) -> None:
        """``ForceRestart``, or ``On`` for a computer that is off."""
        self._do("on" if self.status() == "off" else "force restart")

    def status(self) -> str:
        """The power state of the system."""
        state = str(getattr(self._system().power_state, "value", "")).lower()
        return state if state in ("on", "off") else "unknown"

    def _do(self, word: str) -> None:
        sushy = _sushy()
        kinds = {"on": sushy.ResetType.ON, "force restart": sushy.ResetType.FORCE_RESTART}
        try:
            self._system().reset_system(kinds[word])
        except sushy.exceptions.SushyError as error:
            raise InfrastructureError(f"Redfish of {self.table.address}: {error}") from error

    def _system(self) -> Any:
        sushy = _sushy()
        try:
            service = sushy.Sushy(
                self.table.address, username=self.table.user or None,
                password=_password(self.table, self.root) or None, verify=self.table.verify,
            )
            if self.table.system:
                return service.get_system(self.table.system)
            systems = service.get_system_collection().get_members()
        except sushy.exceptions.SushyError as error:
            raise InfrastructureError(f"Redfish of {self.table.address}: {error}") from error
        if len(systems) != 1:
            raise UserError(
                f"{self.table.address} manages {len(systems)} systems",
                hint="name one: `system` in its power table",
            )
        return systems[0]


def make(table: PowerTable | None, root: Path) -> Power | None:
    """The switch that harness.toml describes; None when it describes none."""
    if table is None:
        return None
    if table.kind == "ipmi":
        return IpmiPower(table, root)
    return RedfishPower(table, root) if table.kind == "redfish" else CommandPower(table)


def _shell(command: str) -> str:
    return capture(["sh", "-c", command], timeout=SECONDS)


def _password(table: PowerTable, root: Path) -> str:
    """Raises :class:`UserError` where it is to be had from a place that does not have it."""
    if table.password_file:
        path = root / Path(table.password_file).expanduser()
        try:
            return path.read_text().strip()
        except OSError as error:
            raise UserError(f"cannot read the password in {path}: {error.strerror}") from error
    if not table.password_env:
        return ""
    value = os.environ.get(table.password_env)
    if value is None:
        raise UserError(
            f"the environment has no {table.password_env}, the password of {table.address}",
            hint=f"export {table.password_env}, or give `password_file`",
        )
    return value


def _sushy() -> Any:
    try:
        import sushy  # noqa: PLC0415
    except ImportError:
        raise UserError(
            "sushy is not installed, which Redfish needs",
            hint="pip install 'pte-harness[redfish]'",
        ) from None
    return sushy
