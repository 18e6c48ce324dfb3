"""A report for programs: the JSON form and the flat tables."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from harness.report.analysis.analyse import Analysis
from harness.report.analysis.layout_blocks import LayoutSplit
from harness.report.analysis.rows import GROUP, Row
from harness.report.analysis.verdict import Comparison
from harness.report.pages import origins
from harness.report.profiles import difference
from harness.report.profiles.explaining import Explanation

REPORT_SCHEMA = 2
Json: TypeAlias = bool | int | float | str | Sequence["Json"] | dict[str, "Json"] | None


def as_json(analysis: Analysis, explained: Explanation | None = None) -> dict[str, Json]:
    """``{"rows": [...], "profile": [...], ...}``: what ``--json`` prints and report.json holds.

    A row is one cell and metric on one clock: ``variants`` has median, min, max and n of each
    side over its boots; ``comparisons`` the changes in percent with interval and verdict.
    ``profile`` has a row for each function of each cell that differs between two kernels, by
    size of the difference: :class:`ProfileRow`; it is empty where nothing was profiled.
    """
    return {
        "schema_version": REPORT_SCHEMA,
        "warnings": list(analysis.warnings),
        "answer": [
            {"kind": one.kind, "verdict": one.verdict, "text": one.text} for one in analysis.answer
        ],
        "compared": analysis.compared,
        "rows": [row_json(row) for row in analysis.rows],
        "profile": [
            row.model_dump() for row in difference.rows(explained.differences if explained else ())
            if row.delta
        ],
        "runs": [
            {"run": run.name, "status": "interrupted" if run.interrupted else run.run.status,
             "started": run.run.started, "directory": str(run.directory)}
            for run in analysis.data.runs
        ],
        "crashes": [{"heading": one.heading, "text": one.text, "console": one.console}
                    for one in origins.crashes(analysis.data)],
        "determinism": [
            {"cell": one.cell, "metric": one.metric.name, "first": one.first, "again": one.again,
             "pct": _rounded(one.pct)}
            for one in analysis.residuals
        ],
    }


def row_json(row: Row) -> dict[str, Json]:
    """One row in the JSON form."""
    return {
        "workload": row.workload,
        "params": dict(row.params),
        "cell": row.cell,
        "metric": row.metric.name,
        "unit": row.unit,
        "accel": row.accel,
        "base": row.place.base,
        "machine": row.place.machine,
        "kind": row.metric.kind,
        "better": row.metric.better,
        "variants": {side.label: _summary(list(v.values())) for side, v in row.values.items()},
        "comparisons": [_comparison(one) for one in row.comparisons.values()],
        "published": [
            {"name": one.published.name, "baseline": one.figure.baseline,
             "variant": one.figure.variant, "delta_pct": one.figure.delta_pct}
            for one in row.beside
        ],
        "values": {side.label: [_plain(x) for x in v.values()] for side, v in row.values.items()},
    }


def _comparison(one: Comparison) -> dict[str, Json]:
    return {
        "baseline": one.baseline.label,
        "variant": one.variant.label,
        "control": one.control,
        "delta_pct": _rounded(one.delta_pct),
        "difference": _rounded(one.difference),
        "interval_pct": [_rounded(end) for end in one.interval_pct or ()] or None,
        "interval_kind": one.interval_kind or None,
        "p": _rounded(one.p, 6),
        "p_holm": _rounded(one.p_holm, 6),
        "method": one.method,
        "verdict": one.verdict or None,
        "layouts": _layouts(one.layouts),
    }


def _layouts(split: LayoutSplit | None) -> dict[str, Json] | None:
    """The effect of each layout, and layout's share of the variance; None of one layout alone."""
    if split is None:
        return None
    parts = split.parts
    deviations = {
        "between_sd_pct": _rounded(math.sqrt(parts.between)),
        "within_sd_pct": None if parts.within is None else _rounded(math.sqrt(parts.within)),
    }
    return {
        "effects": [
            {"layout": one.layout, "delta_pct": _rounded(one.delta_pct),
             "difference": _rounded(one.difference), "baseline": _plain(one.baseline),
             "pairs": one.pairs}
            for one in split.effects
        ],
        "delta_pct": _rounded(100 * (split.ratio - 1)),
        "interval_pct": [_rounded(100 * (end - 1)) for end in split.interval],
        "coverage": _rounded(split.coverage),
        "share_of_variance": _rounded(parts.share),
        **deviations,
        "p": _rounded(parts.p, 6),
        "baseline_moves_pct": _rounded(split.level_pct),
    }


def frame(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as a flat table, one line per row and side (``table.csv``)."""
    lines: list[dict[str, Json]] = []
    for row in rows:
        for side, values in row.values.items():
            line: dict[str, Json] = {
                "workload": row.workload, "params": json.dumps(row.params, sort_keys=True),
                "metric": row.metric.name, "unit": row.unit, "accel": row.accel,
                "base": row.place.base, "machine": row.place.machine, "variant": side.variant,
                "control": side.control, "run": side.run, **_summary(list(values.values())),
            }
            if side in row.comparisons:
                flat = _comparison(row.comparisons[side])
                ends = row.comparisons[side].interval_pct or (None, None)
                line |= {key: flat[key] for key in COMPARED}
                line |= {"interval_low_pct": _rounded(ends[0]),
                         "interval_high_pct": _rounded(ends[1])}
            lines.append(line)
    columns = [*GROUP, "variant", "control", "run", "median", "min", "max", "n", *COMPARED,
               "interval_low_pct", "interval_high_pct"]
    return pd.DataFrame(lines, columns=columns)


COMPARED = ["baseline", "delta_pct", "difference", "interval_kind", "p", "p_holm", "method",
            "verdict"]


def samples(analysis: Analysis) -> pd.DataFrame:
    """Every sample with its side's name (``samples.csv``)."""
    found = analysis.data.samples.copy()
    labels = [side.label for side in analysis.data.columns]
    found["column"] = [labels[index] for index in found["column"]]
    return found.rename(columns={"column": "variant"})


def _summary(values: Sequence[float]) -> dict[str, Json]:
    return {
        "median": _plain(float(np.median(values))), "min": _plain(min(values)),
        "max": _plain(max(values)), "n": len(values),
    }


def _plain(value: float) -> float | int:
    """A number as JSON shows it: four decimals, and a whole number without its ``.0``."""
    value = round(value, 4)
    return int(value) if float(value).is_integer() else value


def _rounded(value: float | None, digits: int = 4) -> float | None:
    """A number cut to what is worth printing; None for what is not finite."""
    return None if value is None or not np.isfinite(value) else round(value, digits)
