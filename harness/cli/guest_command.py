"""``harness boot`` and ``harness run``: a guest to look around in, a command in a guest."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from harness.cli import common
from harness.core.deadline import Deadline
from harness.core.errors import HarnessError, UserError
from harness.core.proc import bound_to_us, need

SshPort = Annotated[
    int, typer.Option("--ssh-port", min=0, max=65535, help="Host port on 127.0.0.1 [a free one].")
]
BootTimeout = Annotated[
    float, typer.Option("--boot-timeout", min=0, help="Seconds to get ready [by accel].")
]
Push = Annotated[
    list[Path] | None, typer.Option("--push", help="Copy this file to /opt/harness first.")
]


def boot(
    variant: common.Variant = "before",
    base: common.BaseName = "",
    accel: common.AccelName = "auto",
    smp: common.Smp = 0,
    memory: common.Memory = "",
    append: common.Append = "",
    ssh_port: SshPort = 0,
    boot_timeout: BootTimeout = 0.0,
    gdb: Annotated[bool, typer.Option("--gdb", help="Wait for gdb; prints its line.")] = False,
    push: Push = None,
    source: common.SourceDir = None,
    dry_run: common.DryRun = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Boot a guest and give an interactive shell in it; the guest ends with the shell.

    Example: harness boot --variant after --smp 8
    """
    from harness.cli import machines  # noqa: PLC0415
    from harness.machine import qemu  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    build = machines.need_build(env, variant, source=source)
    image = machines.need_image(env)
    chosen = machines.need_accel(env, accel, build, smp or env.project.config.guest.smp)
    spec = machines.make_spec(
        env, build, image, chosen, smp=smp, memory=memory, append=append, gdb=gdb,
        ssh_port=ssh_port,
    )
    if dry_run:
        common.say(qemu.shell_line(qemu.argv(spec)))
        return
    ssh = need("ssh", package="openssh-client")
    with _logs(env, "boot.") as folder:
        guest = machines.make_guest(
            spec, build, image, folder, env.progress.warn, boot_timeout or None
        )
        if gdb:
            env.progress.say(
                f"gdb {build.vmlinux} -ex 'target remote {guest.gdb_socket}' -ex continue"
            )
        with guest:
            for path in push or []:
                guest.push(path, f"/opt/harness/{path.name}")
            known = folder / "known_hosts"
            known.write_text(f"[127.0.0.1]:{guest.ssh_port} {image.host_key}\n")
            argv = [
                ssh, "-p", str(guest.ssh_port), "-i", str(image.ssh_key), "-o",
                f"UserKnownHostsFile={known}", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes",
                "root@127.0.0.1",
            ]
            env.progress.say(
                f"{variant} {build.release} under {chosen.label}; console: {guest.log}\n"
                f"another shell: {shlex.join(argv)}"
            )
            # Ctrl-C belongs to the shell in the guest, not to us.
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)
            try:
                subprocess.run(bound_to_us(argv), check=False)
            finally:
                signal.signal(signal.SIGINT, before)
            guest.check()


def run(
    command: Annotated[list[str], typer.Argument(help="The command, after --.")],
    variant: common.Variant = "before",
    base: common.BaseName = "",
    accel: common.AccelName = "auto",
    smp: common.Smp = 0,
    memory: common.Memory = "",
    append: common.Append = "",
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds the command may take [600].")
    ] = 600.0,
    ssh_port: SshPort = 0,
    boot_timeout: BootTimeout = 0.0,
    push: Push = None,
    programs: Annotated[
        bool, typer.Option("--programs", help="Push all of guest/ to /opt/harness first.")
    ] = False,
    source: common.SourceDir = None,
    dry_run: common.DryRun = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Boot a guest, run a command, relay its output and exit code, power off.

    Example: harness run --variant after -- grep pte_table_freed /proc/vmstat
    """
    from harness.cli import machines  # noqa: PLC0415
    from harness.image.programs import GUEST_DIR, build_programs  # noqa: PLC0415
    from harness.machine import qemu  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    build = machines.need_build(env, variant, source=source)
    image = machines.need_image(env)
    chosen = machines.need_accel(env, accel, build, smp or env.project.config.guest.smp)
    spec = machines.make_spec(
        env, build, image, chosen, smp=smp, memory=memory, append=append, ssh_port=ssh_port
    )
    if dry_run:
        common.say(qemu.shell_line(qemu.argv(spec)))
        return
    files = list(push or [])
    if programs:
        folder = build_programs(env.workspace, env.project, env.progress)
        files += [p for p in sorted(folder.iterdir()) if p.is_file() and p.stat().st_mode & 0o100]
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        raise UserError(f"--push {missing[0]}: no such file")
    with _logs(env, "run.") as scratch:
        guest = machines.make_guest(
            spec, build, image, scratch, env.progress.warn, boot_timeout or None
        )
        with guest:
            for path in files:
                guest.push(path, f"{GUEST_DIR}/{path.name}")
            line = command[0] if len(command) == 1 else shlex.join(command)
            result = guest.run(
                line, deadline=Deadline(timeout), check=False,
                on_stdout=_relay(sys.stdout.buffer), on_stderr=_relay(sys.stderr.buffer),
            )
            guest.check()
        for event in guest.events:
            env.progress.warn(f"the console announced {event.kind}: {event.title}")
    if result.code:
        raise typer.Exit(result.code)


@contextlib.contextmanager
def _logs(env: common.Setup, prefix: str) -> Iterator[Path]:
    """A directory for a guest's logs; kept when something went wrong, for a line names it."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=env.workspace.dir("guests")))
    try:
        yield folder
    except HarnessError:
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if not any(folder.glob("*-stalled-*")):
        shutil.rmtree(folder, ignore_errors=True)


def _relay(stream: BinaryIO) -> Callable[[bytes], None]:
    """A function that passes bytes on to one of our own streams at once."""

    def write(data: bytes) -> None:
        stream.write(data)
        stream.flush()

    return write
