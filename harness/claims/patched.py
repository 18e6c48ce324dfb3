"""Whether the patches of a run's kernel are still those of this checkout, for a compiler."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from harness.core import digest
from harness.core.errors import UserError
from harness.core.proc import need
from harness.kernel.series.patches import SERIES_FILE, listed
from harness.project.config import Project
from harness.records.runs import Run

HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@(.*)")
HEADERS = (
    b"--- ", b"+++ ", b"rename ", b"copy ", b"old mode ", b"new mode ", b"new file ",
    b"deleted file ", b"Binary ", b"GIT binary ",
)


def others(variant: str, run: Run, project: Project) -> bool:
    """Whether the variant's patches change something else now than they did in the run.

    A patch whose text differs is looked up in the repository's history, at the run's revision:
    what counts then is what it adds, removes and stands beside, without messages, line numbers
    and blank lines. Where there is no such history, any difference counts.
    """
    kernel = run.kernels.get(variant)
    if kernel is None or variant not in project.config.variants:
        return False
    series = project.path(project.series_name(variant)) if project.series_name(variant) else None
    if series is not None and not series.is_dir():
        series = None
    recorded = [patch.name for patch in kernel.patches if patch.kind == "series"]
    if series is not None and recorded != listed(series / SERIES_FILE):
        return True
    for patch in kernel.patches:
        if patch.kind == "compat" or (patch.kind == "series" and series is None):
            continue
        path = project.file(patch.name)
        if patch.kind == "series" and series is not None:
            path = series / patch.name
        if not path.is_file():
            return True
        if digest.of_file(path) != patch.sha256:
            before = _at(run.harness.git, path)
            if digest.of_bytes(before) != patch.sha256 or code(before) != code(path.read_bytes()):
                return True
    return False


def code(patch: bytes) -> list[bytes]:
    """The lines of a patch's hunks but for blank ones, where they stand, and the files' headers.

    Hunks are read by their line counts, as a removed line may look like a header.
    """
    kept = []
    old = new = 0  # lines of the hunk still to come
    for line in patch.splitlines():
        if old > 0 or new > 0:
            old -= line[:1] in (b" ", b"-", b"")
            new -= line[:1] in (b" ", b"+", b"")
            if line[1:].strip():
                kept.append(line)
        elif hunk := HUNK.match(line):
            old, new = int(hunk[1] or 1), int(hunk[2] or 1)
            kept.append(b"@@" + hunk[3])
        elif line.startswith(HEADERS):
            kept.append(line)
    return kept


@cache
def _at(revision: str, path: Path) -> bytes:
    """A file as it was at a revision of the repository that it lies in; empty where unknown."""
    if not revision:
        return b""
    try:
        done = subprocess.run(
            [need("git"), "show", f"{revision}:./{path.name}"], cwd=path.parent,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
        )
    except (OSError, UserError):  # no git, no folder
        return b""
    return done.stdout
