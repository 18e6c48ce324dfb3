"""[machines.NAME] of harness.toml: real computers, and how they are reached, watched and reset."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from harness.project.table import Strict

GUEST = "guest"
"""The machine that is always there: a guest of this host's QEMU."""
Start = Literal["kexec", "grub-reboot"]
Initrd = Literal["none", "initramfs-tools", "dracut"]
PowerKind = Literal["command", "ipmi", "redfish"]
Switch = Literal["on", "off"]


class PowerTable(Strict):
    """How a computer is switched on and off from afar."""

    kind: PowerKind = "command"
    on: str = ""
    """For kind ``command``: shell commands of this host."""
    off: str = ""
    cycle: str = ""
    """Empty: ``off``, a pause of five seconds, ``on``."""
    status: str = ""
    """A command that prints a line with ``on`` or ``off`` in it; empty: nobody knows."""
    address: str = ""
    """Of the management controller: a host name for ``ipmi``, a URL for ``redfish``."""
    user: str = ""
    password_env: str = ""
    """The environment variable that holds the password; it never stands in harness.toml."""
    password_file: str = ""
    """A file that holds it, relative to harness.toml."""
    system: str = ""
    """For ``redfish``: the path of the system, ``/redfish/v1/Systems/1``; empty: the only one."""
    verify: bool = True
    """For ``redfish``: whether the controller's certificate must be known here."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        commands = {"on", "off", "cycle", "status"}
        bmc = {"address", "user", "password_env", "password_file"}
        may = {
            "command": commands, "ipmi": bmc, "redfish": bmc | {"system", "verify"},
        }[self.kind]
        for key in sorted(self.model_fields_set - may - {"kind"}):
            raise ValueError(f"kind '{self.kind}' has no `{key}`")
        if self.kind == "command" and not self.cycle and not (self.on and self.off):
            raise ValueError("kind 'command' needs `cycle`, or `on` and `off`")
        if self.kind != "command" and not self.address:
            raise ValueError(f"kind '{self.kind}' needs `address`")
        if self.password_env and self.password_file:
            raise ValueError("give `password_env` or `password_file`, not both")
        return self


class TuningTable(Strict):
    """What is set for the time of a boot and put back behind it; what is left out stays."""

    governor: str = ""
    """Of the CPUs' frequency: ``performance``."""
    turbo: Switch | None = None
    smt: Switch | None = None
    numa_balancing: Switch | None = None


class HostTable(Strict):
    """A real computer, reached by SSH; kernels are started on it and its own comes back."""

    kind: Literal["host"]
    address: str = Field(min_length=1)
    """A host name or an IP address."""
    port: int = Field(default=22, ge=1, le=65535)
    user: str = "root"
    """Another one than root needs ``sudo`` without a password."""
    key: str = ""
    """The private SSH key, relative to harness.toml; empty: the agent's and those of ~/.ssh."""
    host_key: str = ""
    """Type and base64 of the computer's SSH host key; empty: what ~/.ssh/known_hosts has of it."""
    proxy: str = ""
    """A command that reaches the computer's SSH port where we cannot: ``ssh -W %h:%p jump``."""
    console: str = ""
    """A command that shows the serial console: ``ipmitool -I lanplus ... sol activate``,
    ``console lab1``, ``picocom -q /dev/ttyUSB0``. Empty: there is none."""
    power: PowerTable | None = None
    start: Start = "kexec"
    """How a kernel is started; ``grub-reboot``: by the boot loader, once."""
    initrd: Initrd = "none"
    """What makes an initramfs on the computer; ``none``: the kernel finds its root by itself."""
    cmdline: str = ""
    """Appended to the command line that the computer's own kernel has."""
    config: list[str] = Field(default_factory=lambda: ["host"])
    """Configuration fragments that every kernel for it gets, behind the base's and before the
    variant's."""
    own_config: str = ""
    """A whole .config that takes the place of tinyconfig and of the base's fragments, relative to
    harness.toml: the computer's own, see `harness machines NAME --save-config`."""
    watchdog: str = ""
    """A watchdog device, ``/dev/watchdog``, that resets a kernel which hangs; empty: none."""
    lease_minutes: float = Field(default=20.0, gt=0)
    """For how long the computer is ours without another word. Longer than any boot takes: when
    the harness is killed, the computer goes back to its own kernel after so long."""
    boot_seconds: float = Field(default=300.0, gt=0)
    """From the start of a kernel until it answers on SSH."""
    home_seconds: float = Field(default=600.0, gt=0)
    """From a reset or a reboot until the computer's own kernel answers: firmware takes minutes."""
    quiet_seconds: float = Field(default=120.0, gt=0)
    """For how long the console of a kernel that boots may be silent."""
    silence_seconds: float = Field(default=60.0, gt=0)
    """For how long its sshd may leave us without an answer while a command runs; stretched by
    ``patience``. Behind it the connection counts as lost."""
    patience: float = Field(default=1.0, gt=0)
    """How much slower than a present-day server it is; stretches every deadline of a command."""
    tuning: TuningTable = Field(default_factory=TuningTable)

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if 60.0 * self.lease_minutes <= self.boot_seconds:
            raise ValueError("`lease_minutes` must be longer than a boot takes (`boot_seconds`)")
        return self
