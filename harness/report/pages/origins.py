"""What the numbers were made with: runs, kernels, boots and crashes as tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from harness.records.boots import BootRecord
from harness.records.kernels import Kernel
from harness.records.plans import Cell, PlannedBoot
from harness.records.store import BOOTS_FILE, PROFILES_FILE, RUN_FILE, SAMPLES_FILE
from harness.report.analysis import words
from harness.report.data.identity import plural
from harness.report.data.rundata import LoadedRun, RunData, describe
from harness.report.pages.tabular import Table, clean


@dataclass(frozen=True)
class CrashView:
    """A crash as it is shown: where it happened and the console's text."""

    heading: str
    text: str
    console: str


def run_table(run: LoadedRun) -> Table:
    """Harness, plan, accels, emulator, host and image of a run."""
    record, plan = run.run, run.plan
    harness = record.harness
    dirty = " (with uncommitted changes)" if harness.dirty else ""
    revision = f", git {harness.git}" if harness.git else ""
    memory = f", {record.host.memory_kb / (1 << 20):.1f} GiB" if record.host.memory_kb else ""
    kernel = f", Linux {record.host.kernel}" if record.host.kernel else ""
    status = "interrupted (its process is gone)" if run.interrupted else record.status
    options = {
        "profile": plan.profile, "accel": plan.accel, "machine": plan.machine,
        "vCPUs": str(plan.smp or ""), "memory": plan.memory, "cmdline": plan.cmdline,
    }
    again = [f"boot {boot.index} is boot {boot.again} again" for boot in plan.boots
             if boot.again is not None]
    facts = [
        ("status", status),
        ("started, finished", f"{record.started or '?'}, {record.finished or '?'}"),
        ("harness", f"{harness.version or '?'}{revision}{dirty}"),
        *(("accel", f"{words.ACCELS.get(one.name, one.name)}: {one.reason}".rstrip(": "))
          for one in record.accels),
        ("emulator", f"{record.emulator.binary} {record.emulator.version}".strip()),
        ("host" if not record.hosts else "conducted from",
         f"{record.host.label}{memory}{kernel}"),
        *(("host of the fleet", f"{name}: {one.host.label}, Linux {one.host.kernel}, "
           f"{one.emulator.binary} {one.emulator.version}".strip())
          for name, one in record.hosts.items()),
        ("image", f"{record.image.key}, {record.image.suite}, "
                  f"{plural(len(record.image.packages), 'package')}" if record.image else ""),
        *(("trees were mended", text) for text in _mended(record.kernels)),
        ("plan", "; ".join(f"{key} {value}" for key, value in options.items() if value)),
        ("order of boots", ", ".join(_planned(boot) for boot in plan.boots)),
        ("done again", ", ".join(again)),
        ("cells", "; ".join(_cell(cell) for cell in plan.cells)),
        *(("guest's uname", text) for text in _each(boot.state.uname for boot in run.boots)),
        *(("guest's command line", text)
          for text in _each(boot.state.cmdline for boot in run.boots)),
    ]
    return Table(f"Run {run.name}", ["what", "value"],
                 [[name, clean(value)] for name, value in facts if value])


def _planned(boot: PlannedBoot) -> str:
    """``base``, ``base (layout 1, control)``."""
    marks = [*([f"layout {boot.layout}"] if boot.layout else []),
             *(["control"] if boot.control else [])]
    return boot.variant + (f" ({', '.join(marks)})" if marks else "")


def _cell(cell: Cell) -> str:
    where = "" if cell.accel == "auto" else f", {words.short_accel(cell.accel)}"
    return f"{cell.workload} {describe(cell.params)} (x {cell.repeat}{where})"


def _mended(kernels: Mapping[str, Kernel]) -> list[str]:
    """The compat rules that held, each with its reason and the variants it held for."""
    held: dict[str, list[str]] = {}
    for variant, kernel in kernels.items():
        for rule in kernel.compat:
            held.setdefault(f"{rule.name}: {rule.reason}", []).append(variant)
    return [f"{rule} ({', '.join(variants)})" for rule, variants in held.items()]


def _each(texts: Iterable[str]) -> list[str]:
    """What guests said of themselves, each text once."""
    return list(dict.fromkeys(clean(text) for text in texts if text))


def kernel_table(run: LoadedRun) -> Table:
    """Kernel release, config digest, patches and compiler of each variant; none known: no rows."""
    columns = ["variant", "base", "release", "config digest", "patches", "compiler", "build"]
    rows = [
        [_built(kernel), kernel.base, kernel.release, kernel.config_digest[:16] or "?",
         _patches(kernel), kernel.compiler or "?", kernel.key]
        for kernel in (*run.run.kernels.values(), *run.run.other_layouts)
    ]
    return Table(f"Kernels of run {run.name}", columns, rows)


def _built(kernel: Kernel) -> str:
    """The variant, and of another layout its number and what was put between objects."""
    layout = kernel.layout
    if not layout.number:
        return kernel.variant
    gaps = f"{layout.gap_bytes:,} bytes before {plural(layout.objects, 'object')}"
    return f"{kernel.variant}, layout {layout.number} ({gaps})"


def _patches(kernel: Kernel) -> str:
    return ", ".join(
        f"{patch.name} {patch.sha256[:12]}" + (" (compat)" if patch.kind == "compat" else "")
        for patch in kernel.patches
    ) or "none"


def boot_table(run: LoadedRun) -> Table:
    """Every boot and attempt, in the order of time."""
    columns = ["boot", "variant", "accel", "status", "started", "ready after (s)",
               "load\nat start, highest", "others, steal\n% of CPU time", "MHz",
               "vCPUs pinned to", "huge pages"]
    rows = [_boot(record) for record in run.boots]
    if len(run.run.hosts) > 1:
        columns.append("host")
        rows = [
            [*row, record.ran_on or "-"] for row, record in zip(rows, run.boots, strict=True)
        ]
    return Table(f"Boots of run {run.name}", columns, rows, numeric=frozenset({5, 6, 7, 8}))


def _boot(record: BootRecord) -> list[str]:
    ready, host = record.seconds_to_ready, record.host
    loads = [*record.host_load[:1], *([] if host.load is None else [host.load])]
    taken = [x for x in (host.others_pct, host.steal_pct) if x is not None]
    return [
        str(record.boot), _booted(record),
        words.short_accel(record.accel), _status(record), record.started,
        "-" if ready is None else f"{ready:.1f}",
        ", ".join(f"{load:.1f}" for load in loads) or "-",
        ", ".join(f"{percent:.1f}" for percent in taken) or "-",
        " to ".join(dict.fromkeys(f"{mhz:.0f}" for mhz in host.mhz)) or "-",
        ", ".join(map(str, host.pinned)) or "-", clean(record.state.thp) or "-",
    ]


def _booted(record: BootRecord) -> str:
    layout = f", layout {record.layout}" if record.layout else ""
    return f"{record.variant}{layout}{' (control)' if record.control else ''}"


def _status(record: BootRecord) -> str:
    """How it ended, and how often it had been begun before."""
    if not record.false_starts:
        return record.status
    return f"{record.status}, after {plural(len(record.false_starts), 'false start')}"


def crashes(data: RunData) -> list[CrashView]:
    """Every crash, failure and interruption that was not made good, with what explains it."""
    found = []
    for run in data.runs:
        troubled = {id(record) for record in run.troubled()}
        for record in run.boots:
            if id(record) not in troubled and record.crash is None:
                continue
            crash = record.crash
            kind = crash.kind if crash else record.status
            where = ""
            if crash and crash.workload:
                where = f" during {crash.workload} {describe(crash.params)}".rstrip()
            text = clean((crash.text if crash else record.error) or "no text was recorded")
            heading = f"Run {run.name}, boot {record.boot}, {record.variant}: {kind}{where}"
            found.append(CrashView(heading, text.strip(), record.console))
    return found


def raw_links(data: RunData, directory: Path) -> list[tuple[str, str]]:
    """(label, relative URL) of each raw file that exists, seen from ``directory``."""
    found = []
    for run in data.runs:
        consoles = [
            name for record in run.boots
            for name in (record.console, *(start.console for start in record.false_starts)) if name
        ]
        files = (RUN_FILE, SAMPLES_FILE, BOOTS_FILE, PROFILES_FILE, "explain/explain.txt")
        for name in [*files, *dict.fromkeys(consoles)]:
            path = run.directory / name
            if path.exists():
                target = os.path.relpath(path.resolve(), directory.resolve())
                label = name if len(data.runs) == 1 else f"{run.name}/{name}"
                found.append((label, quote(target)))
    return found
