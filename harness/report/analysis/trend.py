"""A metric across runs over time, with the steps in it.

Each run has its own day, host load and maybe kernel, so that here the run is the unit, not
the boot. A step between two runs is claimed

* in a count (icount) or an exact metric (VmPTE) when the two runs, compared as two variants
  of one run would be, differ (:mod:`harness.report.analysis.verdict`);
* in a wall-clock metric when a permutation test over the runs' medians finds a change point
  (:func:`harness.report.analysis.stats.change_points`): eight runs are the fewest that can.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import UserError
from harness.report.analysis import determinism, metrics, stats, verdict
from harness.report.analysis import rows as tables
from harness.report.analysis.rows import Row
from harness.report.data import planned as plan
from harness.report.data.load import load
from harness.report.data.rundata import RunData
from harness.report.pages import words


@dataclass(frozen=True)
class Point:
    """What one run says of one variant's metric."""

    run: str
    started: str
    release: str
    values: dict[Any, float]
    """History to the boot's value."""
    residual_pct: float
    """By how much a count differed in a boot done again; 0 when that is not known."""

    @property
    def median(self) -> float:
        """Over boots."""
        return float(np.median(list(self.values.values())))


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
        clock = words.accel_label(self.row.accel, self.row.machine)
        return f"{self.row.metric} ({self.row.unit}), {self.row.cell}, {clock}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "workload": self.row.workload, "params": self.row.params, "metric": self.row.metric,
            "unit": self.row.unit, "accel": self.row.accel, "base": self.row.base,
            "machine": self.row.machine, "variant": self.variant,
            "points": [
                {
                    "run": point.run, "started": point.started, "release": point.release,
                    "median": tables.plain(point.median), "min": tables.plain(min(values)),
                    "max": tables.plain(max(values)), "n": len(values),
                    "step": self.steps.get(place),
                }
                for place, point in enumerate(self.points)
                for values in [list(point.values.values())]
            ],
        }  # fmt: skip


def trends(
    directories: Sequence[Path], wanted: Collection[str] = ()
) -> tuple[list[Trend], list[str]]:
    """Every cell's trend, in the order of the runs' starts, and what must be said first.

    ``wanted`` names metrics; none means page-table memory and costs. Raises
    :class:`UserError` when no run can be read or none holds such a metric.
    """
    loaded, warnings = _load_each(directories)
    found: dict[tuple[str, ...], Trend] = {}
    for data in sorted(loaded, key=lambda one: (one.runs[0].run.started, one.runs[0].name)):
        residuals = _residuals(data)
        for row in tables.build(data):
            if _is_wanted(row.metric, wanted):
                _add(found, data, row, residuals)
    if not found:
        raise UserError("no run holds such a metric", hint="see `metric` in table.csv of a run")
    ordered = list(found.values())
    for trend in ordered:
        trend.steps = _steps(trend)
    return ordered, warnings


def _is_wanted(metric: str, wanted: Collection[str]) -> bool:
    if wanted:
        return metric in wanted
    return metrics.is_cost(metric) or metrics.is_page_tables(metric)


def _load_each(directories: Sequence[Path]) -> tuple[list[RunData], list[str]]:
    loaded, warnings = [], []
    for directory in dict.fromkeys(path.resolve() for path in directories):
        try:
            data = load([directory])
        except UserError as error:
            warnings.append(f"{directory.name} is left out: {error.message}")
            continue
        if data.results.empty:
            warnings.append(f"{directory.name} is left out: it holds no finished measurement.")
            continue
        status = data.runs[0].run.status
        if status != "complete":
            warnings.append(f"{data.runs[0].name}: its status is '{status}'.")
        loaded.append(data)
    if not loaded:
        raise UserError("no run to draw a trend of", hint="make some with `harness bench`")
    return loaded, warnings


def _residuals(data: RunData) -> dict[tuple[str, ...], float]:
    return {
        (r.workload, plan.canonical(r.params), r.metric): r.pct
        for r in determinism.residuals(data)
    }


def _add(
    found: dict[tuple[str, ...], Trend], data: RunData, row: Row,
    residuals: dict[tuple[str, ...], float],
) -> None:
    run = data.runs[0]
    params = plan.canonical(row.params)
    for name, values in row.values.items():
        if name in data.controls:
            continue
        key = (row.workload, params, row.metric, row.accel, row.base, row.machine, name)
        trend = found.setdefault(key, Trend(row, name))
        trend.row = row
        release = str(run.run.variants.get(name, {}).get("release", "?"))
        # A history is named by run and seed; across runs it is the seed alone.
        histories = {(run.name, *rest) if rest[0] == "boot" else tuple(rest): value
                     for (_, *rest), value in values.items()}  # fmt: skip
        residual = residuals.get((row.workload, params, row.metric), 0.0)
        trend.points.append(Point(run.name, run.run.started, release, histories, residual))


def _steps(trend: Trend) -> dict[int, str]:
    points = trend.points
    exact = metrics.is_exact(trend.row.workload, trend.row.metric)
    if trend.row.accel == "icount" or exact:
        return {
            place: words.percent(step.delta_pct)
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
    threads = trend.row.params.get("threads", 1)
    several = isinstance(threads, int) and threads > 1
    floor = determinism.LIMIT_MORE_PCT if several else determinism.LIMIT_ONE_PCT
    residual = max(floor, before.residual_pct, after.residual_pct)
    one = verdict.compare(
        trend.row.metric, trend.row.accel, before.values, after.values, residual,
        workload=trend.row.workload,
    )
    return one if one.verdict in ("lower", "higher") else None


def text(found: Sequence[Trend], warnings: Sequence[str]) -> str:
    """The trends as tables for a terminal; ends without a newline."""
    lines = [f"! {warning}" for warning in warnings]
    for trend in found:
        lines += ["", f"{trend.title}, {trend.variant}"]
        grid = [["run", "started", "kernel", "median", "range", "boots", "step"]]
        grid += table_rows(trend)
        widths = [max(len(line[place]) for line in grid) for place in range(len(grid[0]))]
        for line in grid:
            cells = [
                word.rjust(width) if 3 <= place <= 5 else word.ljust(width)
                for place, (word, width) in enumerate(zip(line, widths, strict=True))
            ]
            lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines).lstrip("\n")


def table_rows(trend: Trend) -> list[list[str]]:
    """A line a run."""
    found = []
    for place, point in enumerate(trend.points):
        values = list(point.values.values())
        span = f"{words.number(min(values))} to {words.number(max(values))}"
        span = span if min(values) != max(values) else "-"
        step = f"step {trend.steps[place]}" if place in trend.steps else ""
        found.append([point.run, point.started[:16], point.release, words.number(point.median),
                      span, str(len(values)), step])  # fmt: skip
    return found
