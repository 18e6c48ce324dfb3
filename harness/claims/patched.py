"""Whether the patches of a run's kernel are still those of this checkout, for a compiler."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path

from harness.core import digest
from harness.core.errors import UserError
from harness.core.proc import need
from harness.kernel.series.patches import series_names
from harness.project.config import Project
from harness.records.runs import Run

HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@(.*)")
HEADERS = (
    b"--- ", b"+++ ", b"rename ", b"copy ", b"old mode ", b"new mode ", b"new file ",
    b"deleted file ", b"Binary ", b"GIT binary ",
)
INDEX = re.compile(rb"index ([0-9a-f]+)\.\.([0-9a-f]+)")


@dataclass
class FileStep:
    """What one patch does to one file."""

    old: bytes = b""
    """git's name of the content before, abbreviated; and after."""
    new: bytes = b""
    lines: list[bytes] = field(default_factory=list)
    """Hunks and headers, without numbers and blank lines."""


def others(variant: str, run: Run, project: Project) -> bool:
    """Whether the variant's patches make another kernel now than they did in the run.

    Those whose text differs are looked up in the repository's history, at the run's revision. Where
    there is no such history, any difference counts. See :func:`same`.
    """
    kernel = run.kernels.get(variant)
    if kernel is None or variant not in project.config.variants:
        return False
    if kernel.base in project.config.bases:  # a variant without one may be run on any
        project = project.on_base(kernel.base)
    series = project.path(project.series_name(variant)) if project.series_name(variant) else None
    if series is not None and not series.is_dir():
        series = None
    recorded = [patch.name for patch in kernel.patches if patch.kind == "series"]
    if series is not None and recorded != series_names(series):
        return True
    before, after, changed = [], [], False
    for patch in kernel.patches:
        if patch.kind == "compat" or (patch.kind == "series" and series is None):
            continue
        path = project.file(patch.name)
        if patch.kind == "series" and series is not None:
            path = series / patch.name
        if not path.is_file():
            return True
        now = then = path.read_bytes()
        if digest.of_bytes(now) != patch.sha256:
            changed, then = True, _at(run.harness.git, path)
            if digest.of_bytes(then) != patch.sha256:
                return True
        before.append(then)
        after.append(now)
    return changed and not same(before, after)


def same(before: Sequence[bytes], after: Sequence[bytes]) -> bool:
    """Whether two lists of patches leave the same sources, for a compiler.

    Each file must come to the same: by the same hunks, as to lines that are not blank, where they
    stand and in which order; or by whatever hunks, if git's names say that it begins and ends with
    the same content. Those names are believed only if they hang together: not of a patch that was
    edited by hand.
    """
    mine, theirs = steps(before), steps(after)
    return mine.keys() == theirs.keys() and all(
        _comes_to(mine[name], theirs[name]) for name in mine
    )


def _comes_to(one: list[FileStep], other: list[FileStep]) -> bool:
    if [step.lines for step in one] == [step.lines for step in other]:
        return True
    if not (_chained(one) and _chained(other)):
        return False
    if not (_alike(one[0].old, other[0].old) and _alike(one[-1].new, other[-1].new)):
        return False
    return not any(  # the same contents with another difference: edited by hand
        _alike(a.old, b.old) and _alike(a.new, b.new) and a.lines != b.lines
        for a in one for b in other
    )


def _chained(steps_: list[FileStep]) -> bool:
    return all(step.old and step.new for step in steps_) and all(
        _alike(earlier.new, later.old) for earlier, later in pairwise(steps_)
    )


def _alike(one: bytes, other: bytes) -> bool:
    """Of two abbreviated names."""
    return one.startswith(other) or other.startswith(one)


def steps(patches: Iterable[bytes]) -> dict[bytes, list[FileStep]]:
    """By file: what the patches do to it, one after the other.

    Hunks are read by their line counts, as a removed line may look like a header.
    """
    found: dict[bytes, list[FileStep]] = {}
    for patch in patches:
        step = FileStep()
        old = new = 0  # lines of the hunk still to come
        for line in patch.splitlines():
            if old > 0 or new > 0:
                old -= line[:1] in (b" ", b"-", b"")
                new -= line[:1] in (b" ", b"+", b"")
                if line[1:].strip():
                    step.lines.append(line)
            elif hunk := HUNK.match(line):
                old, new = int(hunk[1] or 1), int(hunk[2] or 1)
                step.lines.append(b"@@" + hunk[3])
            elif line.startswith(b"diff --git "):
                step = FileStep()
                found.setdefault(line, []).append(step)
            elif index := INDEX.match(line):
                step.old, step.new = index[1], index[2]
            elif line.startswith(HEADERS):
                step.lines.append(line)
    return found


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
