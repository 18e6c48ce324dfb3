"""How a guest's CPU runs: ``kvm``, ``tcg`` or ``icount``; and the proof that KVM does.

An openable /dev/kvm proves nothing: it can create a VM and be unable to run it
(nested virtualisation without the needed MSRs). Only a kernel that prints its
first line under KVM proves it. The verdict holds until the host reboots.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserError
from harness.core.proc import bound_to_us, capture
from harness.core.workspace import Workspace
from harness.records.hosts import AccelChoice
from harness.records.record import AccelName

NAMES = ("auto", "kvm", "tcg", "icount")
ICOUNT_SMP_SINCE = (8, 1)  # before, secondary CPUs hang under -icount
_PROOF_SECONDS = 10.0
# Not what the decompressor prints before it: it can run where the kernel behind it cannot.
_FIRST_LINE = re.compile(r"Linux version \d")


LABELS: dict[AccelName, str] = {
    "native": "its own CPU", "kvm": "KVM", "tcg": "TCG", "icount": "TCG, instruction counting",
}


@dataclass(frozen=True)
class Accel:
    """The choice, why it was made, and how patient one must be with it."""

    name: AccelName
    reason: str

    @property
    def patience(self) -> float:
        """Factor on every deadline: how much slower than KVM a wait may be."""
        return {"native": 1.0, "kvm": 1.0, "tcg": 8.0, "icount": 40.0}[self.name]

    @property
    def label(self) -> str:
        """For captions."""
        return LABELS[self.name]

    def record(self) -> AccelChoice:
        """For run.json."""
        return AccelChoice(name=self.name, reason=self.reason)


def qemu_version(binary: str) -> tuple[int, ...]:
    """``(10, 0, 2)`` of a qemu-system binary."""
    first = capture([binary, "--version"]).splitlines()[0]
    match = re.search(r"version (\d+)\.(\d+)\.(\d+)", first)
    return tuple(map(int, match.groups())) if match else (0,)


def choose(wanted: str, workspace: Workspace, binary: str, kernel: Path | None, smp: int) -> Accel:
    """The accel to use for a request; ``auto`` is KVM where it is proven, else TCG.

    ``kernel`` is the bzImage used for the proof; without one ``auto`` goes by what is
    remembered. Raises :class:`UserError` for an unknown name, for ``kvm`` where it
    does not work, and for ``icount`` with more vCPUs than this QEMU can count.
    """
    if wanted not in NAMES:
        raise UserError(f"unknown accel '{wanted}'", hint=f"known: {', '.join(NAMES)}")
    if wanted == "tcg":
        return Accel("tcg", "named by --accel or the profile")
    if wanted == "icount":
        _require_icount(binary, smp)
        return Accel("icount", "named by --accel or the profile")
    works, why = prove_kvm(workspace, binary, kernel)
    if works:
        return Accel("kvm", why)
    if wanted == "kvm":
        raise UserError(f"KVM does not work here: {why}", hint="use --accel tcg")
    return Accel("tcg", f"KVM does not work here: {why}")


def _require_icount(binary: str, smp: int) -> None:
    version = qemu_version(binary)
    if smp > 1 and version[:2] < ICOUNT_SMP_SINCE:
        raise UserError(
            f"QEMU {'.'.join(map(str, version))} counts instructions with one vCPU only",
            hint="use --smp 1, or install QEMU >= 8.1 (Debian 12 has one in backports)",
        )


def kvm_can_be_tried() -> bool:
    """Whether there is a /dev/kvm that this process may open; it proves nothing yet."""
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


def prove_kvm(workspace: Workspace, binary: str, kernel: Path | None) -> tuple[bool, str]:
    """Whether KVM runs a guest here, and the reason; remembered per boot of the host."""
    if not Path("/dev/kvm").exists():
        return False, "no /dev/kvm"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False, "no permission on /dev/kvm (add yourself to the group kvm)"
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    known = workspace.read_state("kvm")
    if known.get("boot_id") == boot_id and known.get("qemu") == binary:
        return bool(known["works"]), f"{known['reason']} (tried before, since this host booted)"
    if kernel is None:
        return False, "not proven yet (no kernel built to try it with)"
    works, reason = _try_kvm(binary, kernel)
    workspace.write_state(
        "kvm", {"boot_id": boot_id, "qemu": binary, "works": works, "reason": reason}
    )
    return works, reason


def _try_kvm(binary: str, kernel: Path) -> tuple[bool, str]:
    """Boot ``kernel`` under KVM until its first line or for ten seconds."""
    qemu = [
        binary, "-nodefaults", "-display", "none", "-machine", "q35", "-accel", "kvm",
        "-cpu", "host", "-m", "512M", "-kernel", str(kernel),
        # No root: the kernel panics after its first lines, reboots, and -no-reboot ends QEMU.
        "-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1", "-serial", "stdio", "-no-reboot",
    ]
    # Bound to timeout(1) as that is bound to us: what kills the one must not leave the other.
    argv = ["timeout", "--signal=KILL", str(_PROOF_SECONDS), *bound_to_us(qemu)]
    output = _merged_output(argv)
    if _FIRST_LINE.search(output):
        return True, "a kernel booted under KVM"
    lines = [line for line in output.splitlines() if line.strip()]
    said = f": {lines[0].removeprefix(binary + ': ')[:160]}" if lines else ""
    return False, f"/dev/kvm opens, but no kernel printed a line in {_PROOF_SECONDS:.0f} s{said}"


def _merged_output(argv: list[str]) -> str:
    script = 'exec "$@" 2>&1'
    return capture(
        bound_to_us(["sh", "-c", script, "sh", *argv]), timeout=_PROOF_SECONDS + 10, check=False
    )
