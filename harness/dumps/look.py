"""``python -m harness.dumps.look VMCORE --vmlinux ...``: what a dump says, or a prompt on it.

A process of its own: drgn is native code that reads broken memory, and nobody's verdict must be
lost by it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.core.errors import HarnessError
from harness.dumps import dumpwords, vmcore
from harness.dumps.opening import DumpFiles, open_dump


def argv(
    files: DumpFiles, *, address: int | None = None, title: str = "", prompt: bool = False
) -> list[str]:
    """The command that reads a dump, for a shell or a child process."""
    words = [
        sys.executable, "-m", "harness.dumps.look", str(files.vmcore),
        "--vmlinux", str(files.vmlinux), "--release", files.release,
    ]
    if files.types is not None:
        words += ["--types", str(files.types)]
    if address is not None:
        words += ["--address", hex(address)]
    if title:
        words += ["--title", title]
    return [*words, "--prompt"] if prompt else words


def main(given: Sequence[str] | None = None) -> int:
    """Print the findings, or give a prompt; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m harness.dumps.look", description=__doc__)
    parser.add_argument("vmcore", type=Path)
    parser.add_argument("--vmlinux", type=Path, required=True)
    parser.add_argument("--types", type=Path)
    parser.add_argument("--release", default="")
    parser.add_argument("--address", type=lambda text: int(text, 0))
    parser.add_argument("--title", default="")
    parser.add_argument("--prompt", action="store_true")
    asked = parser.parse_args(given)
    files = DumpFiles(asked.vmcore, asked.vmlinux, asked.types, asked.release)
    try:
        program = open_dump(files)
    except HarnessError as error:
        sys.stderr.write(error.line() + "\n")
        return error.exit_code
    if asked.prompt:
        from drgn.cli import run_interactive  # noqa: PLC0415

        run_interactive(program)
        return 0
    sys.stdout.write(
        dumpwords.describe(program, vmcore.cpus(files.vmcore), asked.address, asked.title)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
