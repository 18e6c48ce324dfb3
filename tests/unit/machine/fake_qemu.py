#!/usr/bin/env python3
"""A QEMU that only pretends: a console and a monitor, each boot as told.

The file ``plan`` beside the image holds a word per boot: ``ready``, ``hangs`` (a kernel that
falls silent), ``mistimes`` (ready, with a wrong clock), ``deaf`` (ready, but nobody answers on
SSH), ``panics``, ``warns`` (a WARNING, then silence) or ``exits``. The file ``port`` has the
port of an SSH server.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from pathlib import Path

KERNEL = "[    0.000000] Linux version 6.1\r\n[    2.498117] clocksource: Switched to tsc\r\n"
SAYS = {
    "ready": "pte-harness: ready\r\n",
    "deaf": "pte-harness: ready\r\n",
    "mistimes": "[    0.0] tsc: PIT calibration deviates from HPET: 276967 2594844\r\n"
                "pte-harness: ready\r\n",
    "panics": "[    2.5] Kernel panic - not syncing: VFS: no root\r\n",
    "warns": "[    2.5] WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\r\n",
}
ANSWERS = {"query-cpus-fast": [{"cpu-index": at, "thread-id": 2**22 + at} for at in range(2)]}

known = threading.Event()  # the harness has the port, or nearly: nothing happens before


def option(start: str) -> str:
    return next(word for word in sys.argv if word.startswith(start))


def value(chardev: str, key: str) -> str:
    match = re.search(rf"\b{key}=([^,]+)", chardev)
    assert match, chardev
    return match[1]


def inherited(chardev: str) -> socket.socket:
    return socket.socket(fileno=int(value(chardev, "fd")))


def monitor(qmp: socket.socket, port: int) -> None:
    """Answers as QEMU does; the client ends no line and sends nothing before an answer."""
    version = {"qemu": {"major": 10, "minor": 0, "micro": 2}, "package": ""}
    say: dict[str, object] = {"QMP": {"version": version, "capabilities": []}}
    while True:
        qmp.sendall(json.dumps(say).encode() + b"\r\n")
        asked = json.loads(qmp.recv(65536) or b"null")
        if asked is None:
            return
        question = asked.get("arguments", {}).get("command-line", "")
        answer = f"answer to {question}"
        if question == "info usernet":
            answer = f"TCP[HOST_FORWARD] 9 127.0.0.1 {port} 10.0.2.15 22\r\n"
        say = {"return": answer if question else ANSWERS.get(asked["execute"], {})}
        if "id" in asked:
            say["id"] = asked["id"]
        if question == "info usernet":
            known.set()


def main() -> None:
    image = Path(option("file=")[5:].split(",")[0])
    plan = image.with_name("plan")
    boot, *rest = plan.read_text().split()
    plan.write_text(" ".join(rest))
    console, qmp = option("socket,id=console"), option("socket,id=qmp")
    line, log = inherited(console), Path(value(console, "logfile"))
    port = int(image.with_name("port").read_text())
    silent = socket.create_server(("127.0.0.1", 0))
    if boot == "deaf":
        port = silent.getsockname()[1]
    threading.Thread(target=monitor, args=(inherited(qmp), port), daemon=True).start()
    known.wait()
    time.sleep(0.1)
    text = KERNEL + SAYS.get(boot, "")
    log.write_text(text)
    line.sendall(text.encode())
    if boot not in ("exits", "panics"):
        time.sleep(60)


main()
