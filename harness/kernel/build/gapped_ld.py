"""``ld`` for another layout: run instead of the linker, it puts gaps between a kernel's objects.

    python3 gapped_ld.py LAYOUT FOLDER LD ARGUMENT...

Where an archive is linked whole, as vmlinux is made, its members are named one by one, in their
order, and before each goes a gap of none to 112 bytes of text that nothing ever runs. How long it
is depends on the layout's number and the member's name alone: two kernels of one layout have the
same gaps before the same objects. What else is linked goes to ``LD`` as it is.

This file is copied to where kernels are built, so it needs the standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

STEP = 16  # bytes: what gcc aligns functions to on x86-64, so that no gap is rounded away
STEPS = 8  # gaps are 0 to 7 steps: an object moves within two cache lines, those behind it further
THIN = b"!<thin>\n"
LINKED = "linked.json"
# Trap instructions of x86; no other section, so that nothing but text moves.
ASSEMBLY = """	.section .note.GNU-stack, "", @progbits
	.text
	.skip {size}, 0xcc
"""


@dataclass
class GappedInputs:
    """The arguments of a link, with gaps, and what was put in."""

    arguments: list[str] = field(default_factory=list)
    objects: int = 0
    """Objects that have a gap before them."""
    gap_bytes: int = 0


def gap_before(layout: int, name: str) -> int:
    """Bytes of the gap before an object; layout 0 has none."""
    if layout == 0:
        return 0
    text = f"{layout} {os.path.normpath(name)}"
    return hashlib.sha256(text.encode()).digest()[0] % STEPS * STEP


def gapped(arguments: Sequence[str], layout: int, folder: Path) -> GappedInputs:
    """The arguments with gaps before the members of archives that are linked whole.

    ``folder`` is where the gaps' object files are.
    """
    found = GappedInputs()
    whole = False
    for word in arguments:
        if word in ("--whole-archive", "--no-whole-archive"):
            whole = word == "--whole-archive"
        members = _members(Path(word)) if whole and word.endswith(".a") else None
        if members is None:
            found.arguments.append(word)
            continue
        for name in members:
            size = gap_before(layout, name)
            if size:
                found.arguments.append(str(folder / f"gap-{size}.o"))
                found.objects += 1
                found.gap_bytes += size
            found.arguments.append(name)
    return found


def _members(archive: Path) -> list[str] | None:
    """The files that a thin archive names; None for what is no thin archive."""
    try:
        with archive.open("rb") as file:
            if file.read(len(THIN)) != THIN:
                return None
    except OSError:
        return None
    done = subprocess.run(["ar", "t", str(archive)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def make_gaps(folder: Path) -> None:
    """Assemble the gaps, once."""
    for size in range(STEP, STEP * STEPS, STEP):
        path = folder / f"gap-{size}.o"
        if not path.exists():
            new = path.with_suffix(f".{os.getpid()}")
            subprocess.run(
                ["as", "-o", str(new), "-"], input=ASSEMBLY.format(size=size), text=True,
                check=True,
            )
            new.replace(path)


def main(words: Sequence[str]) -> None:
    """Become the linker."""
    layout, folder, linker, *arguments = words
    place = Path(folder)
    found = gapped(arguments, int(layout), place)
    if found.objects:
        make_gaps(place)
        listed = place / "arguments"  # thousands of names may be more than a command line holds
        listed.write_text("\n".join(_quoted(word) for word in found.arguments) + "\n")
        (place / LINKED).write_text(json.dumps({
            "number": int(layout), "objects": found.objects, "gap_bytes": found.gap_bytes,
        }))
        arguments = [f"@{listed}"]
    os.execv(linker, [linker, *arguments])


def _quoted(word: str) -> str:
    """A word as ld reads it from a file of arguments."""
    return "".join(f"\\{c}" if c in " \t\n\\'\"" else c for c in word)


if __name__ == "__main__":
    main(sys.argv[1:])
