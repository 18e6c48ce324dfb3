"""Everything about a loaded run that its reader must know before the numbers."""

from __future__ import annotations

import json
import re
from collections import Counter

from harness.records.old_runs import HostState
from harness.report.data import planned as plan
from harness.report.data.identity import plural
from harness.report.data.rundata import LoadedRun, RunData

LEAST_BOOTS = 2
MOST_LINES = 6  # of one kind of warning


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
    # A boot that somebody interrupted and --resume did again is nobody's trouble.
    mended = {boot for boot, last in records.items() if last.status == "ok"}
    died = Counter(
        (r.variant, r.status) for r in run.boots
        if r.status != "ok" and not (r.status == "interrupted" and r.boot in mended)
    )
    for (variant, status), count in died.items():
        where = next(r for r in run.boots if (r.variant, r.status) == (variant, status))
        what = where.crash.kind if where.crash else where.error.split("\n")[0]
        found.append(
            f"Run {run.name}: {plural(count, 'boot')} of '{variant}' {status}"
            + (f" ({what})" if what else "") + "."
        )  # fmt: skip
    begun_again = Counter(r.variant for r in run.boots for _ in r.false_starts)
    for variant, count in begun_again.items():
        found.append(
            f"Run {run.name}: {plural(count, 'boot')} of '{variant}' came to nothing and "
            f"{'was' if count == 1 else 'were'} begun again (of "
            f"{sum(r.variant == variant for r in run.boots)}); if it is not QEMU's doing, the "
            "kernel hangs at boot."
        )
    unknown = set(run.raw["boot"].unique()) - set(records)
    if unknown:
        found.append(
            f"Run {run.name}: {plural(len(unknown), 'boot')} without a record (the harness was "
            "killed); its finished cells count."
        )
    absent = set(range(len(plan.order(run.run.plan)))) - set(records) - unknown
    if absent:
        found.append(f"Run {run.name}: {plural(len(absent), 'planned boot')} did not take place.")
    if run.run.status != "complete":
        found.append(f"Run {run.name} is not complete: its status is '{run.run.status}'.")
    return found


def _host(run: LoadedRun) -> list[str]:
    """Boots whose time was spoilt by the host; counting instructions does not mind."""
    timed = [r for r in run.boots if r.accel != "icount"]
    if not timed:
        return []
    if not any(r.host.others_pct is not None for r in timed):
        return _load(run)
    spoilt = {r.boot: r.host.troubles() for r in timed if r.host.troubles()}
    if not spoilt:
        return []
    worst = HostState(
        others_pct=max((r.host.others_pct or 0.0 for r in timed), default=0.0),
        steal_pct=max((r.host.steal_pct or 0.0 for r in timed), default=0.0),
        mhz=[mhz for r in timed for mhz in r.host.mhz],
    )
    return [
        f"Run {run.name}: {'; '.join(worst.troubles())}, at worst ({len(spoilt)} of "
        f"{plural(len(timed), 'boot')} spoilt): wall-clock figures may be useless."
    ]


def _load(run: LoadedRun) -> list[str]:
    """A host that was busy with more than our own guest when a boot began (older records)."""
    cores = run.run.host.get("cores")
    smp = run.run.plan.get("smp", 0)
    if not isinstance(cores, int) or not isinstance(smp, int):
        return []
    limit = smp + cores / 2
    busy = [r.host_load[0] for r in run.boots if r.host_load and r.host_load[0] > limit]
    if not busy:
        return []
    return [
        f"Run {run.name}: the host was busy (load up to {max(busy):.1f} on {plural(cores, 'core')})"
        f" at {plural(len(busy), 'boot')}; wall-clock figures may be useless."
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
    thp = {
        str(boot.guest["thp"]) for run in data.runs for boot in run.boots if boot.guest.get("thp")
    }
    wrong = sorted(mode for mode in thp if _thp_mode(mode) != "never")
    if wrong:
        modes = ", ".join(wrong)
        found.append(f"THP was not 'never' in every guest ({modes}): it hides the effect.")
    return found


def _meant(data: RunData, accels: list[str]) -> bool:
    """Whether both accels were planned in each run: two clocks, one that counts."""
    return len(accels) == 2 and "icount" in accels and all(
        len({cell.accel for cell in plan.cells(run.run.plan)}) == 2 for run in data.runs
    )


def _thp_mode(text: str) -> str:
    """The chosen mode of ``always madvise [never]``, or the text itself."""
    chosen = re.search(r"\[(\w+)\]", text)
    return chosen[1] if chosen else text.strip()


def _missing_cells(run: LoadedRun, data: RunData) -> list[str]:
    """Planned cells without a single result, per variant."""
    results = data.results
    mine = results[results["run"] == run.name]
    measured: dict[str, list[tuple[str, str, dict[str, object]]]] = {}
    columns = mine[["variant", "accel", "workload", "params"]].drop_duplicates()
    for variant, accel, workload, params in columns.itertuples(index=False):
        found = measured.setdefault(variant.split("@")[0], [])
        found.append((accel, workload, json.loads(params)))
    missing: dict[str, list[str]] = {}
    for variant in plan.variants(run.run.plan):
        for cell in plan.cells(run.run.plan):
            if not any(
                cell.counted_as(accel) and cell.covers(workload, params)
                for accel, workload, params in measured.get(variant, [])
            ):
                text = f"{cell.workload} {plan.describe(cell.params)}"
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
    present = [variant for variant in data.variants if (results["variant"] == variant).any()]
    if len(present) == 1:
        found.append(f"Only '{present[0]}' was measured: there is nothing to compare it with.")
    for variant in (name for name in present if name not in data.controls):
        mine = results[results["variant"] == variant]
        boots = mine.groupby("accel", sort=False)[["run", "boot"]]
        few = [str(accel) for accel, of_accel in boots
               if len(of_accel.drop_duplicates()) < LEAST_BOOTS]  # fmt: skip
        if few:
            under = "" if len(few) == len(boots) else f" under {', '.join(few)}"
            found.append(f"One boot only of '{variant}'{under}: its spread is unknown.")
    return found
