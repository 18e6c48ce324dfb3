"""What the numbers were made with: runs, variants, boots and crashes as tables."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from harness.records.old_runs import BOOTS_FILE, RUN_FILE, SAMPLES_FILE, BootRecord
from harness.report.data import planned as plan
from harness.report.data.identity import plural
from harness.report.data.rundata import LoadedRun, RunData
from harness.report.pages import words
from harness.report.pages.view import Table, clean

PLAN_LISTS = ("cells", "workloads", "blocks", "order", "repeats")  # shown in rows of their own


@dataclass
class CrashView:
    """A crash as it is shown: where it happened and the console's text."""

    heading: str
    text: str
    console: str


def run_table(run: LoadedRun) -> Table:
    """Harness, plan, accel, QEMU, host and image of a run."""
    record = run.run
    harness = record.harness
    revision = harness.get("git") or harness.get("revision", "?")
    dirty = " (with uncommitted changes)" if harness.get("dirty") else ""
    facts = [
        ("status", record.status),
        ("started, finished", f"{record.started or '?'}, {record.finished or '?'}"),
        ("harness", f"{harness.get('version', '?')}, git {revision}{dirty}"),
        *(("accel", _accel(accel)) for accel in record.accels or [record.accel]),
        ("QEMU", _flat(record.qemu)),
        ("host", _flat(record.host)),
        ("image", _flat(record.image)),
        ("plan", _flat({k: v for k, v in record.plan.items() if k not in PLAN_LISTS})),
        ("order of boots", ", ".join(plan.order(record.plan))),
        ("done again", ", ".join(f"boot {one} is boot {other} again"
                                 for one, other in plan.repeats_of(record.plan).items())),
        ("cells", "; ".join(_cell(cell) for cell in plan.cells(record.plan))),
        *((f"guest {key}", text) for key in ("uname", "cmdline") for text in _guests(run, key)),
    ]  # fmt: skip
    rows = [[name, value] for name, value in facts if value]
    return Table(f"Run {run.name}", ["what", "value"], rows)


def _cell(cell: plan.Cell) -> str:
    where = f", {words.SHORT_ACCELS.get(cell.accel, cell.accel)}" if cell.accel else ""
    return f"{cell.workload} {plan.describe(cell.params)} (x {cell.repeat}{where})"


def _guests(run: LoadedRun, key: str) -> list[str]:
    """What the guests said of themselves, each text once."""
    said = [clean(str(record.guest[key])) for record in run.boots if record.guest.get(key)]
    return list(dict.fromkeys(said))


def _accel(accel: dict[str, Any]) -> str:
    name, reason = str(accel.get("name", "")), str(accel.get("reason", ""))
    label = words.ACCELS.get(name, name)
    return f"{label}: {reason}" if reason else label


def _flat(value: Any) -> str:
    """A nested value on one line."""
    if isinstance(value, dict):
        parts = [f"{key} {_flat(v)}" for key, v in value.items() if v not in ("", None, [], {})]
        return "; ".join(parts)
    if isinstance(value, list):
        return ", ".join(f"({_flat(v)})" if isinstance(v, dict) else _flat(v) for v in value)
    return clean(str(value))


def variant_table(run: LoadedRun) -> Table:
    """Kernel release, config digest, patches and compiler of each variant; None known: no rows."""
    columns = ["variant", "base", "release", "config digest", "patches", "compiler", "build"]
    rows = []
    for name, meta in run.run.variants.items():
        rows.append([
            name, _flat(meta.get("base", "")), str(meta.get("release", "?")),
            str(meta.get("config_digest", "?"))[:16], _patches(meta.get("patches")),
            _flat(meta.get("compiler", "?")), str(meta.get("key", "?")),
        ])  # fmt: skip
    return Table(f"Kernels of run {run.name}", columns, rows)


def _patches(patches: Any) -> str:
    if not isinstance(patches, list) or not patches:
        return "none"
    return ", ".join(
        f"{p.get('name', '?')} {str(p.get('sha256') or p.get('digest') or '')[:12]}".strip()
        if isinstance(p, dict) else str(p) for p in patches
    )  # fmt: skip


def boot_table(run: LoadedRun) -> Table:
    """Every boot and attempt, in the order of time."""
    columns = ["boot", "variant", "accel", "status", "started", "ready after (s)",
               "load\nat start, highest", "others, steal\n% of CPU time", "MHz",
               "vCPUs pinned to", "THP"]  # fmt: skip
    rows = [_boot(record) for record in run.boots]
    return Table(f"Boots of run {run.name}", columns, rows, numeric={5, 6, 7, 8})


def _boot(record: BootRecord) -> list[str]:
    ready = record.seconds_to_ready
    host = record.host
    loads = [*record.host_load[:1], *([] if host.load is None else [host.load])]
    taken = [x for x in (host.others_pct, host.steal_pct) if x is not None]
    return [
        str(record.boot), record.variant, words.SHORT_ACCELS.get(record.accel, record.accel),
        _status(record), record.started, "-" if ready is None else f"{ready:.1f}",
        ", ".join(f"{load:.1f}" for load in loads) or "-",
        ", ".join(f"{percent:.1f}" for percent in taken) or "-",
        " to ".join(dict.fromkeys(f"{mhz:.0f}" for mhz in host.mhz)) or "-",
        ", ".join(map(str, host.pinned)) or "-",
        clean(str(record.guest.get("thp", "-"))),
    ]  # fmt: skip


def _status(record: BootRecord) -> str:
    """How it ended, and how often it had been begun before."""
    if not record.false_starts:
        return record.status
    return f"{record.status}, after {plural(len(record.false_starts), 'false start')}"


def crashes(data: RunData) -> list[CrashView]:
    """Every crash, failure and interruption with the text that explains it."""
    found = []
    for run in data.runs:
        for record in run.boots:
            if record.status == "ok" and record.crash is None:
                continue
            crash = record.crash
            kind = crash.kind if crash else record.status
            where = ""
            if crash and crash.workload:
                where = f" during {crash.workload} {plan.describe(crash.params)}".rstrip()
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
        for name in [RUN_FILE, SAMPLES_FILE, BOOTS_FILE, *dict.fromkeys(consoles)]:
            path = run.directory / name
            if path.exists():
                target = os.path.relpath(path.resolve(), directory.resolve())
                label = name if len(data.runs) == 1 else f"{run.name}/{name}"
                found.append((label, quote(target)))
    return found
