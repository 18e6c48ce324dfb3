"""The record of a boot, whether it was measured in or tested in."""

from __future__ import annotations

import os
from pathlib import Path

from harness.core import moments
from harness.machine.session import Session
from harness.records.boots import BootRecord, MachineState
from harness.records.events import Event


def begin(session: Session, boot: int, variant: str, directory: Path) -> BootRecord:
    """The record of a boot that is about to begin; ``failed`` until somebody knows better.

    ``directory`` is the run's, to which paths in the record are relative.
    """
    return BootRecord(
        boot=boot, variant=variant, accel=session.accel, machine=session.machine, status="failed",
        started=moments.now(),
        # The load of this host means nothing to another one.
        host_load=[round(load, 2) for load in os.getloadavg()]
        if session.accel != "native" else [],
        console=_relative(session.log, directory),
    )


def finish(record: BootRecord, session: Session, directory: Path) -> None:
    """Fill in what the session knows when it has ended."""
    record.qemu_argv = session.argv
    record.seconds_to_ready = session.seconds_to_ready
    record.hardware = session.hardware
    record.false_starts = [
        start.model_copy(update={"console": _relative(Path(start.console), directory)})
        for start in session.false_starts
    ]
    record.events = _survived(record, session)


def _survived(record: BootRecord, session: Session) -> list[Event]:
    """The events but for the one that was the crash."""
    return [
        event for event in session.events
        if record.crash is None or event.text != record.crash.text
    ]


def describe(session: Session) -> MachineState:
    """What the machine says of itself."""
    text = session.run("uname -a; cat /proc/cmdline; nproc; grep MemTotal /proc/meminfo").stdout
    uname, cmdline, cpus, memory = text.splitlines()[:4]
    return MachineState(
        uname=uname, cmdline=cmdline, cpus=int(cpus), memory_kb=int(memory.split()[1])
    )


def _relative(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path)
