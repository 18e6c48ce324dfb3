"""git's plumbing, away from any repository and from the user's configuration."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def run(argv: list[str], folder: Path, stdin: bytes = b"") -> tuple[int, str]:
    """Run a git command in ``folder``; exit code and all that it said.

    Inside a repository some commands skip foreign paths in silence, so none is seen.
    """
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "GIT_CEILING_DIRECTORIES": str(folder.parent.resolve()), "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
    }
    done = subprocess.run(
        argv, cwd=folder, env=environment, input=stdin, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace")


def numstat(patch: Path) -> list[tuple[str, int, int]]:
    """Of each file that a patch changes: its name, lines added, lines removed."""
    code, said = run(["git", "apply", "--numstat", "-z", str(patch.resolve())], patch.parent)
    found = []
    for line in said.split("\0") if code == 0 else []:
        plus, _, rest = line.strip("\n").partition("\t")
        minus, _, name = rest.partition("\t")
        if name:
            found.append((name, int(plus) if plus.isdigit() else 0,
                          int(minus) if minus.isdigit() else 0))
    return found
