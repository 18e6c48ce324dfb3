"""Everything about loaded runs that their reader must know before the numbers."""

from __future__ import annotations

import json
import re
from collections import Counter

from harness.records.hosts import HostState
from harness.records.record import Params
from harness.report.analysis import words
from harness.report.data.identity import plural
from harness.report.data.rundata import LoadedRun, RunData, describe

LEAST_BOOTS = 2
MOST_LINES = 6  # of one kind of warning
QUIETER = "Measure again on a quiet host, or count instructions (--accel icount)."


def check(data: RunData) -> list[str]:
    """Warnings in order of weight."""
    found: list[str] = []
    for run in data.runs:
        found += _boots(run)
        found += _host(run)
    found += _mixed(data)
    for run in data.runs:
        found += _missing_cells(run, data)
    found += _few(data)
    return found


def _boots(run: LoadedRun) -> list[str]:
    """Crashes, failed boots, boots without a record, a run that did not end."""
    found = []
    records = run.last_records()
    troubled = run.troubled()
    died = Counter((r.variant, r.status) for r in troubled)
    for (variant, status), count in died.items():
        where = next(r for r in troubled if (r.variant, r.status) == (variant, status))
        what = where.crash.kind if where.crash else where.error.split("\n")[0]
        found.append(
            f"Run {run.name}: {plural(count, 'boot')} of '{variant}' {status}"
            + (f" ({what})" if what else "") + "."
        )
    begun_again = Counter(r.variant for r in run.boots for _ in r.false_starts)
    for variant, count in begun_again.items():
        found.append(
            f"Run {run.name}: {plural(count, 'boot')} of '{variant}' stood still at the "
            f"start and {'was' if count == 1 else 'were'} repeated (of "
            f"{sum(r.variant == variant for r in run.boots)}). QEMU does so now and then under "
            "emulation; when it happens to one variant only, its kernel may hang at boot."
        )
    unknown = set(run.raw["boot"].unique()) - set(records)
    if unknown:
        found.append(
            f"Run {run.name}: {plural(len(unknown), 'boot')} without a record (the harness was "
            "killed); its finished cells count."
        )
    absent = {boot.index for boot in run.plan.boots} - set(records) - unknown
    if absent:
        found.append(f"Run {run.name}: {plural(len(absent), 'planned boot')} did not take place.")
    return found + _unended(run)


def _unended(run: LoadedRun) -> list[str]:
    if run.run.status == "complete":
        return []
    if run.interrupted:
        return [
            f"Run {run.name} was interrupted: it never recorded its end, and the process that "
            f"conducted it is gone. `{run.plan.resuming(str(run.directory))}` goes on with it."
        ]
    texts = {
        "running": "is still going on: what follows is what there is so far.",
        "interrupted": "was interrupted; "
                       f"`{run.plan.resuming(str(run.directory))}` goes on with it.",
        "crashed": "ended with a crash of a guest.",
        "failed": "failed: it did not measure all that it was to measure.",
    }
    return [f"Run {run.name} {texts[run.run.status]}"]


def _host(run: LoadedRun) -> list[str]:
    """Boots whose time was spoilt by the host; counting instructions does not mind."""
    timed = [r for r in run.boots if r.accel != "icount"]
    if not timed:
        return []
    if not any(r.host.others_pct is not None for r in timed):
        return _load(run)
    spoilt = {r.boot for r in timed if r.host.troubles()}
    if not spoilt:
        return []
    worst = HostState(
        others_pct=max((r.host.others_pct or 0.0 for r in timed), default=0.0),
        steal_pct=max((r.host.steal_pct or 0.0 for r in timed), default=0.0),
        mhz=[mhz for r in timed for mhz in r.host.mhz],
    )
    return [
        f"Run {run.name}: {'; '.join(worst.troubles())}, at worst ({len(spoilt)} of "
        f"{plural(len(timed), 'boot')} spoilt): wall-clock figures may be useless. {QUIETER}"
    ]


def _load(run: LoadedRun) -> list[str]:
    """A host that was busy with more than our own guest when a boot began."""
    cores = run.run.host.cores
    limit = run.plan.smp + cores / 2
    busy = [r.host_load[0] for r in run.boots if r.host_load and r.host_load[0] > limit]
    if not busy or not cores or not run.plan.smp:
        return []
    return [
        f"Run {run.name}: the host was busy (load up to {max(busy):.1f} on {plural(cores, 'core')})"
        f" at {plural(len(busy), 'boot')}; wall-clock figures may be useless. {QUIETER}"
    ]


def _mixed(data: RunData) -> list[str]:
    found = []
    for column, what, end in (
        ("accel", "accels", "they stand in separate tables and are never compared."),
        ("base", "bases", "figures of different bases are not compared."),
        ("machine", "hosts", "figures of different hosts are not compared."),
    ):
        kinds = sorted(str(kind) or "unknown" for kind in data.samples[column].unique())
        if len(kinds) > 1 and not (column == "accel" and _meant(data, kinds)):
            found.append(f"The samples come from {len(kinds)} {what} ({', '.join(kinds)}): {end}")
    return found + _huge_pages(data)


def _huge_pages(data: RunData) -> list[str]:
    """Guests whose huge pages were switched otherwise than the plan's cells ask for."""
    wanted = {cell.thp for run in data.runs for cell in run.plan.cells}
    if len(wanted) != 1 or "as booted" in wanted:
        return []
    policy = next(iter(wanted))
    modes = {boot.state.thp for run in data.runs for boot in run.boots if boot.state.thp}
    wrong = sorted(mode for mode in modes if _thp_mode(mode) not in (policy, "absent"))
    if not wrong:
        return []
    return [
        f"Transparent huge pages were not '{policy}' in every guest ({', '.join(wrong)}), as the "
        "plan asks. They decide how many page tables there are: do not use its figures of memory."
    ]


def _meant(data: RunData, accels: list[str]) -> bool:
    """Whether both accels were planned in each run: two clocks, one that counts."""
    return len(accels) == 2 and "icount" in accels and all(
        len({cell.accel for cell in run.plan.cells}) == 2 for run in data.runs
    )


def _thp_mode(text: str) -> str:
    """The chosen mode of ``always madvise [never]``, or the text itself."""
    chosen = re.search(r"\[(\w+)\]", text)
    return chosen[1] if chosen else text.strip()


def _missing_cells(run: LoadedRun, data: RunData) -> list[str]:
    """Planned cells without a single result, per variant."""
    results = data.results
    mine = results[results["run"] == run.name]
    seen: dict[str, list[tuple[str, str, Params]]] = {}
    columns = mine[["column", "accel", "workload", "params"]].drop_duplicates()
    for column, accel, workload, params in columns.itertuples(index=False):
        variant = data.columns[column].variant
        seen.setdefault(variant, []).append((accel, workload, json.loads(params)))
    missing: dict[str, list[str]] = {}
    for variant in run.plan.variants:
        for cell in run.plan.cells:
            if not any(
                workload == cell.workload and (accel == "icount") == (cell.accel == "icount")
                and all(params.get(key) == value for key, value in cell.params.items())
                for accel, workload, params in seen.get(variant, [])
            ):
                text = cell.label or f"{cell.workload} {describe(cell.params)}"
                text += f" ({words.short_accel(cell.accel)})" if cell.accel == "icount" else ""
                missing.setdefault(text, []).append(variant)
    lines = [
        f"Run {run.name}: no result for {cell} of {', '.join(variants)}."
        for cell, variants in missing.items()
    ]
    if len(lines) <= MOST_LINES:
        return lines
    more = plural(len(lines) - MOST_LINES, "more cell")
    return [*lines[:MOST_LINES], f"Run {run.name}: nor for {more}."]


def _few(data: RunData) -> list[str]:
    """No samples, one variant, one boot: what the run cannot tell by its size."""
    results = data.results
    if results.empty:
        return ["There is no finished measurement at all."]
    found = []
    present = [
        (index, column) for index, column in enumerate(data.columns)
        if (results["column"] == index).any()
    ]
    if len(present) == 1:
        only = present[0][1].label
        found.append(f"Only '{only}' was measured: there is nothing to compare it with.")
    for index, column in present:
        if column.control:
            continue
        mine = results[results["column"] == index]
        boots = mine.groupby("accel", sort=False)[["run", "boot"]]
        few = [str(accel) for accel, of_accel in boots
               if len(of_accel.drop_duplicates()) < LEAST_BOOTS]
        if few:
            under = "" if len(few) == len(boots) else f" under {', '.join(few)}"
            found.append(f"One boot only of '{column.label}'{under}: its spread is unknown.")
    return found
