"""`harness run` and `harness boot`: output, exit codes, and guests that die or hang."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guests import Harness, guests, wait_for

pytestmark = pytest.mark.vm


def test_output_and_exit_code_are_relayed(harness: Harness) -> None:
    done = harness("run", "--", "echo out; echo err >&2; exit 7")
    assert (done.code, done.out) == (7, "out\n")
    assert "err" in done.err


def test_it_is_not_silent_while_it_boots(harness: Harness, before_kernel: str) -> None:
    done = harness("run", "--", "true")
    assert f"booting before {before_kernel} under" in done.err and "ready after" in done.err
    assert harness("run", "-q", "--", "true").err == ""


def test_words_reach_the_guest_as_they_are(harness: Harness) -> None:
    done = harness("run", "--", "printf", "%s\\n", "a b", "$HOME", "*")
    assert done.out.splitlines() == ["a b", "$HOME", "*"]


def test_the_guest_is_what_was_asked_for(harness: Harness, before_kernel: str) -> None:
    done = harness("run", "--smp", "3", "--memory", "1G", "--append", "quiet",
                   "--", "nproc; grep MemTotal /proc/meminfo; cat /proc/cmdline; uname -r; "
                   "cat /sys/kernel/mm/transparent_hugepage/enabled")
    cpus, memory, cmdline, release, thp = done.out.splitlines()
    assert cpus == "3" and release == before_kernel
    assert 900_000 < int(memory.split()[1]) < 1_048_576
    assert cmdline.endswith("quiet")
    assert thp.endswith("[never]")


def test_the_guest_reaches_nothing_outside(harness: Harness) -> None:
    done = harness("run", "--", "timeout 2 python3 -c \"import socket; "
                   "socket.create_connection(('10.0.2.2', 1), 1)\"")
    assert done.code != 0


def test_the_image_is_not_changed_by_a_boot(harness: Harness) -> None:
    assert harness("run", "--", "touch /root/mark && sync").code == 0
    assert harness("run", "--", "test ! -e /root/mark").code == 0


def test_perf_works_with_this_kernel(harness: Harness) -> None:
    done = harness("run", "--", "perf stat -x, -e page-faults true")
    assert done.code == 0 and ",page-faults," in done.err


def test_dry_run_prints_a_line_a_person_can_paste(harness: Harness) -> None:
    done = harness("run", "--dry-run", "--smp", "2", "--", "true")
    words = shlex.split(done.out)
    assert words[0].endswith("qemu-system-x86_64")
    assert words[words.index("-smp") + 1].startswith("2,")
    assert any("snapshot=on" in word for word in words)
    assert not guests()


def test_icount_counts_with_several_cpus(harness: Harness) -> None:
    done = harness("run", "--accel", "icount", "--smp", "4", "--", "nproc")
    if "counts instructions with one vCPU only" in done.err:
        pytest.skip("this QEMU is older than 8.1: icount with one vCPU only")
    assert (done.code, done.out) == (0, "4\n")


def test_panic_is_a_result_with_its_oops(harness: Harness) -> None:
    done = harness("run", "--", "echo c > /proc/sysrq-trigger; sleep 60")
    assert done.code == 4
    assert "sysrq triggered crash" in done.err
    assert "the guest's kernel crashed" in done.err.splitlines()[-1]


def test_panic_at_boot(harness: Harness) -> None:
    done = harness("run", "--append", "init=/nonexistent", "--", "true")
    assert done.code == 4
    assert "Requested init /nonexistent failed" in done.err


def test_hang_at_boot_is_tried_twice_and_then_said(harness: Harness) -> None:
    done = harness("run", "--append", "init=/usr/bin/cat", "--boot-timeout", "20", "--", "true")
    assert done.code == 3
    assert "a boot stood still and was started again" in done.err
    said = done.err.splitlines()[-1]
    assert "hung at boot, 2 times in a row: the guest did not get ready" in said


def test_ssh_refused(harness: Harness) -> None:
    done = harness("run", "--", "kill -STOP 1; kill -9 $(cat /run/sshd.pid); kill -9 $PPID")
    assert done.code == 3
    assert "SSH to the guest was lost" in done.err


def test_command_that_takes_too_long(harness: Harness) -> None:
    done = harness("run", "--timeout", "2", "--", "sleep 100")
    assert done.code == 3
    assert "was not done after 2 s" in done.err


def test_port_that_is_taken(harness: Harness) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = harness("run", "--ssh-port", str(port), "--", "true")
    assert done.code == 3
    assert "Could not set up host forwarding rule" in done.err


def test_kvm_that_does_not_work_says_why(harness: Harness) -> None:
    done = harness("run", "--accel", "kvm", "--", "true")
    if done.code == 0:
        pytest.skip("KVM works here")
    assert done.code == 2
    assert "KVM does not work here" in done.err and "--accel tcg" in done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_guest_outlives_the_harness(
    spawn: Callable[..., subprocess.Popen[str]], number: signal.Signals
) -> None:
    known = guests()
    process = spawn("run", "--", "sleep 600")
    wait_for(lambda: bool(guests() - known))
    os.kill(process.pid, number)
    process.wait(30)
    if number != signal.SIGKILL:
        assert process.returncode == 130
    wait_for(lambda: not guests() - known, 10)


def test_an_interrupted_command_ends_in_one_word(
    spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    process = spawn("run", "-q", "--", "echo started; sleep 600")
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "interrupted\n")


def test_push(harness: Harness, tmp_path: Path) -> None:
    script = tmp_path / "hello"
    script.write_text("#!/bin/sh\necho hello $1\n")
    script.chmod(0o755)
    done = harness("run", "--push", str(script), "--", "/opt/harness/hello you")
    assert done.out == "hello you\n"
    done = harness("run", "--push", str(tmp_path / "none"), "--", "true")
    assert done.code == 2 and "no such file" in done.err
