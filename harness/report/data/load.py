"""Runs' files as pandas frames, with every damage said in words.

Nothing here raises for a run that is merely incomplete: what is missing, torn or mixed becomes a
line of the data's warnings, shown on top of every output.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd

from harness.core.errors import UserError
from harness.records.plans import Plan, SuitePlan
from harness.records.runs import Run
from harness.records.store import (
    BOOTS_FILE,
    SAMPLES_FILE,
    VERDICTS_FILE,
    iter_samples,
    load_boots,
    load_run,
    load_verdicts,
)
from harness.report.data.identity import Identity, identify, plural
from harness.report.data.rundata import (
    COLUMNS,
    RAW,
    LoadedRun,
    RunData,
    SuiteRun,
    canonical,
    describe,
)


def load(directories: Sequence[Path]) -> RunData:
    """Read measurements (one, or several to be merged), and runs of suites among them.

    Raises :class:`UserError` when a directory is no run, or none of them is a measurement.
    """
    warnings: list[str] = []
    runs, suites = _read_all(directories, warnings)
    if not runs:
        raise UserError("no run to report on", hint="name a directory made by `harness bench`")
    identity = identify([(run.name, run.run, _sides(run.raw)) for run in runs])
    frames = [_frame(run, identity, warnings) for run in runs]
    filled = [frame for frame in frames if not frame.empty]
    samples = pd.concat(filled, ignore_index=True) if filled else _empty()
    return RunData(runs, samples, identity, suites, [*warnings, *identity.warnings])


def _read_all(
    directories: Sequence[Path], warnings: list[str]
) -> tuple[list[LoadedRun], list[SuiteRun]]:
    runs: list[LoadedRun] = []
    suites: list[SuiteRun] = []
    seen: set[Path] = set()
    for directory in directories:
        if directory.resolve() in seen:
            warnings.append(f"{directory} was named twice and counts once.")
            continue
        seen.add(directory.resolve())
        run = load_run(directory)
        if isinstance(run.plan, SuitePlan):
            suites.append(_read_suite(directory, run, run.plan, warnings))
            continue
        taken = {one.name for one in runs}
        name = run.run if run.run not in taken else f"{run.run}#{len(runs) + 1}"
        runs.append(_read(directory, name, run, run.plan, warnings))
    return runs, suites


def _read(
    directory: Path, name: str, run: Run, plan: Plan, warnings: list[str]
) -> LoadedRun:
    try:
        raw, damaged_samples = _read_samples(directory)
        boots, damaged_boots = load_boots(directory)
    except OSError as error:
        raise UserError(f"cannot read the run {directory}: {error.strerror}") from error
    _say_damaged(name, {SAMPLES_FILE: damaged_samples, BOOTS_FILE: damaged_boots}, warnings)
    return LoadedRun(directory, name, run, plan, boots, raw, was_interrupted(run))


def _read_suite(directory: Path, run: Run, plan: SuitePlan, warnings: list[str]) -> SuiteRun:
    verdicts, damaged = load_verdicts(directory)
    _say_damaged(run.run, {VERDICTS_FILE: damaged}, warnings)
    return SuiteRun(directory, run.run, run, plan, verdicts)


def _say_damaged(name: str, damaged: dict[str, int], warnings: list[str]) -> None:
    for what, count in damaged.items():
        if count:
            warnings.append(
                f"Run {name}: {plural(count, 'line')} of {what} could not be read "
                "(cut off or damaged) and does not count."
            )


def was_interrupted(run: Run) -> bool:
    """Whether a run says that it goes on while the process that conducted it is gone."""
    if run.status != "running":
        return False
    try:
        words = Path(f"/proc/{run.process}/cmdline").read_bytes()
    except OSError:
        return True
    return not any(name in words for name in (b"harness", b"python", b"pytest"))


def _read_samples(directory: Path) -> tuple[pd.DataFrame, int]:
    """The samples and the number of damaged lines; equal strings are one object."""
    rows: list[tuple[object, ...]] = []
    damaged = 0
    for s in iter_samples(directory):
        if s is None:
            damaged += 1
            continue
        names = (s.workload, canonical(s.params), s.metric, s.unit, s.accel)
        workload, params, metric, unit, accel = map(sys.intern, names)
        t = math.nan if s.t is None else s.t
        rows.append((
            sys.intern(s.variant), s.control, s.boot, workload, params, s.repeat, metric, s.value,
            unit, accel, t,
        ))
    return pd.DataFrame(rows, columns=RAW), damaged


def _sides(raw: pd.DataFrame) -> list[tuple[str, bool]]:
    pairs = raw[["variant", "control"]].drop_duplicates()
    return [(str(variant), bool(control)) for variant, control in pairs.itertuples(index=False)]


def _empty() -> pd.DataFrame:
    frame = pd.DataFrame({column: [] for column in COLUMNS})
    types = {"value": float, "t": float, "used": bool, "boot": int, "repeat": int, "column": int,
             "layout": int}
    return frame.astype({**types, "seed": "Int64", "again": "Int64"})


def _frame(run: LoadedRun, identity: Identity, warnings: list[str]) -> pd.DataFrame:
    """The samples of one run, with ``used`` decided."""
    if run.raw.empty:
        return _empty()
    frame = run.raw.copy()
    last = run.last_records()
    seeds = {boot: record.seed for boot, record in last.items()}
    hosts = {boot: record.ran_on for boot, record in last.items()}
    again = {boot.index: boot.again for boot in run.plan.boots}
    layouts = {boot.index: boot.layout for boot in run.plan.boots}
    sides = zip(frame["variant"], frame["control"], strict=True)
    frame["column"] = [identity.column(run.name, str(v), bool(c)) for v, c in sides]
    frame["base"] = frame["variant"].map(lambda variant: identity.base(run.name, variant))
    frame["run"] = run.name
    frame["machine"] = identity.machines[run.name]
    frame["host"] = [hosts.get(boot, "") for boot in frame["boot"]]
    frame["seed"] = [seeds.get(boot) for boot in frame["boot"]]
    frame["layout"] = [layouts.get(boot, 0) for boot in frame["boot"]]
    frame["again"] = [again.get(boot) for boot in frame["boot"]]
    frame["used"] = np.isfinite(frame["value"])
    frame = frame.reindex(columns=COLUMNS).astype({"seed": "Int64", "again": "Int64"})
    bad = int((~frame["used"]).sum())
    if bad:
        warnings.append(f"Run {run.name}: {plural(bad, 'sample')} without a finite number.")
    _void_repeated(frame, run.name, warnings)
    _void_unfinished(frame, run, warnings)
    return frame


def _void_repeated(frame: pd.DataFrame, name: str, warnings: list[str]) -> None:
    """Of samples with one identity (a boot was attempted again) only the last counts."""
    identity = ["column", "boot", "workload", "params", "repeat", "metric", "accel"]
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
    results = frame[frame["used"] & frame["t"].isna()]
    cell = ["boot", "workload", "params"]
    repeats = results.groupby(cell)["repeat"].nunique()
    most = repeats.groupby(["workload", "params"]).max()
    for key, done in repeats.items():
        boot, workload, params = cast("tuple[int, str, str]", key)
        wanted = _planned_repeats(run, workload, params) or int(most[(workload, params)])
        if done >= wanted:
            continue
        record = records.get(int(boot))
        text = f"Run {run.name}, boot {boot}: {workload} {describe(params)} has "
        text += f"{done} of {plural(wanted, 'repeat')}"
        if record is not None and record.status == "ok":
            warnings.append(f"{text}; the median is of these.")
            continue
        how = "was killed" if record is None else record.status
        warnings.append(f"{text} (the boot {how}) and does not count.")
        mask = (frame["boot"] == boot) & (frame["workload"] == workload)
        frame.loc[mask & (frame["params"] == params), "used"] = False


def _planned_repeats(run: LoadedRun, workload: str, params: str) -> int | None:
    cell = run.cell(workload, json.loads(params), "")
    return None if cell is None else cell.repeat
