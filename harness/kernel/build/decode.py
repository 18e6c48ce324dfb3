"""Addresses of a console log in words: by the tree's own script, or by the symbol table.

The kernels here are built without debug information (it would triple a build on two
cores), so a frame stays ``symbol+offset``, as the kernel prints it; bare addresses are
given a symbol, and the instructions around the fault are shown. A variant built with
CONFIG_DEBUG_INFO_DWARF5 gets files and lines from scripts/decode_stacktrace.sh.
"""

from __future__ import annotations

import bisect
import re
import shutil
from functools import lru_cache
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.proc import capture

SCRIPT = "scripts/decode_stacktrace.sh"
NO_LINES = "(no debug information in this build: symbol+offset, no source lines)"
BEFORE, BEHIND = 48, 24  # bytes of code shown around the fault
_BARE = re.compile(r"(?<![\w+])(?:0x)?(ffffffff[89a-f][0-9a-f]{7})(?![\w])")
_RIP = re.compile(r"RIP: 0010:(\w[\w.]*)\+0x([0-9a-f]+)/")


def decode(text: str, build: Path, tree: Path | None) -> str:
    """An oops with its addresses resolved as far as the build's files allow."""
    vmlinux = build / "vmlinux"
    if tree and (tree / SCRIPT).exists() and has_lines(vmlinux):
        try:
            return capture(
                ["bash", str(tree / SCRIPT), str(vmlinux), "auto", str(tree)], text_input=text,
                timeout=120.0, cwd=tree,
            ).rstrip("\n")
        except HarnessError as error:
            return f"{_by_symbols(text, build)}\n({SCRIPT} failed: {error.message})"
    return f"{_by_symbols(text, build)}\n{NO_LINES}"


def has_lines(vmlinux: Path) -> bool:
    """Whether a kernel image carries line numbers."""
    if not vmlinux.exists() or shutil.which("readelf") is None:
        return False
    return ".debug_line" in capture(["readelf", "-S", "-W", str(vmlinux)], check=False)


def _by_symbols(text: str, build: Path) -> str:
    table = symbols(build / "System.map")
    named = _BARE.sub(lambda match: f"{match[0]} ({name_of(int(match[1], 16), table)})", text)
    code = faulting_code(text, build)
    return f"{named}\n\n{code}" if code else named


@lru_cache(maxsize=4)
def symbols(system_map: Path) -> tuple[tuple[int, str], ...]:
    """Address and name of every function, in order; empty without the file."""
    if not system_map.exists():
        return ()
    rows = (line.split() for line in system_map.read_text().splitlines())
    return tuple(sorted((int(row[0], 16), row[2]) for row in rows if row[1] in "tTwW"))


def name_of(address: int, table: tuple[tuple[int, str], ...]) -> str:
    """``symbol+offset`` of an address; ``?`` where it lies outside the kernel's code."""
    at = bisect.bisect_right(table, (address, "\xff")) - 1
    if at < 0 or at + 1 >= len(table):
        return "?"
    start, name = table[at]
    return f"{name}+{address - start:#x}"


def faulting_code(text: str, build: Path) -> str:
    """The instructions around the first faulting one; empty when it cannot be known."""
    match = _RIP.search(text)
    if not match or shutil.which("objdump") is None:
        return ""
    start = next((a for a, n in symbols(build / "System.map") if n == match[1]), 0)
    if not start:
        return ""
    at = start + int(match[2], 16)
    listing = capture(
        ["objdump", "-d", "--no-show-raw-insn", f"--start-address={max(start, at - BEFORE):#x}",
         f"--stop-address={at + BEHIND:#x}", str(build / "vmlinux")], check=False,
    )
    rows = [line.strip() for line in listing.splitlines() if re.match(r"\s*ffffffff\w+:", line)]
    marked = [("=> " if row.startswith(f"{at:x}:") else "   ") + row for row in rows]
    return "\n".join([f"code at {match[1]}+0x{match[2]}:", *marked]) if rows else ""
