"""A fleet in network namespaces: scheduler, workers and client, each a host with its own address.

All stand on one switch, a bridge in a namespace of its own, so that nothing of this computer's own
network is touched. Each has a host name of its own too. Certificates are made by the commands of
docs/fleet.md, and scheduler and workers are started with the options that it names.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.guests import wait_for
from tests.places import ROOT

NEEDED = ("ip", "unshare", "openssl")
CLIENT, SCHEDULER, SWITCH = "client", "sched", "switch"
ADDRESSES = {SCHEDULER: "10.77.0.1", CLIENT: "10.77.0.2"}
PORT = 8786


def missing() -> str:
    """Why there can be no namespaces here; empty when there can."""
    if os.geteuid() != 0:
        return "needs root, which alone may make network namespaces"
    if absent := next((one for one in NEEDED if shutil.which(one) is None), ""):
        return f"needs the program {absent}, which is not installed"
    probe = f"pte-probe-{os.getpid()}"
    steps = [["netns", "add", probe],
             ["-n", probe, "link", "add", "one", "type", "veth", "peer", "name", "other"]]
    try:
        for words in steps:
            done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
            if done.returncode:
                return f"needs network namespaces: ip says {done.stderr.strip()}"
    finally:
        subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    return ""


class FleetNet:
    """Hosts by name: ``sched``, ``client``, and the workers'."""

    def __init__(self, folder: Path, workers: tuple[str, ...], silence_s: float) -> None:
        self.folder, self.workers, self.silence_s = folder, workers, silence_s
        folder.mkdir(exist_ok=True)
        self.addresses = {
            **ADDRESSES, **{name: f"10.77.0.{11 + at}" for at, name in enumerate(workers)},
        }
        self._made: list[str] = []
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def lay(self) -> None:
        """Make the namespaces, their cables, and the certificates."""
        self._namespace(SWITCH)
        self._ip(SWITCH, "link", "add", "br0", "type", "bridge")
        self._ip(SWITCH, "link", "set", "br0", "up")
        for name, address in self.addresses.items():
            self._namespace(name)
            self._ip(SWITCH, "link", "add", name, "type", "veth", "peer", "name", "eth0",
                     "netns", self.space(name))
            self._ip(SWITCH, "link", "set", name, "master", "br0", "up")
            self._ip(name, "addr", "add", f"{address}/24", "dev", "eth0")
            self._ip(name, "link", "set", "eth0", "up")
        certificates(self.folder)
        self.file.write_text(
            f'scheduler = "tls://{self.addresses[SCHEDULER]}:{PORT}"\n'
            'ca = "ca.pem"\ncert = "me.pem"\nkey = "me.key"\n'
        )

    @property
    def file(self) -> Path:
        """What ``--fleet`` is given."""
        return self.folder / "fleet.toml"

    def space(self, name: str) -> str:
        """The namespace of a host, named by this process too."""
        return f"pte-{os.getpid()}-{name}"

    def _namespace(self, name: str) -> None:
        subprocess.run(["ip", "netns", "add", self.space(name)], check=True)
        self._made.append(name)
        self._ip(name, "link", "set", "lo", "up")

    def _ip(self, name: str, *words: str) -> None:
        subprocess.run(["ip", "-n", self.space(name), *words], check=True)

    def on(self, name: str, *words: str) -> list[str]:
        """The command that runs words on a host."""
        return ["ip", "netns", "exec", self.space(name), "unshare", "--uts", "sh", "-c",
                'hostname "$0"; exec "$@"', name, *words]

    def start(
        self, name: str, *words: str, more: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program on a host; what it says is in the folder, NAME.log."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **(more or {})}
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self.on(name, *words), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment,
            )

    def said(self, name: str) -> str:
        """What the programs of a host said."""
        log = self.folder / f"{name}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def begin(self, name: str) -> None:
        """Start the scheduler or a worker, as docs/fleet.md has it."""
        tls = [word for option, file in (("ca-file", "ca.pem"), ("cert", "me.pem"),
                                         ("key", "me.key"))
               for word in (f"--tls-{option}", str(self.folder / file))]
        address = f"tls://{self.addresses[SCHEDULER]}"
        words = ["scheduler", "--host", address, "--port", str(PORT), "--dashboard-address",
                 "127.0.0.1:8787"]
        if name != SCHEDULER:
            words = ["worker", f"{address}:{PORT}", "--nthreads", "1", "--nworkers", "1",
                     "--resources", "guest=1", "--dashboard-address", "127.0.0.1:0",
                     "--local-directory", str(self.folder / f"{name}.scratch")]
        self._running[name] = self.start(name, sys.executable, "-m", "dask", *words, *tls, more={
            "HARNESS_FLEET_WORKSPACE": str(self.folder / f"{name}.cache"),
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{self.silence_s:g}s",
        })

    def begin_all(self) -> None:
        """The scheduler and every worker; they are ready when this returns."""
        told = {name: self.said(name).count("Registered to:") for name in self.workers}
        for name in (SCHEDULER, *self.workers):
            self.begin(name)
        for name, before in told.items():
            wait_for(lambda name=name, before=before:  # type: ignore[misc]
                     self.said(name).count("Registered to:") > before)

    def ended(self, name: str) -> bool:
        """Whether what was begun on a host has ended by itself."""
        return self._running[name].poll() is not None

    def processes(self, name: str) -> set[int]:
        """All that runs on a host."""
        found = subprocess.run(
            ["ip", "netns", "pids", self.space(name)], capture_output=True, text=True, check=False
        )
        return set(map(int, found.stdout.split()))

    def end(self, name: str) -> None:
        """Kill all that runs on a host, by process id."""
        for pid in self.processes(name):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)
        if process := self._running.pop(name, None):
            process.wait()

    def cut(self, name: str) -> None:
        """Pull a host's cable out of the switch."""
        self._ip(SWITCH, "link", "set", name, "down")

    def mend(self, name: str) -> None:
        """Put it in again, whichever end was pulled."""
        self._ip(SWITCH, "link", "set", name, "up")
        self._ip(name, "link", "set", "eth0", "up")

    def close(self) -> None:
        """End what runs, and remove the namespaces."""
        for name in self._made:
            self.end(name)
        for name in self._made:
            subprocess.run(["ip", "netns", "del", self.space(name)], check=False)


def certificates(folder: Path) -> None:
    """A CA and a certificate, by the commands of docs/fleet.md."""
    page = (ROOT / "docs/fleet.md").read_text()
    commands = re.findall(r"^ +(openssl .*)$", page, re.MULTILINE)
    assert len(commands) == 3, commands
    subprocess.run(["sh", "-ec", "\n".join(commands)], cwd=folder, check=True, capture_output=True)


@contextmanager
def fleet_net(
    folder: Path, workers: tuple[str, ...], *, silence_s: float = 5.0
) -> Iterator[FleetNet]:
    """The namespaces, without anything that runs in them; removed at the end.

    A worker that is not heard of for ``silence_s`` seconds is given up.
    """
    net = FleetNet(folder, workers, silence_s)
    try:
        net.lay()
        yield net
    finally:
        net.close()
