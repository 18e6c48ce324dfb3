"""The QEMU command line and the choice of accel, without a guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.core.workspace import Workspace
from harness.machine import accel, qemu, tsc
from harness.machine.accel import Accel


def spec(name: str = "tcg", **changes: object) -> qemu.GuestSpec:
    return qemu.GuestSpec(Path("k"), Path("i"), Accel(name, "test"), **changes)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def some_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "binary", lambda: "qemu-system-x86_64")


def test_the_guest_is_only_reachable_from_here() -> None:
    words = qemu.argv(spec())
    net = words[words.index("-netdev") + 1]
    assert "restrict=on" in net and "hostfwd=tcp:127.0.0.1:0-:22" in net


def test_the_image_is_never_written() -> None:
    drive = qemu.argv(spec())
    assert "snapshot=on" in drive[drive.index("-drive") + 1]


def test_accels() -> None:
    assert qemu.accel_args(Accel("kvm", ""))[:2] == ["-accel", "kvm"]
    assert "shift=0,sleep=off" in qemu.accel_args(Accel("icount", ""))
    assert "-icount" not in qemu.accel_args(Accel("tcg", ""))


def test_cmdline_ends_with_the_users_words() -> None:
    assert qemu.kernel_cmdline(spec(cmdline="a=b c")).endswith(" a=b c")
    assert "lpj=" not in qemu.kernel_cmdline(spec("kvm"))


def test_a_tcg_guest_is_told_the_speed_of_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tsc, "early_khz", lambda: 2596000)
    assert "tsc_early_khz=2596000" in qemu.kernel_cmdline(spec())
    for other in ("kvm", "icount"):  # the one has kvm-clock, the other's counter is exact
        assert "tsc_early_khz" not in qemu.kernel_cmdline(spec(other))
    monkeypatch.setattr(tsc, "early_khz", lambda: None)
    assert "tsc_early_khz" not in qemu.kernel_cmdline(spec())


def test_the_speed_of_the_hosts_counter_repeats() -> None:
    first = tsc.early_khz()
    if first is None:
        pytest.skip("no time stamp counter to be read here")
    tsc.early_khz.cache_clear()
    again = tsc.early_khz()
    assert again is not None and 100_000 < first < 10_000_000
    assert abs(again - first) <= first / 200  # a guest refines what is within 1 %


@pytest.mark.parametrize("text", ["4G", "2048M", "512"])
def test_good_memory(text: str) -> None:
    assert qemu.check_memory(text) == text


@pytest.mark.parametrize("text", ["", "4X", "G", "-1G", "64M", "1.5G"])
def test_bad_memory(text: str) -> None:
    with pytest.raises(UserError, match="--memory"):
        qemu.check_memory(text)


def fake_qemu(folder: Path, version: str, boots: str = "") -> str:
    path = folder / "qemu"
    path.write_text(
        f"#!/bin/sh\n[ \"$1\" = --version ] && echo 'QEMU emulator version {version}' && exit\n"
        f"{boots}\n"
    )
    path.chmod(0o755)
    return str(path)


def test_icount_needs_a_newer_qemu_for_several_cpus(tmp_path: Path) -> None:
    space, old = Workspace(tmp_path / "w"), fake_qemu(tmp_path, "7.2.22 (Debian)")
    assert accel.choose("icount", space, old, None, 1).name == "icount"
    with pytest.raises(UserError, match=r"QEMU 7\.2\.22 counts instructions with one vCPU"):
        accel.choose("icount", space, old, None, 4)
    assert accel.choose("icount", space, fake_qemu(tmp_path, "8.1.0"), None, 4).name == "icount"


def test_unknown_accel(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="known: auto, kvm, tcg, icount"):
        accel.choose("hvf", Workspace(tmp_path), "qemu", None, 1)


@pytest.mark.skipif(
    not Path("/dev/kvm").exists(), reason="no /dev/kvm: the proof is not reached"
)
def test_kvm_is_proven_by_a_boot_and_the_verdict_remembered(tmp_path: Path) -> None:
    space = Workspace(tmp_path / "w")
    dead = fake_qemu(tmp_path, "10.0.2", "echo 'failed to set MSR 0x10a' >&2; exit 1")
    works, why = accel.prove_kvm(space, dead, Path("bzImage"))
    assert not works and "failed to set MSR 0x10a" in why
    # The same QEMU on the same boot of the host: remembered, not tried again.
    fake_qemu(tmp_path, "10.0.2", "echo 'Linux version 6.1'")
    again = (works, f"{why} (tried before, since this host booted)")
    assert accel.prove_kvm(space, dead, Path("bzImage")) == again
    fresh = Workspace(tmp_path / "fresh")
    assert accel.prove_kvm(fresh, dead, Path("bzImage"))[0]


def test_auto_falls_back_with_a_reason(tmp_path: Path) -> None:
    dead = fake_qemu(tmp_path, "10.0.2", "exit 1")
    chosen = accel.choose("auto", Workspace(tmp_path / "w"), dead, Path("bzImage"), 4)
    assert chosen.name == "tcg" and "KVM does not work here" in chosen.reason
    with pytest.raises(UserError, match="--accel tcg"):
        accel.choose("kvm", Workspace(tmp_path / "w"), dead, Path("bzImage"), 4)
