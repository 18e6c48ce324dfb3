"""Boots that stand still are begun once more; whatever else goes wrong at boot is not."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.core.errors import GuestCrash, InfrastructureError
from harness.machine import qemu
from harness.machine.accel import Accel
from harness.machine.guest import Guest
from harness.records.record import AccelName

FAKE = Path(__file__).with_name("fake_qemu.py")


class Anyone(paramiko.ServerInterface):
    """Lets everybody in."""

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return 0  # paramiko.AUTH_SUCCESSFUL, which its stubs do not have


def serve_ssh(server: socket.socket, host_key: Path) -> None:
    key = paramiko.Ed25519Key.from_private_key_file(str(host_key))
    with contextlib.suppress(OSError):
        while True:
            transport = paramiko.Transport(server.accept()[0])
            transport.add_server_key(key)
            transport.start_server(threading.Event(), Anyone())


class Boots:
    """A guest whose boots go as the plan says; ``warned`` is what it told its caller."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key, self.host_key = self._new_key("key"), self._new_key("host_key")
        self.warned: list[str] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        (folder / "port").write_text(str(self.server.getsockname()[1]))
        threading.Thread(
            target=serve_ssh, args=(self.server, self.host_key), daemon=True
        ).start()

    def _new_key(self, name: str) -> Path:
        path = self.folder / name
        path.write_bytes(Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ))
        return path

    @contextlib.contextmanager
    def __call__(
        self, plan: str, accel: AccelName = "tcg", host_key: Path | None = None, *,
        gdb: bool = False,
    ) -> Iterator[Guest]:
        """A guest booted by the plan; its end is not in good order: there is no shell."""
        guest = self.guest(plan, accel, host_key, gdb=gdb)
        try:
            guest.boot()
            yield guest
        finally:
            guest.kill()

    def guest(
        self, plan: str, accel: AccelName = "tcg", host_key: Path | None = None, *,
        gdb: bool = False, keep_logs: bool = True,
    ) -> Guest:
        (self.folder / "plan").write_text(plan)
        public = paramiko.Ed25519Key.from_private_key_file(str(host_key or self.host_key))
        spec = qemu.GuestSpec(Path("k"), self.folder / "image", Accel(accel, "test"), gdb=gdb)
        return Guest(
            spec, self.folder / "boot", key=self.key, warn=self.warned.append, boot_seconds=6.0,
            host_key=f"ssh-ed25519 {public.get_base64()}", slowness=10.0 / 240,
            keep_logs=keep_logs,
        )

    @property
    def not_begun(self) -> str:
        """What is left of the plan."""
        return (self.folder / "plan").read_text()


@pytest.fixture
def boots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Boots]:
    path = tmp_path / "qemu"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
    path.chmod(0o755)
    monkeypatch.setattr(qemu, "binary", lambda: str(path))
    found = Boots(tmp_path)
    yield found
    found.server.shutdown(socket.SHUT_RDWR)
    found.server.close()


def test_a_good_boot_is_the_only_one(boots: Boots) -> None:
    with boots("ready hangs") as guest:
        assert guest.seconds_to_ready is not None and not guest.false_starts
    assert boots.not_begun == "hangs" and not boots.warned


@pytest.mark.parametrize("kept", [True, False])
def test_an_interrupted_boot_leaves_no_logs_that_nobody_asked_for(
    boots: Boots, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    guest = boots.guest("ready", keep_logs=kept)

    def interrupted() -> None:
        assert guest.log.exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(guest, "_connect", interrupted)
    with pytest.raises(KeyboardInterrupt), guest:
        pass
    assert guest.directory.exists() == kept


def test_a_boot_that_stands_still_is_begun_again(boots: Boots) -> None:
    with boots("hangs ready") as guest:
        (start,) = guest.false_starts
        assert "silent" in start.reason and "Switched to tsc" in start.last_line
        assert start.seconds >= 3.0
        assert start.console == str(guest.directory / "console-stalled-1.log")
        assert "ready" in guest.log.read_text() and "ready" not in Path(start.console).read_text()
        state = (guest.directory / "vcpus-stalled-1.txt").read_text()
        for question in ("info registers -a", "info lapic 0", "info lapic 1"):
            assert state.count(f"answer to {question}") == 2
    (warning,) = boots.warned
    assert "started again" in warning and "\n" not in warning


def test_so_is_one_that_nobody_can_log_in_to(boots: Boots) -> None:
    with boots("deaf ready") as guest:
        (start,) = guest.false_starts
        assert "SSH" in start.reason and "ready" in start.last_line


def test_so_is_one_whose_clock_is_wrong(boots: Boots) -> None:
    with boots("mistimes ready") as guest:
        (start,) = guest.false_starts
        assert "clock is wrong" in start.reason and "276967" in start.reason


def test_a_kernel_that_hangs_twice_hangs(boots: Boots) -> None:
    with pytest.raises(InfrastructureError, match="hung at boot, 2 times in a row") as caught, \
            boots("hangs hangs ready"):
        pass
    assert "Switched to tsc" in caught.value.excerpt and boots.not_begun == "ready"


def test_a_crash_is_a_result_at_once(boots: Boots) -> None:
    with pytest.raises(GuestCrash, match="no root"), boots("panics ready"):
        pass
    assert boots.not_begun == "ready"


def test_a_crash_of_the_second_try_is_one(boots: Boots) -> None:
    guest = boots.guest("hangs panics")
    with pytest.raises(GuestCrash, match="no root"), guest:
        pass
    assert len(guest.false_starts) == 1


@pytest.mark.parametrize(("plan", "accel", "said"), [
    ("exits ready", "tcg", "QEMU ended"),
    ("warns ready", "tcg", "did not get ready"),  # a kernel in trouble did not just stand still
    ("hangs ready", "kvm", "did not get ready"),
    ("hangs ready", "icount", "did not get ready"),
])
def test_what_is_not_tried_again(
    boots: Boots, plan: str, accel: AccelName, said: str
) -> None:
    with pytest.raises(InfrastructureError, match=said), boots(plan, accel):
        pass
    assert boots.not_begun == "ready" and not boots.warned


def test_a_guest_that_refuses_us_did_not_stand_still(boots: Boots) -> None:
    with pytest.raises(InfrastructureError, match="SSH to the guest failed"), \
            boots("ready ready", host_key=boots.key):
        pass
    assert boots.not_begun == "ready"


def test_a_guest_that_waits_for_gdb_may_stand_still(boots: Boots) -> None:
    with pytest.raises(InfrastructureError, match="within 6 s"), boots("hangs ready", gdb=True):
        pass
    assert boots.not_begun == "ready"
