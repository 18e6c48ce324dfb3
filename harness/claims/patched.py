"""Whether the patches of a run's kernel are still those of this checkout, as a compiler sees it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

from harness.core import digest
from harness.core.proc import need
from harness.project.config import Project
from harness.records.runs import Run


def others(variant: str, run: Run, project: Project) -> bool:
    """Whether the variant's patches change something else now than they did in the run.

    A patch whose text differs is looked up in the repository's history, at the run's revision:
    what counts then is what it adds and removes, without messages, line numbers and blank lines.
    Where there is no such history, any difference counts.
    """
    kernel = run.kernels.get(variant)
    if kernel is None or variant not in project.config.variants:
        return False
    series = project.path(project.series_name(variant)) if project.series_name(variant) else None
    for patch in kernel.patches:
        if patch.kind == "compat":
            continue
        path = project.file(patch.name)
        if patch.kind == "series":
            if series is None or not series.is_dir():
                continue
            path = series / patch.name
        if not path.is_file():
            return True
        if digest.of_file(path) != patch.sha256:
            before = _at(run.harness.git, path)
            if digest.of_bytes(before) != patch.sha256 or code(before) != code(path.read_bytes()):
                return True
    return False


def code(patch: bytes) -> list[bytes]:
    """The lines that a patch adds and removes, and the names of the files; no blank ones."""
    kept, inside = [], False
    for line in patch.splitlines():
        if line.startswith(b"diff --git ") or line == b"-- ":
            inside = False
        if line.startswith((b"--- ", b"+++ ")) and not inside:
            kept.append(line)
        inside = inside or line.startswith(b"@@ ")
        if inside and line.startswith((b"+", b"-")) and line[1:].strip():
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
    except OSError:
        return b""
    return done.stdout
