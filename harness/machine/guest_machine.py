"""The machine ``guest``: this host's QEMU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.core.workspace import Workspace
from harness.machine import accel, qemu
from harness.machine.guest import Guest
from harness.machine.session import BootOrder


@dataclass(frozen=True)
class GuestMachine:
    """Boots kernels in QEMU, each with a throw-away overlay over one image.

    ``workspace`` remembers whether KVM works here; ``warn`` is told of boots begun again.
    """

    workspace: Workspace
    image: Path
    """An ext4 root file system."""
    key: Path
    """The private SSH key that root in the image accepts."""
    host_key: str
    """The image's SSH host key: type and base64."""
    warn: Callable[[str], None]
    name: str = "guest"

    def boot(self, order: BootOrder) -> Guest:
        """A guest that is not started yet.

        Raises :class:`UserError` for an accel that does not work here, and for memory that is
        no size.
        """
        chosen = accel.choose(
            order.accel, self.workspace, qemu.binary(), order.kernel, order.smp
        )
        spec = qemu.GuestSpec(
            order.kernel, self.image, chosen, smp=order.smp,
            memory=qemu.check_memory(order.memory), cmdline=order.cmdline, gdb=order.gdb,
            ssh_port=order.ssh_port, disks=order.disks, plugin=order.plugin,
        )
        return Guest(
            spec, order.directory, key=self.key, host_key=self.host_key, warn=self.warn,
            slowness=order.slowness, boot_seconds=order.boot_seconds, keep_logs=order.keep_logs,
            title=order.title,
        )
