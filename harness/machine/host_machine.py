"""The machine that a table [machines.NAME] of harness.toml describes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.core.deadline import Deadline
from harness.core.errors import UserError
from harness.core.workspace import Workspace
from harness.machine import power
from harness.machine.host_session import HostSession
from harness.machine.keeper import Dial, HostKeeper, Wire
from harness.machine.session import BootOrder
from harness.machine.ssh import Door, SshLink
from harness.project.machine_tables import HostTable

NATIVE = ("auto", "native")


class HostLink(SshLink):
    """SSH to a real computer: a :class:`harness.machine.keeper.Wire`."""

    def __init__(
        self, door: Door, name: str, check: Callable[[], None], lost: Callable[[], None]
    ) -> None:
        super().__init__(check, name, lost)
        self._at = door

    def log_in(self, deadline: Deadline) -> None:
        """See :meth:`SshLink.connect`."""
        self.connect(self._at, deadline)

    def shell(self) -> list[str]:
        """An `ssh` command for a person, who has the same keys."""
        at = self._at
        words = ["ssh", "-p", str(at.port), "-o", "LogLevel=ERROR"]
        if at.key is not None:
            words += ["-i", str(at.key), "-o", "IdentitiesOnly=yes"]
        if at.host_key:  # the harness has just seen that it is the right one
            words += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        if at.proxy:
            words += ["-o", f"ProxyCommand={at.proxy}"]
        return [*words, f"{at.user}@{at.address}"]


@dataclass(frozen=True)
class HostMachine:
    """Boots kernels on a real computer."""

    keeper: HostKeeper

    @property
    def name(self) -> str:
        """As harness.toml has it."""
        return self.keeper.name

    def boot(self, order: BootOrder) -> HostSession:
        """A session that is not started yet.

        Raises :class:`UserError` for what only an emulated machine can do.
        """
        asked = {
            f"accel {order.accel}": order.accel not in NATIVE, "a disk": bool(order.disks),
            "a debugger": order.gdb, "a QEMU plugin": bool(order.plugin),
            "a port of this host": bool(order.ssh_port),
        }
        for what, wanted in asked.items():
            if wanted:
                raise UserError(
                    f"{self.name} is a real computer and cannot be given {what}",
                    hint="leave it out, or use the machine 'guest'",
                )
        return HostSession(self.keeper, order)


def make_host(
    name: str, table: HostTable, root: Path, workspace: Workspace, *,
    warn: Callable[[str], None], say: Callable[[str], None], dial: Dial | None = None,
) -> HostMachine:
    """The machine of a table; its paths are relative to ``root``. Nothing is asked of it yet."""
    key = root / Path(table.key).expanduser() if table.key else None
    door = Door(
        table.port, key, table.host_key, table.address, table.user, table.proxy,
        table.silence_seconds * table.patience,
    )

    def ssh(check: Callable[[], None], lost: Callable[[], None]) -> Wire:
        return HostLink(door, name, check, lost)

    return HostMachine(HostKeeper(
        name, table, workspace, dial or ssh, power=power.make(table.power, root), warn=warn,
        say=say,
    ))
