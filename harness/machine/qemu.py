"""The QEMU command line: built here in one piece, printed by ``--dry-run``, recorded per boot."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from harness.core import sizes
from harness.core.proc import need
from harness.machine import tsc
from harness.machine.accel import Accel

BINARY = "qemu-system-x86_64"
BASE_CMDLINE = (
    # panic=-1 with -no-reboot: a panic ends QEMU at once.  mitigations=off: TCG emulates no
    # speculation, and PTI alone would double the price of a system call.
    "console=ttyS0 root=/dev/vda rw init=/sbin/harness-init panic=-1 mitigations=off "
    "net.ifnames=0 transparent_hugepage=never printk.time=1 nokaslr"
)
TCG_CMDLINE = (
    # Delay calibration costs a second of boot and finds nothing under TCG, the timer check panics
    # on a busy host; its vCPUs stall with
    # the host, which the stall detectors and the TSC watchdog would report.
    "lpj=8000000 no_timer_check tsc=reliable rcupdate.rcu_cpu_stall_timeout=120 watchdog_thresh=60"
)
ICOUNT_CMDLINE = (
    # Addresses drawn by lot decide which mappings of a process are neighbours and become one: a
    # fault then looks through a larger or smaller tree, and one history no longer gives one count.
    "norandmaps"
)


@dataclass(frozen=True)
class GuestSpec:
    """What to boot: everything that decides the QEMU command line but the run-time handles."""

    kernel: Path
    image: Path
    accel: Accel
    smp: int = 4
    memory: str = "4G"
    cmdline: str = ""
    ssh_port: int = 0
    """Host port on 127.0.0.1; 0 lets the host's kernel choose, which cannot clash."""
    gdb: bool = False
    """Wait for a debugger on the guest's gdb socket."""
    disks: tuple[Path, ...] = field(default_factory=tuple)
    """More disk images, read-only, as /dev/vdb and on."""
    plugin: tuple[str, ...] = ()
    """QEMU's words that load a plugin into the guest; it may watch and never change it."""


def binary() -> str:
    """The path of QEMU, or a :class:`UserError` that says how to get it."""
    return need(BINARY, package="qemu-system-x86")


def kernel_cmdline(spec: GuestSpec) -> str:
    """The kernel's command line for a spec."""
    parts = [BASE_CMDLINE]
    if spec.accel.name != "kvm":
        parts.append(TCG_CMDLINE)
    if spec.accel.name == "icount":
        parts.append(ICOUNT_CMDLINE)
    if spec.accel.name == "tcg" and (khz := tsc.early_khz()):
        # The guest's counter is the host's; a busy host spoils the guest's measuring of it.
        parts.append(f"tsc_early_khz={khz}")
    if spec.cmdline:
        parts.append(spec.cmdline)
    return " ".join(parts)


def accel_args(accel: Accel) -> list[str]:
    """QEMU's flags for an accel."""
    if accel.name == "kvm":
        return ["-accel", "kvm", "-cpu", "host"]
    if accel.name == "icount":
        # 1 instruction = 1 ns of guest time; sleep=off: an idle guest does not wait for the host.
        return ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", "max"]
    return ["-accel", "tcg,thread=multi", "-cpu", "max"]


def argv(
    spec: GuestSpec, *, console: str = "stdio,id=console", qmp: str | None = None,
    gdb_socket: Path | None = None,
) -> list[str]:
    """The whole command line.

    ``console`` and ``qmp`` are chardev options; the defaults give a line that a
    person can paste into a terminal.
    """
    words = [
        binary(), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-machine", "pc,usb=off,vmport=off,graphics=off", *accel_args(spec.accel),
        "-smp", f"{spec.smp},sockets=1,cores={spec.smp},threads=1", "-m", spec.memory,
        "-kernel", str(spec.kernel), "-append", kernel_cmdline(spec),
        # snapshot=on: all writes go to an unlinked temporary file, gone with the process.
        "-drive", f"file={spec.image},format=raw,if=virtio,snapshot=on,cache=unsafe",
        # restrict=on: the guest reaches nothing; only the forward below reaches the guest.
        "-netdev", f"user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{spec.ssh_port}-:22",
        "-device", "virtio-net-pci,netdev=net0,romfile=", "-device", "virtio-rng-pci",
        "-chardev", console, "-serial", "chardev:console",
    ]
    for disk in spec.disks:
        words += ["-drive", f"file={disk},format=raw,if=virtio,readonly=on"]
    if qmp:
        words += ["-chardev", qmp, "-mon", "chardev=qmp,mode=control"]
    words += spec.plugin
    if spec.gdb and gdb_socket:
        words += ["-S", "-gdb", f"unix:{gdb_socket},server=on,wait=off"]
    return words


def check_memory(memory: str) -> str:
    """``memory`` when QEMU can read it as a size of at least 256 MiB, else :class:`UserError`."""
    sizes.parse(memory, "--memory", least=256 * sizes.MIB)
    return memory


def shell_line(words: list[str]) -> str:
    """The command line as one would type it."""
    return shlex.join(words)
