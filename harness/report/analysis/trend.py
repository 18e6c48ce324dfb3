"""A metric across runs over time, with the steps in it (how they are found: see the method)."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.core.errors import UserError
from harness.report.analysis import determinism, stats, verdict, words
from harness.report.analysis.analyse import Analysis, analyse
from harness.report.analysis.rows import History, Row
from harness.report.data.identity import Column
from harness.report.data.rundata import canonical


@dataclass(frozen=True)
class Point:
    """What one run says of one variant's metric."""

    run: str
    started: str
    release: str
    values: dict[History, float]
    """History to the boot's value; across runs a history is its seed alone."""
    residual_pct: float
    """By how much a count differed in a boot done again; 0 when that is not known."""

    @property
    def median(self) -> float:
        """Over boots."""
        return float(np.median(list(self.values.values())))

    @property
    def span(self) -> tuple[float, float]:
        """The least and the greatest boot."""
        return min(self.values.values()), max(self.values.values())


@dataclass
class Trend:
    """One variant's metric in one cell, run by run."""

    row: Row
    """Of the latest run: cell, metric, unit, accel, base, machine."""
    variant: str
    points: list[Point] = field(default_factory=list)
    steps: dict[int, str] = field(default_factory=dict)
    """Index of the first run after a step to ``+2.10 %``."""

    @property
    def title(self) -> str:
        """Metric, cell and where."""
        clock = words.accel_label(self.row.accel, self.row.place.machine)
        return f"{words.with_unit(self.row.metric)}, {self.row.cell}, {clock}"


def trends(
    directories: Sequence[Path], wanted: Collection[str] = ()
) -> tuple[list[Trend], list[str]]:
    """Every cell's trend, in the order of the runs' starts, and what must be said first.

    ``wanted`` names metrics; none means memory and costs. Raises :class:`UserError` when no run
    can be read or none holds such a metric.
    """
    loaded, warnings = _load_each(directories)
    found: dict[tuple[Hashable, ...], Trend] = {}
    for one in sorted(loaded, key=_start):
        residuals = {
            (r.workload, canonical(r.params), r.metric.name): r.pct for r in one.residuals
        }
        for row in one.rows:
            chosen = row.metric.name in wanted if wanted else row.metric.kind != "other"
            if chosen:
                _add(found, one, row, residuals)
    if not found:
        raise UserError("no run holds such a metric", hint="see `metric` in table.csv of a run")
    ordered = list(found.values())
    for trend in ordered:
        trend.steps = _steps(trend)
    return ordered, warnings


def _start(one: Analysis) -> tuple[str, str]:
    return one.data.runs[0].run.started, one.data.runs[0].name


def _load_each(directories: Sequence[Path]) -> tuple[list[Analysis], list[str]]:
    """The runs that can be read and hold results; what is said of the others."""
    loaded, warnings = [], []
    for directory in dict.fromkeys(path.resolve() for path in directories):
        try:
            one = analyse([directory])
        except UserError as error:
            warnings.append(f"{directory.name} is left out: {error.message}")
            continue
        run = one.data.runs[0]
        if not one.rows:
            warnings.append(f"{run.name} is left out: it holds no finished measurement.")
            continue
        if run.interrupted:
            warnings.append(f"{run.name} was interrupted.")
        elif run.run.status != "complete":
            warnings.append(f"{run.name}: its status is '{run.run.status}'.")
        loaded.append(one)
    if not loaded:
        raise UserError("no run to draw a trend of", hint="make some with `harness bench`")
    return loaded, warnings


def _add(
    found: dict[tuple[Hashable, ...], Trend], one: Analysis, row: Row,
    residuals: dict[tuple[str, str, str], float],
) -> None:
    run, params = one.data.runs[0], canonical(row.params)
    for side, values in row.values.items():
        if side.control:
            continue
        key = (row.workload, params, row.metric.name, row.place, side.variant)
        trend = found.setdefault(key, Trend(row, side.variant))
        trend.row = row
        # A history without a seed is of its own run; one with a seed is the same in every run.
        histories = {
            history if history.seed is None else history._replace(run=""): value
            for history, value in values.items()
        }
        residual = residuals.get((row.workload, params, row.metric.name), 0.0)
        trend.points.append(
            Point(run.name, run.run.started, _release(one, side), histories, residual)
        )


def _release(one: Analysis, side: Column) -> str:
    kernel = one.data.runs[0].run.kernels.get(side.variant)
    return kernel.release if kernel else "?"


def _steps(trend: Trend) -> dict[int, str]:
    points = trend.points
    if trend.row.accel == "icount" or trend.row.metric.exact:
        return {
            place: words.change(step)
            for place in range(1, len(points))
            if (step := _between(trend, points[place - 1], points[place])) is not None
        }
    medians = [point.median for point in points]
    found = {}
    places = stats.change_points(medians)
    for place, start, end in zip(places, [0, *places], [*places[1:], len(points)], strict=False):
        before, after = np.median(medians[start:place]), np.median(medians[place:end])
        found[place] = words.percent(100 * float(after / before - 1) if before else None)
    return found


def _between(trend: Trend, before: Point, after: Point) -> verdict.Comparison | None:
    """The comparison of two runs when it is a difference."""
    floor = determinism.limit_pct(trend.row.params)
    residual = max(floor, before.residual_pct, after.residual_pct)
    one = verdict.compare(
        trend.row.metric, trend.row.accel, before.values, after.values, residual
    )
    return one if one.word in ("lower", "higher") else None


COLUMNS = ["run", "started", "kernel", "median", "range", "boots", "step"]


def table_rows(trend: Trend) -> list[list[str]]:
    """A line a run, in the order of :data:`COLUMNS`."""
    found = []
    for place, point in enumerate(trend.points):
        low, high = point.span
        span = f"{words.number(low)} to {words.number(high)}" if low != high else "-"
        step = f"step {trend.steps[place]}" if place in trend.steps else ""
        found.append([point.run, point.started[:16], point.release, words.number(point.median),
                      span, str(len(point.values)), step])
    return found


OVERVIEW = ["cell", "metric", "variant", "runs", "first", "last", "steps"]


def overview(found: Sequence[Trend]) -> list[list[str]]:
    """A line a trend of several runs, those with steps first, in the order of :data:`OVERVIEW`."""
    several = [trend for trend in found if len(trend.points) > 1]
    return [
        [f"{trend.row.cell}, {words.short_accel(trend.row.accel)}",
         words.with_unit(trend.row.metric), trend.variant, str(len(trend.points)),
         words.number(trend.points[0].median), words.number(trend.points[-1].median),
         steps_text(trend) or "none"]
        for trend in sorted(several, key=lambda trend: not trend.steps)
    ]


def steps_text(trend: Trend) -> str:
    """``+2.10 % at RUN``, comma-separated; empty without a step."""
    return ", ".join(f"{size} at {trend.points[place].run}" for place, size in trend.steps.items())
