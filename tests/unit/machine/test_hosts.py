"""Real computers, as a fake of one sees them: every failure ends with a verdict and at home."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import BootStalled, GuestCrash, InfrastructureError, UserError
from harness.core.workspace import Workspace
from harness.machine import console, host_checks, host_console, host_machine, host_session, keeper
from harness.machine.asked import describe_computer
from harness.machine.host_machine import HostMachine
from harness.machine.host_session import HostSession
from harness.machine.journal import HostJournal
from harness.machine.keeper import Running
from harness.machine.session import BootOrder
from harness.project.machine_tables import HostTable, PowerTable
from harness.records.machines import Stage
from tests.unit.machine.fake_host import FakeHost

KEY = "0123456789abcdef"
RELEASE = f"6.1.192-{KEY}"
CONSOLE, POWER = "console", "power"


class Bench:
    """A fake computer, a workspace, and what a person was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = FakeHost(folder / "host")
        self.workspace = Workspace(folder / "ws")
        self.kernel = folder / "bzImage"
        self.kernel.write_text(f"{RELEASE} {KEY}\n")
        self.told: list[str] = []

    @property
    def journal(self) -> HostJournal:
        return HostJournal(self.workspace, "lab1")

    def table(self, *has: str, **changes: object) -> HostTable:
        usual: dict[str, object] = {
            # On a busy machine a fake takes its time, too; what is waited for in vain is short.
            "kind": "host", "address": "fake", "home_seconds": 30.0, "boot_seconds": 30.0,
            "quiet_seconds": 20.0,
            "console": self.host.console if CONSOLE in has else "",
            "power": PowerTable(cycle=f"{self.host.power} cycle") if POWER in has else None,
        }
        return HostTable.model_validate(usual | changes)

    def machine(self, *has: str, **changes: object) -> HostMachine:
        return self.machine_in(self.workspace, *has, **changes)

    def machine_in(self, workspace: Workspace, *has: str, **changes: object) -> HostMachine:
        return host_machine.make_host(
            "lab1", self.table(*has, **changes), self.folder, workspace,
            warn=self.told.append, say=self.told.append, dial=self.host.dial,
        )

    def session(
        self, *has: str, machine: HostMachine | None = None, **changes: object
    ) -> HostSession:
        modules, config = self.folder / "modules.tar.gz", self.folder / "config"
        order = BootOrder(
            self.kernel, self.folder / "boot", "before", smp=0, memory="", release=RELEASE, key=KEY,
            modules=modules if modules.exists() else None,
            config=config if config.exists() else None,
        )
        return (machine or self.machine(*has, **changes)).boot(order)

    def check_left_as_found(self) -> None:
        """At home, nobody's, nothing of ours on its disk."""
        assert self.host.at_home
        left = self.host.root / "var/lib/pte-harness"
        assert {path.name for path in left.iterdir()} <= {"lock"}
        assert self.journal.health.token == "" and self.journal.health.state == "healthy"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    hurry(monkeypatch.setattr)
    return Bench(tmp_path)


def hurry(set_to: Callable[[object, str, float], None]) -> None:
    """A fake answers soon, or not at all."""
    set_to(keeper, "POLL_S", 0.05)
    set_to(host_session, "KNOCK_S", 0.02)
    set_to(host_console, "AGAIN_S", 0.1)
    set_to(console, "SETTLE_S", 0.1)


def test_there_and_back(bench: Bench) -> None:
    with bench.session(CONSOLE, POWER) as session:
        assert session.run("uname -r").stdout.strip() == RELEASE
        assert session.accel == "native" and session.seconds_to_ready is not None
        assert f"pte_harness={KEY} panic=10" in bench.host.read("proc/cmdline")
        lease = bench.host.read("var/lib/pte-harness/lease")
        assert bench.journal.health.token in lease
        assert bench.journal.health.token in bench.host.read("watcher")
    bench.check_left_as_found()
    assert bench.host.cycles == 0 and not session.events
    assert f"Linux version {RELEASE}" in session.log.read_text()
    stages = [attempt.stage for attempt in bench.journal.attempts()]
    assert stages == ["lease", "push", "load", "start", "prove", "tune", "use", "return", "release"]


def test_modules_and_an_initramfs_where_lib_is_a_link(bench: Bench) -> None:
    tree = bench.folder / "tree"
    (tree / f"lib/modules/{RELEASE}").mkdir(parents=True)
    (tree / f"lib/modules/{RELEASE}/modules.dep").write_text("tun")
    (bench.folder / "config").write_text("CONFIG_RD_ZSTD=y")
    with tarfile.open(bench.folder / "modules.tar.gz", "w:gz") as archive:
        archive.add(tree / "lib", "lib")
    with bench.session(initrd="initramfs-tools") as session:
        assert session.run(f"cat /lib/modules/{RELEASE}/modules.dep").stdout == "tun"
        folder = "/var/lib/pte-harness/boot"
        assert session.run(f"cat {folder}/*/initrd.img").stdout == "tun"
        assert (bench.host.root / "lib").is_symlink()
    bench.check_left_as_found()
    assert not [*(bench.host.root / "lib/modules").iterdir(), *(bench.host.root / "boot").iterdir()]



def test_several_boots_of_one_lease(bench: Bench) -> None:
    machine = bench.machine(CONSOLE, POWER)
    with machine.keeper.hold():
        for _ in range(2):
            with bench.session(machine=machine) as session:
                session.run("true")
    bench.check_left_as_found()
    assert [a.stage for a in bench.journal.attempts()].count("lease") == 1


@pytest.mark.parametrize("has", [(CONSOLE, POWER), (POWER,)])
def test_a_kernel_that_hangs_at_boot(bench: Bench, has: tuple[str, ...]) -> None:
    bench.host.plan("hangs")
    with pytest.raises(BootStalled, match="did not come up with"), \
            bench.session(*has, boot_seconds=1.0):
        pass
    bench.check_left_as_found()
    assert bench.host.cycles == 1


def test_a_silent_console_is_not_waited_out(bench: Bench) -> None:
    bench.host.plan("hangs")
    with pytest.raises(BootStalled, match="console was silent"), \
            bench.session(CONSOLE, POWER, quiet_seconds=1.0):
        pass
    assert bench.host.at_home


def test_a_kernel_that_panics_at_boot(bench: Bench) -> None:
    bench.host.plan("panics")
    with pytest.raises(GuestCrash, match="Unable to mount root") as caught, \
            bench.session(CONSOLE, POWER):
        pass
    assert caught.value.kind == "panic" and "lab1's kernel crashed" in caught.value.message
    bench.check_left_as_found()
    assert bench.host.cycles == 1


def test_a_kernel_that_has_no_network(bench: Bench) -> None:
    bench.host.plan("deaf")
    with pytest.raises(BootStalled, match="did not"), \
            bench.session(CONSOLE, POWER, boot_seconds=1.0):
        pass
    bench.check_left_as_found()


def test_another_kernel_than_the_one_that_was_built(bench: Bench) -> None:
    bench.host.plan("other")
    with pytest.raises(InfrastructureError, match=rf"runs 5\.0\.0-other, not {RELEASE}"), \
            bench.session(CONSOLE, POWER):
        pass
    bench.check_left_as_found()


def test_its_own_kernel_instead(bench: Bench) -> None:
    bench.host.plan("own")
    with pytest.raises(InfrastructureError, match=r"runs 6\.1\.0-own, not"), \
            bench.session(CONSOLE, POWER):
        pass
    bench.check_left_as_found()


def test_a_workload_that_panics(bench: Bench) -> None:
    session = bench.session(CONSOLE, POWER)
    with pytest.raises(GuestCrash, match="NULL pointer"), session:
        session.run("panic")
    assert [event.kind for event in session.events] == ["oops"]
    bench.check_left_as_found()
    assert bench.host.cycles == 1


def test_a_workload_that_panics_where_there_is_no_console(bench: Bench) -> None:
    pstore = bench.host.root / "var/lib/systemd/pstore"
    pstore.mkdir(parents=True)
    (pstore / "old").write_text("Kernel panic - not syncing: of last year\n")
    session = bench.session(POWER)
    with pytest.raises(GuestCrash, match="kept by pstore") as caught, session:
        (pstore / "dmesg-1").write_text("[ 9.1] BUG: unable to handle page fault\n[ 9.2] RIP: x\n")
        session.run("panic")
    assert "last year" not in caught.value.oops
    bench.check_left_as_found()


def test_a_workload_that_loses_the_network(bench: Bench) -> None:
    with pytest.raises(InfrastructureError, match="was lost"), bench.session(CONSOLE, POWER) as s:
        bench.host.shell('echo no > "$H/up"')
        s.run("true")
    bench.check_left_as_found()
    assert bench.host.cycles == 1


def test_a_console_that_is_lost_is_asked_for_again(bench: Bench) -> None:
    command = f"sh -c 'echo hello; cat {bench.host.root}/console'"  # ends at once
    with bench.session(POWER, console=command) as session:
        assert session.run("uname -r").stdout.strip() == RELEASE
        assert session.console.losses >= 1
    bench.check_left_as_found()
    assert sum("console of lab1 was lost" in line for line in bench.told) == 1


def test_it_does_not_reboot_when_it_is_asked(bench: Bench) -> None:
    bench.host.mark("ignores")
    with bench.session(CONSOLE, POWER, home_seconds=2.0):
        pass
    bench.check_left_as_found()
    assert bench.host.cycles == 0  # reboot -f did it
    assert any("did not answer within" in line for line in bench.told)
    assert any("is back under" in line for line in bench.told)


def test_a_reboot_that_debian_makes_a_kexec_is_none(bench: Bench) -> None:
    bench.host.mark("debians-kexec-load.service")
    with bench.session(CONSOLE, POWER, home_seconds=10.0):
        pass
    bench.check_left_as_found()
    assert "pte_harness" not in bench.host.read("proc/cmdline") and not bench.told


def test_it_is_given_up_and_taken_up_again(bench: Bench) -> None:
    bench.host.plan("panics")
    bench.host.mark("no-power")
    with pytest.raises(GuestCrash), bench.session(CONSOLE, POWER, home_seconds=0.5):
        pass  # what it is given up for is not hidden by that
    assert bench.journal.health.state == "given up"
    assert any("given up" in line for line in bench.told)
    with pytest.raises(InfrastructureError, match="was given up") as caught, bench.session(POWER):
        pass
    assert "--reset" in caught.value.hint
    (bench.host.root / "no-power").unlink()
    bench.journal.set_state("healthy")
    with bench.session(CONSOLE, POWER, home_seconds=2.0):
        pass
    bench.check_left_as_found()


def test_without_a_switch_its_watchdogs_are_waited_for(bench: Bench) -> None:
    bench.host.plan("panics")
    session = bench.session(CONSOLE)
    later = subprocess.Popen(["sh", "-c", f"H={bench.host.root}; . $H/library; "
                              "until grep -q 'end Kernel panic' $H/console; do sleep 0.1; done; "
                              "sleep 0.5; own"])
    with pytest.raises(GuestCrash), session:
        pass
    later.wait()
    bench.check_left_as_found()


def test_of_two_people_one_has_it(bench: Bench) -> None:
    other = bench.machine_in(Workspace(bench.folder / "other"), CONSOLE, POWER)
    with bench.session(CONSOLE, POWER) as session:
        with pytest.raises(UserError, match=r"lab1 is leased to .*@.*, for 20 min"), \
                bench.session(machine=other):
            pass
        assert session.run("uname -r").stdout.strip() == RELEASE  # untouched
        with pytest.raises(UserError, match="lab1 is used"), bench.session(CONSOLE, POWER):
            pass  # from the same workspace
    bench.check_left_as_found()


def test_a_lease_that_has_run_out_is_free(bench: Bench) -> None:
    folder = bench.host.root / "var/lib/pte-harness"
    folder.mkdir()
    (folder / "lease").write_text("feedfeed 1000 jo@desk\n")
    with bench.session(CONSOLE, POWER):
        assert "jo" not in (folder / "lease").read_text()
    bench.check_left_as_found()


def test_a_lease_that_is_lost_ends_the_session(bench: Bench) -> None:
    with pytest.raises(InfrastructureError, match="jo@desk has it now"), \
            bench.session(CONSOLE, POWER) as session:
        (bench.host.root / "var/lib/pte-harness/lease").write_text("feedfeed 9999999999 jo@desk\n")
        session.keeper.renew()
    assert "feedfeed" in bench.host.read("var/lib/pte-harness/lease")


def test_the_watcher_sends_a_computer_home_whose_lease_has_ended(bench: Bench) -> None:
    with bench.session(CONSOLE, POWER) as session:
        (bench.host.root / "var/lib/pte-harness/lease").write_text("feedfeed 1000 jo@desk\n")
        wire = bench.host.dial(lambda: None, lambda: None)
        script = bench.host.read("watcher").replace("sleep 60", "exit")
        subprocess.run(wire.argv(script), check=True)
        assert bench.host.at_home and session.console


def test_kexec_that_is_refused_gives_way_to_grub(bench: Bench) -> None:
    bench.host.mark("no-kexec")
    with pytest.raises(InfrastructureError, match="does not take the kernel by kexec"), \
            bench.session(CONSOLE, POWER):
        pass
    bench.check_left_as_found()
    grub = bench.host.root / "boot/grub"
    grub.mkdir(parents=True)
    (grub / "grubenv").touch()
    (grub / "grub.cfg").write_text("next_entry custom.cfg")
    bench.host.shell("printf '%s\\n' '#!/bin/sh' 'H='$H '. $H/library' '[ $1 = reboot ] || exit 0' "
                     "'cp $H/boot/pte-harness-bzImage $H/loaded' "
                     "'sed -n \"s/.*ro //p\" $H/boot/grub/custom.cfg > $H/append' "
                     "'[ -s $H/next ] && : > $H/next && ours || own' > $H/bin/systemctl")
    with bench.session(CONSOLE, POWER) as session:
        assert session.run("uname -r").stdout.strip() == RELEASE
        entry = bench.host.read("boot/grub/custom.cfg")
        assert "linux /pte-harness-bzImage root=/dev/vda ro pte_harness=" in entry
    bench.check_left_as_found()
    assert not list((bench.host.root / "boot").glob("pte*")) and not (grub / "custom.cfg").exists()


def test_what_a_real_computer_cannot_be_given(bench: Bench) -> None:
    machine = bench.machine()
    for order in (
        BootOrder(bench.kernel, bench.folder, accel="icount"),
        BootOrder(bench.kernel, bench.folder, gdb=True),
        BootOrder(bench.kernel, bench.folder, disks=(Path("x"),)),
    ):
        with pytest.raises(UserError, match="is a real computer and cannot be given"):
            machine.boot(order)


def test_clocks_are_set_and_put_back(bench: Bench) -> None:
    cpu = bench.host.root / "sys/devices/system/cpu"
    (cpu / "cpu0/cpufreq").mkdir(parents=True)
    governor, turbo = cpu / "cpu0/cpufreq/scaling_governor", cpu / "intel_pstate/no_turbo"
    governor.write_text("powersave\n")
    turbo.parent.mkdir()
    turbo.write_text("0\n")
    with bench.session(
        CONSOLE, POWER, tuning={"governor": "performance", "turbo": "off"}
    ) as session:
        assert governor.read_text() == "performance\n" and turbo.read_text() == "1\n"
        assert session.hardware.governor == "performance" and session.hardware.turbo == "off"
        assert session.hardware.changed == {"governor": "powersave", "turbo": "on"}
    assert governor.read_text() == "powersave\n" and turbo.read_text() == "0\n"
    with pytest.raises(InfrastructureError, match="smt cannot be set to off here"), \
            bench.session(CONSOLE, POWER, tuning={"smt": "off"}):
        pass
    bench.check_left_as_found()


def die_at(folder: Path, last: str) -> None:
    """Use the computer as others do, but die without a word once stage ``last`` is noted."""
    attempt = HostJournal.attempt

    def then_die(self: HostJournal, stage: Stage, detail: str = "") -> None:
        attempt(self, stage, detail)
        if stage == last:
            os.kill(os.getpid(), signal.SIGKILL)

    HostJournal.attempt = then_die  # type: ignore[method-assign]
    with Bench(folder).session(CONSOLE, POWER) as session:
        session.run("true")


STAGES = ["lease", "push", "load", "start", "prove", "tune", "use", "return", "release"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_harness_that_was_killed_is_gone_on_from(bench: Bench, stage: str) -> None:
    # Forked: a Python of its own takes longer to begin than the whole use of a fake.
    victim = multiprocessing.get_context("fork").Process(target=die_at, args=(bench.folder, stage))
    victim.start()
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    if stage != "lease":  # of which it is only written down that it will be taken
        other = bench.machine_in(Workspace(bench.folder / "other"), CONSOLE, POWER)
        with pytest.raises(UserError, match="is leased to"), bench.session(machine=other):
            pass  # it is still ours
    with bench.session(CONSOLE, POWER) as session:
        assert session.run("uname -r").stdout.strip() == RELEASE
    bench.check_left_as_found()
    assert stage == "release" or any("was killed while it used lab1" in x for x in bench.told)


def test_one_between_two_kernels_is_sent_home_as_soon_as_it_is_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A harness may be killed as its kernel begins: nobody has told that one to go."""
    machine = bench.machine(CONSOLE, POWER)
    with bench.session(machine=machine) as session:
        session.run("true")
        silent, ask = [True, True], machine.keeper.ask

        def slow(seconds: float, *, stretched: bool = False) -> Running | None:
            return None if silent and silent.pop() else ask(seconds, stretched=stretched)

        monkeypatch.setattr(machine.keeper, "ask", slow)
        began = time.monotonic()
        assert not machine.keeper.home().ours
        assert time.monotonic() - began < 20.0, "home_seconds, which are 30, were waited out"
    assert not silent and bench.host.cycles == 0
    bench.check_left_as_found()


def test_a_survey_says_who_has_it_and_changes_nothing(bench: Bench) -> None:
    power = PowerTable(cycle="false", status=f"{bench.host.power} status")
    machine = bench.machine(CONSOLE, power=power)
    (status,) = [host_checks.survey(machine.keeper)]
    assert (status.answers, status.lease, status.power) == ("6.1.0-own", "", "on")
    other = bench.machine_in(Workspace(bench.folder / "other"), CONSOLE, POWER)
    with bench.session(CONSOLE, POWER):
        status = host_checks.survey(other.keeper)
        assert status.answers == RELEASE and status.ours == KEY and "for 20 min" in status.lease
        assert "a kernel of ours" in "\n".join(host_checks.table([status]))
        with pytest.raises(UserError, match="ask them first"):
            host_checks.reset(other.keeper)
    bench.host.shell('echo no > "$H/up"')
    status = host_checks.survey(machine.keeper)
    assert status.answers == "" and "no" in host_checks.table([status])[1]


def test_a_check_says_what_is_missing(bench: Bench) -> None:
    found = {one.what: one for one in host_checks.check(bench.machine().keeper)}
    assert found["ssh"].state == "ok" and found["flock"].state == "ok"
    assert found["power"].state == found["console"].state == "warning"
    bench.host.shell('echo no > "$H/up"')
    (ssh,) = host_checks.check(bench.machine().keeper)
    assert ssh.state == "missing" and "without a password" in ssh.remedy


def test_a_reset_brings_home_what_was_given_up(bench: Bench) -> None:
    bench.host.shell('echo no > "$H/up"')
    bench.journal.set_state("given up", "it was dead")
    host_checks.reset(bench.machine(CONSOLE, POWER).keeper)
    assert bench.host.cycles == 1 and bench.journal.health.state == "healthy"


def test_its_configuration_is_saved(bench: Bench) -> None:
    keeper = bench.machine().keeper
    with pytest.raises(InfrastructureError, match="has no configuration"):
        host_checks.save_config(keeper, bench.folder / "c")
    (bench.host.root / "boot").mkdir(exist_ok=True)
    (bench.host.root / "boot/config-6.1.0-own").write_text("CONFIG_X=y\n" * 200)
    host_checks.save_config(keeper, bench.folder / "c")
    assert (bench.folder / "c").read_text().startswith("CONFIG_X=y")
    assert (bench.folder / "c.lsmod").exists()


def test_the_computer_that_is_measured_is_in_the_record(bench: Bench) -> None:
    proc = bench.host.root / "proc"
    (proc / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A CPU\n")
    (proc / "meminfo").write_text("MemTotal:       1048576 kB\n")
    (proc / "loadavg").write_text("0.10 0.20 0.30 1/99 1\n")
    found = describe_computer(bench.machine().keeper)
    assert (found.cpu, found.memory_kb, found.load) == ("A CPU", 1048576, [0.1, 0.2, 0.3])
