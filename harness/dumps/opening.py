"""A dump opened by drgn, with what our kernels lack made up for.

A kernel without CONFIG_DEBUG_INFO has symbols, which name functions, and ORC tables, by which drgn
walks stacks; what is missing are types. They come from one object file, compiled with debugging
information from the same tree and configuration (:mod:`harness.kernel.build.typesobject`). What a
crash kernel would say of itself (VMCOREINFO) follows from the symbols, because guests boot with
``nokaslr``. A kernel with debugging information of its own needs none of this but the latter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import UserError
from harness.dumps import vmcore

HINT = "pip install 'pte-harness[dumps]'"
TYPES_MODULE = "harness-types"
VARIABLES: Mapping[str, str] = {
    "init_task": "struct task_struct", "init_pid_ns": "struct pid_namespace",
    "init_mm": "struct mm_struct", "init_uts_ns": "struct uts_namespace",
    "runqueues": "struct rq", "current_task": "struct task_struct *",
    "pcpu_hot": "struct pcpu_hot", "panic_cpu": "atomic_t", "nr_cpu_ids": "unsigned int",
    "__per_cpu_offset": "unsigned long [64]", "__cpu_online_mask": "struct cpumask",
    "__cpu_possible_mask": "struct cpumask", "__cpu_present_mask": "struct cpumask",
    "vmemmap_base": "unsigned long", "page_offset_base": "unsigned long",
    "vmalloc_base": "unsigned long", "jiffies": "unsigned long",
}
"""What drgn's helpers look for, by its type; debugging information of a kernel would say it."""


@dataclass(frozen=True)
class DumpFiles:
    """A dump and what it is read with."""

    vmcore: Path
    vmlinux: Path
    """Of the build that the guest ran; System.map lies beside it."""
    types: Path | None = None
    """An object file whose debugging information has the kernel's types."""
    release: str = ""
    """The kernel's."""


def require_drgn() -> None:
    """Raise :class:`UserError` where drgn is not installed."""
    try:
        import drgn  # noqa: F401, PLC0415
    except ImportError:
        raise UserError("a dump is read by drgn, which is not installed", hint=HINT) from None


def load_symbols(system_map: Path) -> dict[str, int]:
    """Address of every symbol of a kernel."""
    rows = (line.split() for line in system_map.read_text().splitlines())
    return {row[2]: int(row[0], 16) for row in rows if len(row) == 3}


def vmcoreinfo(symbols: Mapping[str, int], release: str, build_id: str, levels: int) -> str:
    """What a kernel that was not moved would say of itself, as far as drgn asks.

    Raises :class:`UserError` for symbols that are not a kernel's for x86-64.
    """
    pgd = symbols.get("init_top_pgt", symbols.get("swapper_pg_dir"))
    if pgd is None or "_stext" not in symbols:
        raise UserError("the symbols of the build are not those of a kernel for x86-64")
    rows = [
        f"OSRELEASE={release}", *([f"BUILD-ID={build_id}"] if build_id else []), "PAGESIZE=4096",
        f"SYMBOL(_stext)={symbols['_stext']:x}", f"SYMBOL(swapper_pg_dir)={pgd:x}",
        "NUMBER(phys_base)=0", f"NUMBER(pgtable_l5_enabled)={int(levels == 5)}", "KERNELOFFSET=0",
        "LENGTH(mem_section)=2048",  # drgn reads physical memory by it and nothing else
    ]
    return "\n".join(rows) + "\n"


def open_dump(files: DumpFiles) -> Any:
    """The :class:`drgn.Program` of a dump.

    Raises :class:`UserError` where drgn or a file is missing.
    """
    require_drgn()
    import drgn  # noqa: PLC0415

    for path in (files.vmcore, files.vmlinux, *([files.types] if files.types else [])):
        if not path.is_file():
            raise UserError(f"there is no {path}", hint="build that kernel again, or dump again")
    symbols = load_symbols(files.vmlinux.with_name("System.map"))
    states = vmcore.cpus(files.vmcore)
    levels = states[0].levels if states else 4
    if states:
        info = vmcoreinfo(symbols, files.release, _build_id(files.vmlinux), levels)
        program = drgn.Program(vmcoreinfo=info.encode())
    else:  # a crash kernel's dump, which says itself where the kernel was
        program = drgn.Program()
    program.set_core_dump(str(files.vmcore))
    main = program.main_module("kernel", create=True)
    main.try_file(str(files.vmlinux), force=True)
    if main.debug_file_status != drgn.ModuleFileStatus.HAVE:
        main.loaded_file_status = drgn.ModuleFileStatus.WANT
        main.try_file(str(files.vmlinux), force=True)
        if files.types is not None:
            extra = program.extra_module(TYPES_MODULE, create=True)
            extra.try_file(str(files.types), force=True)
            _name_variables(program, symbols)
    return program


def _name_variables(program: Any, symbols: Mapping[str, int]) -> None:
    """Have drgn find variables by symbol and our table of types."""
    import drgn  # noqa: PLC0415

    def find(prog: Any, name: str, flags: object, filename: str | None) -> Any:
        del flags, filename
        if name not in VARIABLES or name not in symbols:
            return None
        try:
            return drgn.Object(prog, VARIABLES[name], address=symbols[name])
        except LookupError:  # this kernel has no such type
            return None

    program.register_object_finder("harness-symbols", find, enable_index=0)


def _build_id(vmlinux: Path) -> str:
    """The build ID of an ELF file in hexadecimal; empty when it has none."""
    import drgn  # noqa: PLC0415

    probe = drgn.Program()
    module = probe.extra_module(str(vmlinux), create=True)
    module.loaded_file_status = drgn.ModuleFileStatus.WANT
    module.try_file(str(vmlinux), force=True)
    return (module.build_id or b"").hex()
