"""An ordered list of patches and how it is applied: exactly, or not at all."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core import digest
from harness.core.errors import UserError
from harness.core.proc import need
from harness.core.progress import Progress
from harness.kernel.series import plumbing
from harness.records.kernels import PatchRecord, SeriesRecord

SERIES_FILE = "series"
COVER = re.compile(r"(v\d+-)?0+-cover-letter\.patch$")
SERIES_CONFIG = "series.config"
"""Beside it, where there is one: the symbols that a kernel with the whole series must have."""


@dataclass(frozen=True)
class Patch:
    """One patch of a series; ``files`` are all names it reads or writes, below the tree."""

    name: str
    path: Path
    sha256: str
    subject: str
    files: tuple[str, ...]
    kind: str = "series"
    """Why it is applied: ``series``, ``compat`` for one that makes an old tree build, or
    ``extra`` for one that a variant names itself."""

    def record(self) -> PatchRecord:
        """For build.json and run.json."""
        return PatchRecord(
            name=self.name, sha256=self.sha256, subject=self.subject, kind=self.kind
        )


@dataclass(frozen=True)
class Series:
    """Patches in the order in which they are applied; ``directory`` holds the series' own."""

    directory: Path
    patches: list[Patch]
    record: SeriesRecord | None = None
    """Where the series is from; None where there are only patches of other kinds."""

    @property
    def changing(self) -> list[Patch]:
        """The patches that make the variant what it is: all but those of compat."""
        return [patch for patch in self.patches if patch.kind != "compat"]

    @property
    def files(self) -> set[str]:
        """Every file the series touches."""
        return {name for patch in self.patches for name in patch.files}


def load_series(directory: Path) -> Series:
    """Read ``directory/series`` and the patches it names.

    Where there is no such file, all ``*.patch`` in the order of their names, as ``git
    format-patch`` numbers them; but for a cover letter. Raises :class:`UserError` for a missing or
    empty series and a missing patch.
    """
    listing = directory / SERIES_FILE
    try:
        names = series_names(directory)
    except OSError as error:
        raise UserError(
            f"no series: {listing}: {error.strerror}",
            hint="make it, or name a variant without a series",
        ) from error
    if not names:
        raise UserError(
            f"series {directory} is empty",
            hint="add patches to it, as `git format-patch -o DIR BASE` makes them, or name a "
            "variant without a series",
        )
    return Series(directory, [_load_patch(directory, name, str(listing)) for name in names])


def series_names(directory: Path) -> list[str]:
    """The patches of a directory, in their order; see :func:`load_series`.

    Raises :class:`OSError` for a directory or a file that cannot be read.
    """
    listing = directory / SERIES_FILE
    if listing.is_file():
        return names_in(listing.read_text())
    return sorted(
        path.name for path in directory.iterdir()
        if path.suffix == ".patch" and not COVER.match(path.name)
    )


def names_in(text: str) -> list[str]:
    """The patches that the text of a ``series`` file names; # begins a comment."""
    return [
        name for line in text.splitlines() if (name := re.sub(r"(^|\s)#.*", "", line).strip())
    ]


def listed(listing: Path) -> list[str]:
    """The same of a file; none when there is no such file."""
    return names_in(listing.read_text()) if listing.is_file() else []


def load_patches(root: Path, names: list[str], owner: str, kind: str) -> list[Patch]:
    """The patch files that ``owner`` names, relative to ``root``.

    Raises :class:`UserError` for one that is missing or no patch.
    """
    return [replace(_load_patch(root, name, owner), kind=kind) for name in names]


def _load_patch(directory: Path, name: str, owner: str) -> Patch:
    path = directory / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{owner} names {name}: {error.strerror}") from error
    text = data.decode(errors="surrogateescape")
    files = touched_files(text)
    if not files:
        raise UserError(f"{path} is not a patch: it changes no file")
    return Patch(name, path, digest.of_bytes(data), _subject(text) or name, files)


def _subject(text: str) -> str:
    """The subject of a format-patch file, unfolded and without its [PATCH] tag."""
    match = re.search(r"^Subject: (.*(?:\n[ \t].*)*)", text, re.MULTILINE)
    if not match:
        return ""
    return re.sub(r"^\[[^\]]*\]\s*", "", re.sub(r"\s*\n\s+", " ", match[1])).strip()


def touched_files(text: str) -> tuple[str, ...]:
    """The names, old and new, that a patch mentions.

    Hunks are skipped by their line counts: a deleted line ``-- x`` looks like a
    file header otherwise.
    """
    names: dict[str, None] = {}
    left = [0, 0]  # lines of the hunk still to come, old and new
    for line in text.split("\n"):
        if left[0] > 0 or left[1] > 0:
            mark = line[:1]
            left[0] -= mark in (" ", "-", "")
            left[1] -= mark in (" ", "+", "")
        elif hunk := re.match(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@", line):
            left = [int(hunk[1] or 1), int(hunk[2] or 1)]
        elif name := _header_name(line):
            names.update(dict.fromkeys(name))
    return tuple(names)


def _header_name(line: str) -> list[str]:
    if match := re.match(r'diff --git "?a/(.+?)"? "?b/(.+?)"?$', line):
        return [match[1], match[2]]
    if match := re.match(r"(?:rename|copy) (?:from|to) (.+)", line):
        return [match[1]]
    if match := re.match(r"(?:---|\+\+\+) [^/\s]+/([^\t\n]+)", line):
        return [match[1].rstrip("\r")]
    return []


def apply(series: Series, tree: Path, scratch: Path, progress: Progress) -> dict[str, Path | None]:
    """Apply the series to copies of just the touched files of ``tree``, in ``scratch``.

    Returns where the patched content of every touched file is; None for one that
    the series deletes (or never creates). Raises :class:`UserError` that names
    patch, file and hunk when a patch does not apply exactly; only line offsets
    are allowed.
    """
    git = need("git")
    names = series.files
    for name in sorted(names):
        original = tree / name
        if original.is_file() or original.is_symlink():
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(original, scratch / name, follow_symlinks=False)
    for patch in series.patches:
        output = _git_apply(git, scratch, patch)
        for line in output.splitlines():
            if "offset" in line:
                progress.detail(f"{patch.name}: {line.strip()}")
    return {
        name: path if (path := scratch / name).is_file() or path.is_symlink() else None
        for name in names
    }


def _git_apply(git: str, scratch: Path, patch: Patch) -> str:
    """Apply one patch; the verbose output."""
    code, output = _git(git, scratch, ["--verbose", str(patch.path)])
    if code == 0:
        return output
    raise UserError(
        f"patch {patch.name} does not apply: {_why(output)}{_fuzz_note(git, scratch, patch)}",
        hint="rebase it on this base",
    )


def _git(git: str, scratch: Path, arguments: list[str]) -> tuple[int, str]:
    return plumbing.run([git, "apply", "-p1", "--whitespace=nowarn", *arguments], scratch)


def _why(output: str) -> str:
    """File and hunk of the first error of git apply."""
    if match := re.search(r"^error: patch failed: (.+):(\d+)$", output, re.MULTILINE):
        return f"{match[1]}, the hunk at line {match[2]}"
    errors = re.findall(r"^(?:error|fatal): (.+)$", output, re.MULTILINE)
    return errors[0] if errors else (output.strip().splitlines() or ["git apply failed"])[-1]


def _fuzz_note(git: str, scratch: Path, patch: Patch) -> str:
    """Whether patch(1) would have let it pass with fuzz, which git apply calls less context."""
    for context in (2, 1):
        if _git(git, scratch, ["--check", f"-C{context}", str(patch.path)])[0] == 0:
            return f" (it would with fuzz {3 - context}, which is refused)"
    return ""
