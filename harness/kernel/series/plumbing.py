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
