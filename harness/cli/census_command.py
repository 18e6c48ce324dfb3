"""``harness census``: how much of a live process's page tables holds nothing."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common
from harness.core.errors import InfrastructureError, UserError

# What guest/pte-census says when it is asked wrongly or may not look.
WRONG = 2


def census(
    pid: Annotated[int, typer.Argument(min=1, help="A process of this machine.")],
    rest: Annotated[
        int,
        typer.Option(
            "--rest", min=0, max=10_000_000, help="Microseconds to sleep after each GiB."
        ),
    ] = 1000,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Say what a process's page tables hold: entries, only zero pages, or nothing.

    Reads /proc/PID and changes nothing. The program, pte-census, is static: it can be copied
    to a machine that has nothing of this laboratory.

    Example: harness census 4711
    """
    from harness.image.programs import build_programs  # noqa: PLC0415
    from harness.project.adhoc import around  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, project=around())
    program = build_programs(env.workspace, env.project, env.progress) / "pte-census"
    argv = [str(program), "--rest", str(rest), *(["--json"] if as_json else []), str(pid)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode == WRONG:
        raise _refused(pid, done.stderr.strip())
    if done.returncode != 0:
        raise InfrastructureError(f"pte-census ended with {done.returncode}: {done.stderr.strip()}")
    common.say(done.stdout.rstrip("\n"))


def _refused(pid: int, said: str) -> UserError:
    """Why a process was not looked at, and what to do."""
    process = Path(f"/proc/{pid}")
    if not process.exists():
        return UserError(f"there is no process {pid}", hint="`ps -e` lists those there are")
    with suppress(OSError):
        if not (process / "cmdline").read_bytes() and not (process / "maps").read_bytes():
            return UserError(
                f"process {pid} has no memory of its own: a kernel thread, or one that has ended",
                hint="name a process of a program",
            )
    return UserError(
        said or f"process {pid} cannot be looked at", hint="its owner or root may look at a process"
    )
