#!/usr/bin/env python3
"""balloon: a virtual machine whose memory a balloon takes away, twice, for the workload `balloon`.

balloon page|block MIB LEFT_PCT

Starts QEMU with MIB of memory and a virtio-balloon, but without a CPU that runs: this script is
the machine's driver, over QEMU's qtest protocol. It writes to every page of the machine's memory
above 16 MiB, and then gives all but LEFT_PCT per cent of it to the balloon, from the top:

page    as Linux's driver inflates: 4 KiB pages, 256 at a time, each of which QEMU drops by a
        MADV_DONTNEED of its own
block   as Linux reports free pages, or virtio-mem unplugs: whole 2 MiB

The process to be looked at is QEMU's, whose page tables map the machine's memory. Prints its pid, a
line for each 16 MiB, {"mark":"emptied"} after the first time, when it waits for a line of standard
input; then it takes the pages back, writes to them and gives them away once more, prints "done",
and lives until standard input ends.

Cannot show: the order in which a guest that has long run gives pages away; how fast it does.
"""

import signal
import struct
import subprocess
import sys
from typing import IO

PAGE, MIB, BLOCK = 4096, 1 << 20, 2 << 20
LOW = 16 * MIB  # the firmware's, and the rings'
RINGS, PFNS = 1 * MIB, 2 * MIB
AT_ONCE = 256  # pages of one request, as in Linux's driver

# virtio-mmio, version 1 (legacy): section 4.2.4 of Virtual I/O Device (VIRTIO) 1.2
MMIO, MMIO_STEP, MMIO_COUNT = 0xFEB00000, 0x200, 32
MAGIC, DEVICE_ID, DRIVER_FEATURES, GUEST_PAGE_SIZE = 0x00, 0x08, 0x20, 0x28
QUEUE_SEL, QUEUE_NUM_MAX, QUEUE_NUM, QUEUE_ALIGN, QUEUE_PFN = 0x30, 0x34, 0x38, 0x3C, 0x40
QUEUE_NOTIFY, STATUS = 0x50, 0x70
BALLOON = 5
REPORTING_BIT = 5
INFLATE, DEFLATE, REPORTING = 0, 1, 3
WRITE_FLAG = 2  # of a descriptor: the device may write there


def say(**line: int | str) -> None:
    """A line of JSON; a guest's minimal Python has no module for it."""
    words = (
        f'"{key}":{value}' if isinstance(value, int) else f'"{key}":"{value}"'
        for key, value in line.items()
    )
    sys.stdout.write("{" + ",".join(words) + "}\n")
    sys.stdout.flush()


def fail(words: str) -> None:
    sys.exit(f"balloon: {words}")


class Machine:
    """QEMU, and its memory and registers through qtest."""

    def __init__(self, mib: int) -> None:
        self.child = subprocess.Popen(
            ["qemu-system-x86_64", "-M", "microvm", "-accel", "tcg", "-S", "-m", f"{mib}M",
             "-nodefaults", "-display", "none", "-qtest", "stdio", "-qtest-log", "/dev/null",
             "-device", "virtio-balloon-device,free-page-reporting=on"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )
        assert self.child.stdin and self.child.stdout
        self._to: IO[str] = self.child.stdin
        self._from: IO[str] = self.child.stdout

    def ask(self, *words: object) -> str:
        self._to.write(" ".join(map(str, words)) + "\n")
        self._to.flush()
        answer = self._from.readline().split()
        if not answer or answer[0] != "OK":
            fail(f"QEMU answered {' '.join(answer) or 'nothing'} to {words[0]}")
        return answer[1] if len(answer) > 1 else ""

    def read(self, address: int) -> int:
        return int(self.ask("readl", hex(address)), 16)

    def write(self, address: int, value: int) -> None:
        self.ask("writel", hex(address), hex(value))

    def put(self, address: int, data: bytes) -> None:
        self.ask("write", hex(address), len(data), "0x" + data.hex())

    def get(self, address: int, size: int) -> bytes:
        return bytes.fromhex(self.ask("read", hex(address), size)[2:])

    def fill(self, address: int, size: int) -> None:
        self.ask("memset", hex(address), size, hex(0x5A))


class Queue:
    """A split virtqueue with one request at a time."""

    def __init__(self, balloon: "Balloon", number: int, at: int) -> None:
        self.balloon, self.number, self.at = balloon, number, at
        machine, base = balloon.machine, balloon.base
        machine.write(base + QUEUE_SEL, number)
        self.size = machine.read(base + QUEUE_NUM_MAX)
        if not self.size:
            fail(f"the balloon has no queue {number}")
        machine.write(base + QUEUE_NUM, self.size)
        machine.write(base + QUEUE_ALIGN, PAGE)
        self.available = at + 16 * self.size
        self.used = (self.available + 6 + 2 * self.size + PAGE - 1) // PAGE * PAGE
        machine.write(base + QUEUE_PFN, at // PAGE)
        self.sent = 0

    def send(self, address: int, size: int, flags: int) -> None:
        machine = self.balloon.machine
        machine.put(self.at, struct.pack("<QIHH", address, size, flags, 0))
        machine.put(self.available + 4 + 2 * (self.sent % self.size), struct.pack("<H", 0))
        self.sent += 1
        machine.put(self.available, struct.pack("<HH", 0, self.sent & 0xFFFF))
        machine.write(self.balloon.base + QUEUE_NOTIFY, self.number)
        for _ in range(10_000):  # QEMU may do it after it has answered
            if struct.unpack("<H", machine.get(self.used + 2, 2))[0] == self.sent & 0xFFFF:
                return
        fail(f"the balloon does not answer on queue {self.number}")


class Balloon:
    """The device."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        for at in range(MMIO, MMIO + MMIO_STEP * MMIO_COUNT, MMIO_STEP):
            if machine.read(at + MAGIC) == 0x74726976 and machine.read(at + DEVICE_ID) == BALLOON:
                self.base = at
                break
        else:
            fail("QEMU has no balloon")
        machine.write(self.base + STATUS, 0)
        machine.write(self.base + STATUS, 3)  # acknowledged, has a driver
        machine.write(self.base + DRIVER_FEATURES, 1 << REPORTING_BIT)
        machine.write(self.base + GUEST_PAGE_SIZE, PAGE)
        self.queues = {
            number: Queue(self, number, RINGS + place * 64 * 1024)
            for place, number in enumerate((INFLATE, DEFLATE, REPORTING))
        }
        machine.write(self.base + STATUS, 7)

    def pages(self, number: int, start: int, end: int) -> None:
        """Inflate or deflate by single pages."""
        for at in range(start, end, AT_ONCE * PAGE):
            pfns = range(at // PAGE, min(at + AT_ONCE * PAGE, end) // PAGE)
            self.machine.put(PFNS, struct.pack(f"<{len(pfns)}I", *pfns))
            self.queues[number].send(PFNS, 4 * len(pfns), 0)

    def block(self, start: int, end: int) -> None:
        """Report free memory."""
        for at in range(start, end, BLOCK):
            self.queues[REPORTING].send(at, min(BLOCK, end - at), WRITE_FLAG)


def main() -> None:
    words = sys.argv[1:]
    if len(words) != 3 or words[0] not in ("page", "block") or \
            not all(word.isdigit() for word in words[1:]):
        sys.stderr.write("usage: balloon page|block MIB LEFT_PCT\n")
        sys.exit(2)
    unit, mib, left = words[0], int(words[1]), int(words[2])
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: sys.exit(128 + got))
    machine = Machine(mib)
    try:
        lives(unit, mib, left, machine, Balloon(machine))
    finally:
        machine.child.kill()
        machine.child.wait()


def lives(unit: str, mib: int, left: int, machine: Machine, balloon: Balloon) -> None:
    top = mib * MIB
    bottom = LOW + (top - LOW) * left // 100 // BLOCK * BLOCK
    say(pid=machine.child.pid, program="balloon", unit=unit, mib=mib)
    for life in range(2):
        if life and unit == "page":
            balloon.pages(DEFLATE, bottom, top)
        for at in range(LOW, top, 16 * MIB):
            machine.fill(at, min(16 * MIB, top - at))
            say(phase="fill", mib=(at - LOW) // MIB)
        for at in range(top - 16 * MIB, bottom - 16 * MIB, -16 * MIB):
            start, end = max(at, bottom), at + 16 * MIB
            if unit == "page":
                balloon.pages(INFLATE, start, end)
            else:
                balloon.block(start, end)
            say(phase="give", mib=(start - LOW) // MIB)
        if machine.get(top - PAGE, 1) != b"\0":
            fail("memory in the balloon was not dropped")
        if not life:
            say(mark="emptied")
            sys.stdin.readline()
    say(done=2 * (top - bottom) // PAGE)
    sys.stdin.read()


main()
