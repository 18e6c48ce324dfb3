"""A run's files as pandas frames, with every damage said in words.

Nothing here raises for a run that is merely incomplete: what is missing, torn
or mixed becomes a line of the data's warnings, shown on top of every output.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from harness.core.errors import UserError
from harness.records.old_runs import RUN_FILE, SAMPLES_FILE, Run, iter_samples, load_boots, load_run
from harness.report.analysis import checks
from harness.report.data import planned as plan
from harness.report.data import tested as stability
from harness.report.data.identity import Identity, identify, plural
from harness.report.data.rundata import COLUMNS, RAW, LoadedRun, RunData


def load(directories: list[Path]) -> RunData:
    """Read runs (one, or several to be merged), and what stability runs among them found.

    Raises :class:`UserError` only when a directory is no run at all.
    """
    tested = [directory for directory in directories if stability.is_run(directory)]
    directories = [directory for directory in directories if directory not in tested]
    if not directories:
        raise UserError("no run to report on", hint="name a directory made by `harness bench`")
    warnings: list[str] = []
    runs = _read_all(directories, warnings)
    identity = identify([(run.name, run.run, list(run.raw["variant"].unique())) for run in runs])
    frames = [_frame(run, identity, warnings) for run in runs]
    filled = [frame for frame in frames if not frame.empty]
    samples = pd.concat(filled, ignore_index=True) if filled else _empty()
    data = RunData(
        runs, samples, identity.variants, warnings, identity.controls, _accels(runs, samples),
        stability.sentences(tested),
    )
    warnings += identity.warnings
    warnings += checks.check(data)
    return data


def _read_all(directories: list[Path], warnings: list[str]) -> list[LoadedRun]:
    runs: list[LoadedRun] = []
    seen: set[Path] = set()
    for directory in directories:
        if directory.resolve() in seen:
            warnings.append(f"{directory} was named twice and counts once.")
            continue
        seen.add(directory.resolve())
        loaded = _read(directory, warnings)
        names = {run.name for run in runs}
        if loaded.name in names:
            loaded.name = f"{loaded.name}#{len(runs) + 1}"
        runs.append(loaded)
    return runs


def _read(directory: Path, warnings: list[str]) -> LoadedRun:
    try:
        run = load_run(directory)
    except UserError as error:
        if not (directory / RUN_FILE).exists() or not (directory / SAMPLES_FILE).exists():
            raise
        run = Run(run=directory.resolve().name, status="failed")
        warnings.append(f"{error.message}. The samples are shown without their provenance.")
    try:
        raw, damaged_samples = _read_samples(directory)
        boots, damaged_boots = load_boots(directory)
    except OSError as error:
        raise UserError(f"cannot read the run {directory}: {error.strerror}") from error
    for damaged, what in ((damaged_samples, SAMPLES_FILE), (damaged_boots, "boots.jsonl")):
        if damaged:
            warnings.append(
                f"Run {run.run}: {plural(damaged, 'line')} of {what} could not be read "
                "(cut off or damaged) and does not count."
            )
    return LoadedRun(directory, run.run, run, boots, raw, damaged_samples, damaged_boots)


def _read_samples(directory: Path) -> tuple[pd.DataFrame, int]:
    """The samples and the number of damaged lines; equal strings are one object."""
    rows: list[tuple[object, ...]] = []
    damaged = 0
    for s in iter_samples(directory):
        if s is None:
            damaged += 1
            continue
        names = (s.variant, s.workload, plan.canonical(s.params), s.metric, s.unit, s.accel)
        variant, workload, params, metric, unit, accel = map(sys.intern, names)
        t = math.nan if s.t is None else s.t
        rows.append(
            (variant, s.boot, workload, params, s.repeat, metric, s.value, unit, accel, t)
        )
    return pd.DataFrame(rows, columns=RAW), damaged


def _empty() -> pd.DataFrame:
    frame = pd.DataFrame({column: [] for column in COLUMNS})
    types = {"value": float, "t": float, "used": bool, "boot": int, "repeat": int}
    return frame.astype({**types, "seed": "Int64", "repeats": "Int64"})


def _frame(run: LoadedRun, identity: Identity, warnings: list[str]) -> pd.DataFrame:
    """The samples of one run, with ``used`` decided."""
    if run.raw.empty:
        return _empty()
    frame = run.raw.copy()
    seeds = {boot: record.seed for boot, record in run.last_records().items()}
    for column, value in {
        "base": lambda variant: identity.base(run.name, variant),
        "variant": lambda variant: identity.label(run.name, variant),
    }.items():
        frame[column] = run.raw["variant"].map(value)
    frame["run"] = run.name
    frame["machine"] = identity.machine(run.name)
    frame["seed"] = [seeds.get(boot) for boot in frame["boot"]]
    again = plan.repeats_of(run.run.plan)
    frame["repeats"] = [again.get(boot) for boot in frame["boot"]]
    frame["used"] = np.isfinite(frame["value"])
    frame = frame.reindex(columns=COLUMNS)
    frame = frame.astype({"seed": "Int64", "repeats": "Int64"})
    bad = int((~frame["used"]).sum())
    if bad:
        warnings.append(f"Run {run.name}: {plural(bad, 'sample')} without a finite number.")
    _void_repeated(frame, run.name, warnings)
    _void_unfinished(frame, run, warnings)
    return frame


def _void_repeated(frame: pd.DataFrame, name: str, warnings: list[str]) -> None:
    """Of samples with one identity (a boot was attempted again) only the last counts."""
    identity = ["variant", "boot", "workload", "params", "repeat", "metric", "accel"]
    again = frame.duplicated([*identity, "t"], keep="last")
    # A series that was begun anew starts at a smaller t: what came before is void.
    points = frame[frame["t"].notna()]
    restarts = points.groupby(identity, sort=False)["t"].diff() < 0
    attempts = restarts.groupby([points[c] for c in identity], sort=False).cumsum()
    latest = attempts.groupby([points[c] for c in identity], sort=False).transform("max")
    stale = pd.Series(False, index=frame.index)
    stale.loc[points.index] = attempts < latest
    void = (again | stale) & frame["used"]
    frame.loc[void, "used"] = False
    results = int((void & frame["t"].isna()).sum())
    if results:
        warnings.append(
            f"Run {name}: {plural(results, 'sample')} measured again after a resume; "
            "the last one counts."
        )


def _void_unfinished(frame: pd.DataFrame, run: LoadedRun, warnings: list[str]) -> None:
    """Drop the cells that a boot which did not end well left unfinished."""
    records = run.last_records()
    planned = plan.cells(run.run.plan)
    results = frame[frame["used"] & frame["t"].isna()]
    cell = ["boot", "workload", "params"]
    repeats = results.groupby(cell)["repeat"].nunique()
    most = repeats.groupby(["workload", "params"]).max()
    for key, done in repeats.items():
        boot, workload, params = cast("tuple[int, str, str]", key)
        wanted = plan.repeats(planned, workload, params) or int(most[(workload, params)])
        record = records.get(int(boot))
        if done >= wanted:
            continue
        text = f"Run {run.name}, boot {boot}: {workload} {plan.describe(params)} has "
        text += f"{done} of {plural(wanted, 'repeat')}"
        if record is not None and record.status == "ok":
            warnings.append(f"{text}; the median is of these.")
            continue
        how = "was killed" if record is None else record.status
        warnings.append(f"{text} (the boot {how}) and does not count.")
        mask = (frame["boot"] == boot) & (frame["workload"] == workload)
        frame.loc[mask & (frame["params"] == params), "used"] = False


def _accels(runs: list[LoadedRun], samples: pd.DataFrame) -> dict[str, str]:
    reasons: dict[str, str] = dict.fromkeys(samples["accel"].unique(), "")
    for run in runs:
        for accel in [run.run.accel, *run.run.accels]:
            name = str(accel.get("name", ""))
            if name and (name in reasons or not reasons):
                reasons[name] = str(accel.get("reason", "")) or reasons.get(name, "")
    return reasons
