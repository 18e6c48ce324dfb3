"""Names for addresses of kernel text, from System.map and the symbol table of vmlinux."""

from __future__ import annotations

import re
import struct
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import InfrastructureError
from harness.measure.profiles.elf import expected_faults, local_files

KERNEL_START = 0xFFFF800000000000
ENTRY = struct.Struct("<QII")
FUNCTION, SYSCALL, EXCEPTION, INTERRUPT, START, SWITCH, FAULTS = range(7)
"""What a function is to call paths: guest/plugin/profile.c."""
OUTSIDE = "[outside the kernel image]"
"""Modules, BPF programs, trampolines."""

_TEXT = frozenset("tTwW")
# A part of a function that gcc put elsewhere or specialised is that function to its reader.
_PARTS = re.compile(r"(\.(cold|isra|constprop|part|llvm|lto_priv|altinstr\w*)(\.\d+)*)+$")
_MARKERS = re.compile(
    r"^(_?_?(stext|etext|text|init_begin|init_end|end)|\w*_text_(start|end)|__(start|stop|end|begin)"
    r"_\w+|__pfx_.*|__cfi_.*|_[se]inittext|__\w+text_(start|end)|\.L.*|\$.*)$"
)
_KINDS = (
    (SWITCH, re.compile(r"^__switch_to_asm$")),
    (START, re.compile(r"^ret_from_fork(_asm)?$")),
    (SYSCALL, re.compile(r"^entry_(SYSCALL_64|SYSENTER_compat|SYSCALL_compat|INT80_compat)$")),
    (INTERRUPT, re.compile(r"^asm_(sysvec_\w+|common_interrupt|spurious_interrupt|exc_nmi)$")),
    (EXCEPTION, re.compile(r"^asm_exc_\w+$")),
)


def canonical(name: str) -> str:
    """The function that a symbol is, or is a part of: ``zap_pte_range.isra.0.cold`` is one."""
    return _PARTS.sub("", name)


def kind_of(name: str) -> int:
    """Whether the kernel is entered there, or threads are switched."""
    return next((kind for kind, pattern in _KINDS if pattern.match(name)), FUNCTION)


@dataclass(frozen=True)
class Symbols:
    """The functions of one kernel, by address.

    ``starts`` ascend; ``names[i]`` is the function from ``starts[i]`` to the next start.
    ``symbols[i]`` is what the symbol table calls it, ``files[i]`` the file that it is from, as
    far as that is known.
    """

    starts: NDArray[np.uint64]
    symbols: tuple[str, ...]
    names: tuple[str, ...]
    files: tuple[str, ...]
    entries: tuple[int, ...]
    """Indices of the symbols that a call may reach: what the plugin is told of."""
    faults: tuple[int, ...] = ()
    """Instructions that may fault: what runs up to the next one is counted as one. Empty: any."""

    def at(self, addresses: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The index of the function of each address; -1 outside the kernel's image."""
        found = np.searchsorted(self.starts, addresses, side="right").astype(np.int64) - 1
        # The last symbol marks the end of the text.
        found[found == len(self.starts) - 1] = -1
        return found

    def entry(self, number: int) -> int:
        """The function that the plugin knows by a number; -1 for one that it does not know."""
        return self.entries[number] if number < len(self.entries) else -1

    @cached_property
    def file_of(self) -> dict[str, str]:
        """Function to file; of several of a name the first."""
        pairs = list(zip(self.names, self.files, strict=True))
        return {name: file for name, file in reversed(pairs) if file}

    def write_entries(self, path: Path) -> None:
        """The table that the plugin reads."""
        path.write_bytes(b"".join(
            ENTRY.pack(int(self.starts[i]), kind_of(self.symbols[i]), 0) for i in self.entries
        ) + b"".join(ENTRY.pack(address, FAULTS, 0) for address in self.faults))


def load(system_map: Path, vmlinux: Path | None = None) -> Symbols:
    """The functions of a build; with ``vmlinux`` their files as well.

    Raises :class:`InfrastructureError` for a System.map that holds no functions.
    """
    text: dict[int, list[str]] = {}
    try:
        lines = system_map.read_text().splitlines()
    except OSError as error:
        raise InfrastructureError(f"{system_map} cannot be read: {error.strerror}") from error
    end = 0
    for line in lines:
        words = line.split()
        if len(words) != 3 or words[1] not in _TEXT:
            continue
        address = int(words[0], 16)
        if address < KERNEL_START:
            continue
        if words[2] in ("_etext", "_einittext", "__end_of_kernel_reserve"):
            end = max(end, address)
        if not _MARKERS.match(words[2]):
            text.setdefault(address, []).append(words[2])
    if not text:
        raise InfrastructureError(f"{system_map} names no functions")
    starts = sorted(text)
    symbols = [min(text[start], key=_plainness) for start in starts]
    files = local_files(vmlinux) if vmlinux and vmlinux.exists() else {}
    named = [files.get(start, "") for start in starts]
    names = _distinct([canonical(symbol) for symbol in symbols], named, symbols)
    starts.append(max(end, starts[-1] + 16))
    return Symbols(
        np.array(starts, np.uint64), (*symbols, ""), (*names, OUTSIDE), (*named, ""),
        tuple(i for i, symbol in enumerate(symbols) if ".cold" not in symbol),
        tuple(expected_faults(vmlinux)) if vmlinux and vmlinux.exists() else (),
    )


def _plainness(name: str) -> tuple[bool, int, int, str]:
    """Of several names of one address the one that people know."""
    alias = name.startswith(("__ia32_", "__ksymtab", "__cfi", "__x86_sys"))
    return alias, name.count("."), len(name) - len(name.lstrip("_")), name


def _distinct(names: list[str], files: list[str], symbols: list[str]) -> list[str]:
    """Names that mean one function each: static ones that share one get their file's."""
    whole = Counter(
        name for name, symbol in zip(names, symbols, strict=True) if ".cold" not in symbol
    )
    by_name: dict[str, set[str]] = {}
    for name, file in zip(names, files, strict=True):
        by_name.setdefault(name, set()).add(file)
    return [
        f"{name} ({Path(file).name})" if file and whole[name] > 1 and len(by_name[name]) > 1
        else name
        for name, file in zip(names, files, strict=True)
    ]
