"""``harness boot`` and ``harness run``: a guest to look around in, a command in a guest."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from harness.cli import common
from harness.core.deadline import Deadline
from harness.core.errors import GuestCrash, UserError
from harness.core.proc import need
from harness.dumps.keeping import FREEZE, DumpKeeper, told

if TYPE_CHECKING:
    from harness.lab import Lab
    from harness.machine.session import Session

SshPort = Annotated[
    int | None,
    typer.Option("--ssh-port", min=1, max=65535, help="Host port on 127.0.0.1 [a free one]."),
]
BootTimeout = Annotated[
    float | None,
    typer.Option("--boot-timeout", min=1, help="Seconds to get ready [by accel and kernel]."),
]
Push = Annotated[
    list[Path] | None, typer.Option("--push", help="Copy this file to /opt/harness first.")
]
Gdb = Annotated[bool, typer.Option("--gdb", help="Wait for gdb; prints its line.")]
Command = Annotated[list[str], typer.Argument(help="The command, after --.")]
Timeout = Annotated[
    float, typer.Option("--timeout", min=1, help="Seconds the command may take [600].",
                        show_default=False),
]
Programs = Annotated[
    bool, typer.Option("--programs", help="Push all of guest/ to /opt/harness first.")
]
Dump = Annotated[
    Path | None,
    typer.Option(
        "--dump", metavar="DIR",
        help="Put the memory of a guest that the command crashes there, for drgn; the kernel stops "
        "at its first oops.",
    ),
]


def boot(
    variant: common.Variant = None,
    base: common.BaseName = None,
    accel: common.AccelName = None,
    smp: common.Smp = None,
    memory: common.Memory = None,
    append: common.Append = None,
    machine: common.MachineName = None,
    ssh_port: SshPort = None,
    boot_timeout: BootTimeout = None,
    gdb: Gdb = False,
    push: Push = None,
    source: common.SourceDir = None,
    dry_run: common.DryRun = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Boot a guest and give an interactive shell in it; the guest ends with the shell.

    With --machine a real computer; it is back under its own kernel when the shell has ended.

    Example: harness boot --variant after --smp 8
    """
    from harness.machine import shells  # noqa: PLC0415

    lab = common.setup(
        quiet=quiet, verbose=verbose, workspace=workspace, base=base, machine=machine
    )
    name = lab.variant(variant)
    if dry_run:
        common.say("\n".join(lab.preview(
            name, source=source, smp=smp, memory=memory, append=append or "", accel=accel
        )))
        return
    need("ssh", package="openssh-client")
    files = _files(push)
    session = lab.boot(
        name, smp=smp, memory=memory, append=append or "", accel=accel, source=source, gdb=gdb,
        ssh_port=ssh_port or 0, boot_seconds=boot_timeout,
    )
    with _ready(lab, session):
        _push(session, files)
        lab.progress.say(
            f"console: {session.log}\nanother shell: {shlex.join(session.shell())}"
        )
        shells.interact(session)


def run(
    command: Command,
    variant: common.Variant = None,
    base: common.BaseName = None,
    accel: common.AccelName = None,
    smp: common.Smp = None,
    memory: common.Memory = None,
    append: common.Append = None,
    machine: common.MachineName = None,
    timeout: Timeout = 600.0,
    ssh_port: SshPort = None,
    boot_timeout: BootTimeout = None,
    push: Push = None,
    programs: Programs = False,
    dump: Dump = None,
    source: common.SourceDir = None,
    dry_run: common.DryRun = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Boot a guest, run a command, relay its output and exit code, power off.

    With --machine a real computer, which is back under its own kernel behind the command.

    Example: harness run --variant after -- grep pte_table_freed /proc/vmstat
    """
    lab = common.setup(
        quiet=quiet, verbose=verbose, workspace=workspace, base=base, machine=machine
    )
    name = lab.variant(variant)
    if dry_run:
        common.say("\n".join(lab.preview(
            name, source=source, smp=smp, memory=memory, append=append or "", accel=accel
        )))
        return
    files = _files(push) + (_programs(lab.programs()) if programs else [])
    keeper = _keeper(lab, name, dump, memory, source)
    session = lab.boot(
        name, smp=smp, memory=memory, append=f"{append or ''}{FREEZE if dump else ''}",
        accel=accel, source=source, ssh_port=ssh_port or 0, boot_seconds=boot_timeout,
    )
    with _ready(lab, session), _dumped(lab, session, keeper):
        _push(session, files)
        result = session.run(
            command[0] if len(command) == 1 else shlex.join(command), deadline=Deadline(timeout),
            check=False, on_stdout=_relay(sys.stdout.buffer), on_stderr=_relay(sys.stderr.buffer),
        )
        session.check()
    for event in session.events:
        lab.progress.warn(f"the console announced {event.kind}: {event.title}")
    if result.code:
        raise typer.Exit(result.code)


@contextlib.contextmanager
def _ready(lab: Lab, session: Session) -> Iterator[None]:
    """The session booted; a person is told what is being waited for, and how long it took."""
    lab.progress.say(f"booting {session.title} ...")
    with session:
        lab.progress.say(f"ready after {session.seconds_to_ready or 0.0:.1f} s")
        yield


def _keeper(
    lab: Lab, variant: str, directory: Path | None, memory: str | None, source: Path | None
) -> DumpKeeper | None:
    """What keeps a crashed guest's memory in a directory, if it is to be kept."""
    if directory is None:
        return None
    from harness.dumps.opening import require_drgn  # noqa: PLC0415
    from harness.project.machine_tables import GUEST  # noqa: PLC0415

    if lab.where != GUEST:
        raise UserError(f"{lab.where} is a real computer, whose memory only its own crash kernel "
                        "can dump", hint="leave --dump out; docs/hosts.md has the way of kdump")
    require_drgn()
    build = lab.build(variant, source=source)
    types = None if source else lab.types(build)
    return DumpKeeper(
        directory, build.vmlinux, types, build.release, memory or lab.project.config.guest.memory,
        lab.progress,
    )


@contextlib.contextmanager
def _dumped(lab: Lab, session: Session, keeper: DumpKeeper | None) -> Iterator[None]:
    """Keep the memory of a guest whose kernel dies in the block, and say what it shows."""
    try:
        yield
    except GuestCrash as crash:
        if keeper is not None:
            place = keeper.take(session, session.directory.name, crash.oops, crash.message)
            if place:
                lab.progress.say(f"the guest's memory: {keeper.directory / place}")
                common.say(told(keeper.directory / place).read_text())
        raise


def _files(push: list[Path] | None) -> list[Path]:
    """The files to push; raises :class:`UserError` when one is not there, before any boot."""
    for path in push or []:
        if not path.is_file():
            raise UserError(f"--push {path}: no such file")
    return list(push or [])


def _programs(folder: Path) -> list[Path]:
    """Those that run, and the sources that a script compiles in the guest."""
    return [p for p in sorted(folder.iterdir()) if p.is_file() and p.suffix != ".log"]


def _push(session: Session, files: list[Path]) -> None:
    from harness.image.programs import GUEST_DIR  # noqa: PLC0415

    for path in files:
        session.push(path, f"{GUEST_DIR}/{path.name}")


def _relay(stream: BinaryIO) -> Callable[[bytes], None]:
    """A function that passes bytes on to one of our own streams at once."""

    def write(data: bytes) -> None:
        stream.write(data)
        stream.flush()

    return write
