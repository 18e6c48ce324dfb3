"""A guest that plays a real computer: Debian with systemd and sshd, its own kernel, kexec-tools.

Its serial console is a socket, and its switch is QEMU's reset, reached as a management controller
is: by commands. What the harness starts on it by kexec is gone after a reset, as on a computer
whose boot loader knows nothing of it.

``python -m tests.computer on FOLDER KEY=VALUE ...`` switches one on until Ctrl-C and prints its
table of harness.toml (docs/hosts.md, "A distribution's configuration without its computer").
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness.core import digest
from harness.core.proc import bound_to_us, look_in_sbin
from harness.core.workspace import Workspace
from harness.machine import tsc

PACKAGES = (
    "systemd-sysv", "openssh-server", "kexec-tools", "linux-image-cloud-amd64", "initramfs-tools",
    "kmod", "iproute2", "procps", "linux-perf", "numactl",
)
NEEDED = ("qemu-system-x86_64", "mmdebstrap", "mke2fs", "ssh-keygen", "setpriv")
# The clock words are those of every guest under TCG: see harness/machine/qemu.py.
CMDLINE = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off lpj=8000000 no_timer_check "
    "tsc=reliable rcupdate.rcu_cpu_stall_timeout=120 systemd.show_status=no "
    "loglevel=6"  # an emulated serial line is slow: kernels' first lines and warnings are enough
)
LRU_GEN_WORD = "lab.lru_gen"
"""On the command line of a kernel: switch the LRU of many generations on, and age all the time."""
# A line of lru_gen names a cgroup, then a node, then its generations, the youngest last. "+" makes
# a new one after a walk of all page tables, "-" reclaims up to 64 pages of the oldest.
AGE = """#!/bin/sh
echo y > /sys/kernel/mm/lru_gen/enabled || exit 1
cat /sys/kernel/mm/lru_gen/enabled > /dev/console
while sleep 0.2; do
    awk 'function age() { if (node != "") print "+ " id, node, youngest, "1 1"
                          if (node != "") print "- " id, node, oldest, "100 64"; node = "" }
         $1 == "memcg" { age(); id = $2; next }
         $1 == "node" { age(); node = $2; oldest = ""; next }
         node != "" { youngest = $1; if (oldest == "") oldest = $1 }
         END { age() }' /sys/kernel/debug/lru_gen |
    while read -r command; do echo "$command" > /sys/kernel/debug/lru_gen; done 2> /dev/null
done
"""
AGE_UNIT = f"""[Unit]
ConditionKernelCommandLine={LRU_GEN_WORD}
RequiresMountsFor=/sys/kernel/debug
[Service]
ExecStart=/usr/local/sbin/lab-age
[Install]
WantedBy=multi-user.target
"""
FILES = {
    "usr/local/sbin/lab-age": AGE,
    "etc/systemd/system/lab-age.service": AGE_UNIT,
    "etc/fstab": "/dev/vda / ext4 defaults 0 0\n",
    "etc/hostname": "lab1\n",
    "etc/systemd/network/10-eth.network":
        "[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\n",
    "etc/ssh/sshd_config.d/lab.conf":
        "HostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\nUseDNS no\nPasswordAuthentication no\n",
    # What the emulated CPU has makes udev load modules that nobody needs, for seconds.
    "etc/modprobe.d/lab.conf": "".join(f"blacklist {name}\n" for name in (
        "kvm_amd", "kvm_intel", "aesni_intel", "ghash_clmulni_intel", "sha512_ssse3",
        "sha256_ssse3", "crct10dif_pclmul", "crc32_pclmul", "crc32c_intel", "button", "evdev",
        "psmouse", "pcspkr", "i2c_piix4", "qemu_fw_cfg", "cirrus", "floppy",
    )),
}
OFF = (
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "systemd-timesyncd.service", "systemd-networkd-wait-online.service",
    "getty@tty1.service", "getty-static.service", "systemd-pstore.service", "fstrim.timer",
    # It has Debian's own kernel loaded by kexec on the way down: a minute on a busy machine.
    "kexec-load.service", "kexec.service",
    "modprobe@configfs.service", "modprobe@dm_mod.service", "modprobe@drm.service",
    "modprobe@efi_pstore.service", "modprobe@fuse.service", "modprobe@loop.service",
    "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount", "systemd-random-seed.service",
    "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
    "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-config.mount",
    "sys-fs-fuse-connections.mount",
)
SCRIPT = r"""set -e
tar -xf "$1" -C "$2" --exclude='./dev/*'
cp -a "$3/." "$2/"
chown -R 0:0 "$2/root" "$2/etc/ssh" "$2/etc/systemd"; chmod 700 "$2/root" "$2/root/.ssh"
rm -f "$2"/etc/ssh/ssh_host_rsa* "$2"/etc/ssh/ssh_host_ecdsa*
mkdir -p "$2/etc/systemd/system/multi-user.target.wants"
chmod 755 "$2/usr/local/sbin/lab-age"
ln -sf /lib/systemd/system/systemd-networkd.service /etc/systemd/system/lab-age.service \
    "$2/etc/systemd/system/multi-user.target.wants/"
for unit in $5; do ln -sf /dev/null "$2/etc/systemd/system/$unit"; done
echo 0123456789abcdef0123456789abcdef > "$2/etc/machine-id"
cp "$2"/boot/vmlinuz-* "$4/vmlinuz"; cp "$2"/boot/initrd.img-* "$4/initrd"
mke2fs -q -F -t ext4 -E lazy_itable_init=1 -d "$2" "$4/root.ext4"
rm -rf "$2"
"""


def missing() -> str:
    """The first program that is not here; empty when none is missing."""
    look_in_sbin()
    return next((program for program in NEEDED if shutil.which(program) is None), "")


def image(workspace: Workspace) -> Path:
    """The directory with the disk, Debian's kernel and the keys; made once: a minute."""
    key = "computer-" + digest.key([PACKAGES, FILES, OFF, SCRIPT])
    found = workspace.published("images", key)
    if found is None:
        with workspace.publish("images", key) as staging:
            archive = staging / "root.tar"
            subprocess.run(
                ["mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}",
                 "--dpkgopt=path-exclude=/usr/share/doc/*",
                 "--dpkgopt=path-exclude=/usr/share/man/*", "bookworm", str(archive)],
                check=True, capture_output=True, text=True,
            )
            make_disk(archive, staging)
            archive.unlink()
        found = workspace.dir("images", key)
    return found


def make_disk(archive: Path, staging: Path) -> None:
    """A file system of an archive of Debian and our files, with keys made for it."""
    look_in_sbin()
    tree, root = staging / "overlay", staging / "tree"
    root.mkdir()
    for name, text in FILES.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    (tree / "root/.ssh").mkdir(parents=True)
    for path in (staging / "id_ed25519", tree / "etc/ssh/ssh_host_ed25519_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)],
            check=True,
        )
    shutil.copy(staging / "id_ed25519.pub", tree / "root/.ssh/authorized_keys")
    shutil.copy(tree / "etc/ssh/ssh_host_ed25519_key.pub", staging / "host_key.pub")
    with (staging / "root.ext4").open("wb") as disk:
        disk.truncate(2500 * 2**20)
    argv = ["sh", "-c", SCRIPT, "sh", *map(str, (archive, root, tree, staging)), " ".join(OFF)]
    if os.geteuid() != 0:
        argv = ["fakeroot", "--", *argv]
    subprocess.run(argv, check=True, capture_output=True, text=True)
    shutil.rmtree(tree)


@dataclass(frozen=True)
class Computer:
    """A computer that runs, and how it is reached."""

    folder: Path
    image: Path
    port: int

    def toml(self, **more: str) -> str:
        """Its table of harness.toml, without the head; values of ``more`` are as TOML has them."""
        line = f"{sys.executable} {Path(__file__).resolve()}"
        keys = {
            "kind": '"host"', "address": '"127.0.0.1"', "port": str(self.port),
            "key": f'"{self.image}/id_ed25519"',
            "host_key": f'"{(self.image / "host_key.pub").read_text().strip()}"',
            "console": f'"{line} console {self.folder}/console.sock"',
            "power": f'{{ cycle = "{line} power {self.folder}/qmp.sock cycle", '
                     f'status = "{line} power {self.folder}/qmp.sock status" }}',
            "patience": "8.0", "boot_seconds": "600", "home_seconds": "900",
            "quiet_seconds": "300", **more,
        }
        return "".join(f"{key} = {value}\n" for key, value in keys.items())

    @property
    def console(self) -> str:
        """All that its console has said."""
        return (self.folder / "serial.log").read_text(errors="replace")


@contextmanager
def computer(
    folder: Path, built: Path, *, cpus: int = 2, memory: str = "1536M"
) -> Iterator[Computer]:
    """Switch one on; off at the end, whatever happens. ``memory`` is as QEMU has it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    console = (
        f"socket,id=c,path={folder}/console.sock,server=on,wait=off,logfile={folder}/serial.log"
    )
    khz = tsc.early_khz()
    words = f"{CMDLINE} tsc_early_khz={khz}" if khz else CMDLINE
    argv = [
        "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", "pc,usb=off,vmport=off,graphics=off", "-accel", "tcg,thread=multi",
        "-cpu", "max", "-smp", str(cpus), "-m", memory,
        "-kernel", str(built / "vmlinuz"), "-initrd", str(built / "initrd"), "-append", words,
        # It keeps what is written to it over a reset, and loses it when it is unplugged.
        "-drive", f"file={built}/root.ext4,format=raw,if=virtio,snapshot=on,cache=unsafe",
        "-netdev", f"user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device", "virtio-net-pci,netdev=net0,romfile=", "-device", "virtio-rng-pci",
        "-chardev", console, "-serial", "chardev:c",
        "-qmp", f"unix:{folder}/qmp.sock,server=on,wait=off",
    ]
    with (folder / "qemu.log").open("wb") as log:
        process = subprocess.Popen(
            bound_to_us(argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield Computer(folder, built, port)
    finally:
        process.kill()
        process.wait()


# -- what the harness's commands for console and switch run


def show_console(path: str) -> None:
    """Copy the console to standard output until it ends."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        while data := line.recv(4096):
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def switch(path: str, word: str) -> None:
    """Reset it, or say whether it is on."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(20)
        line.connect(path)
        stream = line.makefile("rw")
        stream.readline()
        for command in ("qmp_capabilities", "system_reset" if word == "cycle" else "query-status"):
            stream.write(json.dumps({"execute": command}) + "\n")
            stream.flush()
            answer = json.loads(stream.readline())
            while "event" in answer:
                answer = json.loads(stream.readline())
        if word == "status":
            state = "on" if answer["return"]["running"] else "off"
            sys.stdout.write(f"Chassis Power is {state}\n")


def wait_until(what: str, text: Computer, seconds: float = 900) -> None:
    """Wait for a word on a computer's console."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError):
            if what in text.console:
                return
        time.sleep(0.2)
    raise AssertionError(f"it did not say {what}")


def stay_on(words: list[str]) -> None:
    """Switch one on, print its table of harness.toml, and leave it on until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.computer on")
    parser.add_argument("folder", type=Path, help="for its console and its sockets")
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--memory", default="1536M")
    parser.add_argument("--workspace", type=Path, help="the cache that its disk is made in")
    parser.add_argument("keys", nargs="*", metavar="KEY=VALUE", help="of its table, in TOML")
    asked = parser.parse_intermixed_args(words)
    asked.folder.mkdir(parents=True, exist_ok=True)
    built = image(Workspace(asked.workspace))
    keys = dict(key.split("=", 1) for key in asked.keys)
    with computer(
        asked.folder.absolute(), built, cpus=asked.cpus, memory=asked.memory
    ) as one:
        sys.stdout.write(f"[machines.lab1]\n{one.toml(**keys)}")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    if sys.argv[1] == "on":
        stay_on(sys.argv[2:])
    elif sys.argv[1] == "console":
        show_console(sys.argv[2])
    else:
        switch(sys.argv[2], sys.argv[3])
