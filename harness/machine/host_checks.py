"""What a real computer has of what a run needs, and who has it; nothing on it is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.core.errors import HarnessError, InfrastructureError, UserError
from harness.core.workspace import write_atomic
from harness.machine import lease, tuning
from harness.machine.keeper import ANSWER_S, HostKeeper
from harness.records.machines import MachineHealth
from harness.records.record import Record

SHOWN = 8  # attempts
NEEDS = """say() { echo "$1=$2"; }
say root "$(id -u)"
say kexec "$(kexec --version 2> /dev/null | head -n 1)"
say disabled "$(cat /proc/sys/kernel/kexec_load_disabled 2> /dev/null)"
say lockdown "$(sed 's/.*\\[\\(.*\\)\\].*/\\1/' /sys/kernel/security/lockdown 2> /dev/null)"
say flock "$(command -v flock)"
say space "$(df -k --output=avail /var/lib | tail -n 1 | tr -d ' ')"
say perf "$(perf --version 2> /dev/null)"
say mkinitramfs "$(command -v mkinitramfs)"
say dracut "$(command -v dracut)"
say grub "$(command -v grub-reboot)"
say pstore "$(ls -d /sys/fs/pstore /var/lib/systemd/pstore 2> /dev/null | tr '\\n' ' ')"
say watchdog "$(ls /dev/watchdog* 2> /dev/null | tr '\\n' ' ')"
say console "$(tr ' ' '\\n' < /proc/cmdline | grep ^console= | tr '\\n' ' ')"
"""
LEAST_KIB = 200 * 1024


class MachineStatus(Record):
    """One line of `harness machines`."""

    machine: str
    address: str
    answers: str
    """The release of the kernel that answers; empty: none does."""
    ours: str = ""
    """The key of the build that runs on it, if it is one of ours."""
    lease: str = ""
    power: str = ""
    health: MachineHealth


class MachineFinding(Record):
    """One thing that a computer has or lacks."""

    what: str
    state: Literal["ok", "warning", "missing"]
    found: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """For people."""
        remedy = f"\n{'':8} {'':12} -> {self.remedy}" if self.remedy else ""
        return f"{self.state:8} {self.what:12} {self.found}{remedy}"


def survey(keeper: HostKeeper) -> MachineStatus:
    """How a computer is now; one that does not answer is no error."""
    status = MachineStatus(
        machine=keeper.name, address=keeper.table.address, answers="",
        health=keeper.journal.health,
    )
    try:
        now = keeper.ask(ANSWER_S / 3)
        if now is not None:
            status.answers, status.ours = now.release, now.ours
            found = lease.parse(keeper.run(lease.show()).stdout)
            mine = " (ours)" if found and found.token == status.health.token else ""
            status.lease = found.words + mine if found else ""
    except HarnessError as error:
        status.answers = f"({error.message})"
    try:
        status.power = keeper.power.status() if keeper.power else "no switch"
    except HarnessError as error:
        status.power = f"({error.message})"
    keeper.close()
    return status


def table(found: list[MachineStatus]) -> list[str]:
    """Lines for people."""
    if not found:
        return ["harness.toml has no [machines.NAME]: guests of this host are the machine 'guest'"]
    lines = [f"{'machine':12} {'health':10} {'answers':32} {'power':10} lease"]
    for one in found:
        runs = one.answers or "no"
        runs += ", a kernel of ours" if one.ours else ""
        lines.append(
            f"{one.machine:12} {one.health.state:10} {runs:32} {one.power:10} {one.lease or 'free'}"
        )
        if one.health.reason and one.health.state != "healthy":
            lines.append(f"{'':12} {one.health.reason} ({one.health.since})")
    return lines


def history(keeper: HostKeeper) -> list[str]:
    """The last things that were attempted on it from this workspace."""
    attempts = keeper.journal.attempts()[-SHOWN:]
    return [f"  {one.t} {one.stage:12} {one.detail}".rstrip() for one in attempts]


def check(keeper: HostKeeper) -> list[MachineFinding]:
    """All that a run needs of it."""
    now = keeper.ask(ANSWER_S)
    if now is None:
        return [MachineFinding(
            what="ssh", state="missing", found=keeper.last_error,
            remedy=f"`ssh -p {keeper.table.port} {keeper.table.user}@{keeper.table.address}` must "
            "work without a password",
        )]
    said = dict(
        line.split("=", 1) for line in keeper.run(NEEDS).stdout.splitlines() if "=" in line
    )
    hardware = tuning.read(lambda command: keeper.run(command).stdout)
    words = ", ".join(
        f"{key} {value}" for key, value in hardware.model_dump().items() if value and key != "pmu"
    )
    findings = [
        MachineFinding(what="ssh", state="ok", found=f"{now.release} answers"),
        _one("root", said["root"] == "0", f"user id {said['root']}",
             "log in as root, or let sudo work without a password"),
        _kexec(said, keeper.table.start), _initrd(said, keeper.table.initrd),
        _one("flock", bool(said["flock"]), said["flock"], "apt-get install util-linux"),
        _one("disk", int(said["space"] or 0) > LEAST_KIB,
             f"{int(said['space'] or 0) // 1024} MiB free below /var/lib", "free some"),
        _one("perf", bool(said["perf"]), said["perf"] or "none", "apt-get install linux-perf",
             "warning"),
        _one("counters", bool(hardware.pmu), "the CPU's own" if hardware.pmu else "none",
             "switch them on in the firmware; without them perf counts page faults only",
             "warning"),
        _console(keeper, said), _power(keeper),
        _one("pstore", bool(said["pstore"]), said["pstore"] or "none",
             "`modprobe ramoops` or efi_pstore: last words where there is no console", "warning"),
        _watchdog(keeper, said),
        MachineFinding(what="hardware", state="ok", found=words or "it does not say"),
    ]
    keeper.close()
    return findings


def _one(
    what: str, well: bool, found: str, remedy: str,
    otherwise: Literal["warning", "missing"] = "missing",
) -> MachineFinding:
    return MachineFinding(
        what=what, state="ok" if well else otherwise, found=found, remedy="" if well else remedy
    )


def _kexec(said: dict[str, str], start: str) -> MachineFinding:
    if start == "grub-reboot":
        return _one("grub", bool(said["grub"]), said["grub"], "apt-get install grub2-common")
    barred = said["disabled"] == "1" or said["lockdown"] not in ("", "none")
    found = said["kexec"] or "none"
    if barred:
        found += ", and this kernel forbids it"
    return _one(
        "kexec", bool(said["kexec"]) and not barred, found,
        "switch Secure Boot off, or start = \"grub-reboot\"" if barred
        else "apt-get install kexec-tools",
    )


def _initrd(said: dict[str, str], kind: str) -> MachineFinding:
    program = {"none": "", "initramfs-tools": "mkinitramfs", "dracut": "dracut"}[kind]
    found = said.get(program, "") if program else "not asked for"
    return _one("initramfs", bool(found), found or "none", f"apt-get install {kind}")


def _console(keeper: HostKeeper, said: dict[str, str]) -> MachineFinding:
    command = keeper.table.console
    found = f"{command or 'no command'}; its kernel has {said['console'] or 'no console='}"
    return _one(
        "console", bool(command), found,
        "without one a kernel that dies is explained by pstore at best: give `console`", "warning",
    )


def _power(keeper: HostKeeper) -> MachineFinding:
    if keeper.power is None:
        return _one(
            "power", False, "no switch",
            "without one somebody walks there when a kernel hangs: give `power`", "warning",
        )
    try:
        return MachineFinding(what="power", state="ok", found=keeper.power.status())
    except HarnessError as error:
        return MachineFinding(
            what="power", state="missing", found=error.message, remedy=error.hint
        )


def _watchdog(keeper: HostKeeper, said: dict[str, str]) -> MachineFinding:
    wanted, there = keeper.table.watchdog, said["watchdog"]
    return _one(
        "watchdog", bool(wanted),
        f"{wanted or 'none named'}; its own kernel has {there or 'none'}",
        "give `watchdog`: a kernel that hangs is then reset by itself", "warning",
    )


def reset(keeper: HostKeeper) -> None:
    """Bring it home, whatever it was; then it is healthy again.

    Raises :class:`UserError` when somebody else's lease runs, and :class:`InfrastructureError`
    when it does not come back.
    """
    mine = keeper.journal.health.token
    if keeper.ask(ANSWER_S) is not None:
        found = lease.parse(keeper.run(lease.show()).stdout)
        if found and found.token != mine and found.seconds > 0:
            raise UserError(f"{keeper.name} is leased to {found.words}", hint="ask them first")
    keeper.journal.set_state("missed two", "it is being reset")
    try:
        keeper.home(dead=keeper.ask(ANSWER_S) is None)
    finally:
        keeper.close()


def save_config(keeper: HostKeeper, path: Path) -> None:
    """The configuration of the kernel that runs on it, and the list of its modules beside it.

    Raises :class:`InfrastructureError` for a kernel that does not have its own.
    """
    keeper.run("true")
    text = keeper.run(
        "cat /boot/config-$(uname -r) 2> /dev/null || zcat /proc/config.gz 2> /dev/null || true"
    ).stdout
    modules = keeper.run("lsmod 2> /dev/null || true").stdout
    keeper.close()
    if text.count("CONFIG_") < 100:
        raise InfrastructureError(
            f"{keeper.name} has no configuration of its kernel",
            hint="/boot/config-$(uname -r) and /proc/config.gz were looked for",
        )
    write_atomic(path, text)
    write_atomic(path.with_name(f"{path.name}.lsmod"), modules)

