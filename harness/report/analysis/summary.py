"""The top of every output: one screen, however many cells there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.report.analysis import determinism, metrics, pairs
from harness.report.analysis.rows import Row
from harness.report.analysis.verdict import Comparison
from harness.report.data import tested as stability
from harness.report.data.identity import plural
from harness.report.data.rundata import RunData
from harness.report.pages import words

MOST_CELLS = 3  # of one workload and metric that get a line each; more share one
MOST_LINES = 16  # in all; beyond, every workload and metric has one line, then every workload

Claim = tuple[Row, Comparison | None]


@dataclass(frozen=True)
class Line:
    """One finding: of a cell, or of several cells together."""

    kind: str
    """``A/A control``, ``memory`` or ``cost``."""
    what: str
    values: list[str]
    """One a variant of :attr:`Summary.names`; empty strings where a line is of several cells."""
    change: str
    verdict: str


@dataclass
class Summary:
    """What was compared, what it saves, what it costs, what to beware of."""

    compared: str
    accel: list[str]
    where: str
    """Clocks and bases, short."""
    names: list[str]
    """The variants, without controls."""
    lines: list[Line] = field(default_factory=list)
    control: str = ""
    """Said when time was measured without an A/A control."""
    determinism: str = ""
    """What a count differs by when a boot is done again; empty when nothing was counted."""
    stability: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def summarize(data: RunData, rows: Sequence[Row]) -> Summary:
    """The summary of a report."""
    residuals = determinism.residuals(data)
    names = [name for name in data.variants if name not in data.controls]
    lines = _lines(data, rows, names, MOST_CELLS)
    if len(lines) > MOST_LINES:
        lines = _lines(data, rows, names, 1)
    if len(lines) > MOST_LINES:
        lines = _lines(data, _headlines(rows), names, 1, by_workload=True)
    return Summary(
        compared=_compared(data),
        accel=_labels(rows),
        where=_where(rows),
        names=[name for name in names if any(row.boots(name) for row in rows)],
        lines=lines,
        control=_no_control(data, rows),
        determinism=determinism.sentence(residuals),
        stability=[_crashes(data), *(data.stability or [stability.NONE])],
        warnings=[*_bad_controls(data, rows), *determinism.warnings(residuals), *data.warnings],
    )


def _lines(
    data: RunData, rows: Sequence[Row], names: Sequence[str], most: int, *,
    by_workload: bool = False,
) -> list[Line]:
    """The control in one line a clock, then memory, then cost.

    ``by_workload``: all costs of a workload share a line.
    """
    names = [name for name in names if any(row.boots(name) for row in rows)]
    several = len({row.accel for row in rows}) > 1
    costs = [row for row in rows if metrics.is_cost(row.metric)]
    controls = [(row, c) for row in costs for c in row.comparisons.values() if c.control]
    tables = _claims(row for row in rows if metrics.is_page_tables(row.metric))
    several_pairs = len({name for row in rows for name in row.claims}) > 1
    found = []
    for kind, chosen, limit in (
        ("A/A control", controls, 1), ("memory", tables, most), ("cost", _claims(costs), most),
    ):  # fmt: skip
        for group in _groups(chosen, by_clock=chosen is controls, by_workload=by_workload):
            accel, claim = group[0][0].accel, group[0][1]
            label = f"{kind}, {words.SHORT_ACCELS.get(accel, accel)}" if several else kind
            pair = _pair(claim) if several_pairs else ""
            if len(group) > limit:
                found.append(_together(label, group, len(names), pair))
            else:
                shown = names if kind != "A/A control" else names[:1]
                found += [_alone(label, one, shown, len(names), pair) for one in group]
    return found


def _claims(rows: Iterable[Row]) -> list[Claim]:
    """Each row with each of its comparisons; a row without any stands for itself."""
    return [(row, c) for row in rows for c in (*row.claims.values(),) or (None,)]


def _pair(comparison: Comparison | None) -> str:
    """``reclaim-on against reclaim-off``: for who has several pairs to tell apart."""
    if comparison is None or comparison.control:
        return ""
    return f"{comparison.variant} against {comparison.baseline}"


def _headlines(rows: Sequence[Row]) -> list[Row]:
    """The rows without those that say page tables in another way than a workload's first."""
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        if metrics.is_page_tables(row.metric):
            first.setdefault((row.workload, row.accel), row.metric)
    return [
        row for row in rows
        if row.metric == first.get((row.workload, row.accel)) or metrics.is_cost(row.metric)
    ]


def _groups(claims: Sequence[Claim], *, by_clock: bool, by_workload: bool) -> list[list[Claim]]:
    """What may share a line: of one pair and workload (and metric), or all of one clock."""
    groups: dict[tuple[str, ...], list[Claim]] = {}
    for row, claim in claims:
        place = (row.accel, row.base, row.machine)
        kind = (row.workload,) if by_workload else (row.workload, row.metric)
        section = place if by_clock else (*place, _pair(claim), *kind)
        groups.setdefault(section, []).append((row, claim))
    return list(groups.values())


def _alone(kind: str, claim: Claim, names: Sequence[str], columns: int, pair: str) -> Line:
    row, comparison = claim
    values = [words.number(row.median(name)) for name in names]
    values += [""] * (columns - len(values))
    unit = "" if metrics.is_cost(row.metric) else f" ({row.unit})"
    what = f"{row.cell}: {words.metric_label(row.metric)}{unit}{f', {pair}' if pair else ''}"
    if comparison is None:
        return Line(kind, what, values, "-", "-")
    span = words.interval(comparison)
    change = words.percent(comparison.delta_pct)
    sides = (row.median(name) or 0.0 for name in (comparison.baseline, comparison.variant))
    times = words.factor(*sides) if "memory" in kind else ""
    small = times or span
    return Line(kind, what, values, f"{change}\n{small}" if small else change, comparison.verdict)


def _together(kind: str, claims: Sequence[Claim], columns: int, pair: str) -> Line:
    """``micro, 9 cells``: the verdicts counted, the least and the greatest change."""
    workloads = list(dict.fromkeys(row.workload for row, _ in claims))
    kinds = list(dict.fromkeys(row.metric for row, _ in claims))
    what = workloads[0] if len(workloads) == 1 else plural(len(workloads), "workload")
    what += f", {plural(len(claims), 'cell')}: "
    what += words.metric_label(kinds[0]) if len(kinds) == 1 else plural(len(kinds), "cost")
    what += f", {pair}" if pair else ""
    known = [(row, c) for row, c in claims if c is not None and c.delta_pct is not None]
    if not known:
        return Line(kind, what, [""] * columns, "-", "not compared")
    counts = Counter(c.verdict.partition(" within")[0].partition(" (")[0] for _, c in known)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    low = min(known, key=lambda one: one[1].delta_pct or 0.0)
    high = max(known, key=lambda one: one[1].delta_pct or 0.0)
    ends = [words.percent(c.delta_pct) for _, c in (low, high)]
    where = [
        row.cell.removeprefix(f"{row.workload}, " if len(workloads) == 1 else "")
        for row, _ in (low, high)
    ]
    text = ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}\n{where[0]}; {where[1]}"
    return Line(kind, what, [""] * columns, text, verdicts)


def _no_control(data: RunData, rows: Sequence[Row]) -> str:
    timed = any(
        metrics.is_cost(row.metric) and row.accel != "icount" and row.claims for row in rows
    )
    if data.controls or not timed:
        return ""
    return "There is no A/A control: nothing shows what this host makes of no change at all."


def _bad_controls(data: RunData, rows: Sequence[Row]) -> list[str]:
    return [
        f"The A/A control '{name}' differs from '{c.baseline}' by {c.delta_pct:+.2g} % in "
        f"{row.metric}, {row.cell}, although both are one build: trust no difference of this size."
        for row in rows
        for name, c in row.comparisons.items()
        if c.control and c.verdict in ("lower", "higher")
    ]


def _labels(rows: Sequence[Row]) -> list[str]:
    pairs = dict.fromkeys((row.accel, row.machine) for row in rows)
    return [words.accel_caption(*pair) for pair in pairs]


def _where(rows: Sequence[Row]) -> str:
    clocks = dict.fromkeys(words.SHORT_ACCELS.get(row.accel, row.accel) for row in rows)
    bases = dict.fromkeys(f"base {row.base}" for row in rows if row.base)
    return ", ".join([" and ".join(clocks), *bases])


def _compared(data: RunData) -> str:
    """``before (...) against after (...); reclaim-off (...) against reclaim-on (...)``."""
    texts: dict[str, str] = {}
    for name in data.variants:
        mine = data.results[data.results["variant"] == name]
        boots = len(mine[["run", "boot"]].drop_duplicates())
        meta = next(
            (run.run.variants[v] for run in data.runs for v in run.run.variants
             if v == name.split("@")[0]), {},
        )  # fmt: skip
        patches = meta.get("patches")
        parts = [str(meta.get("release", ""))]
        count = len(patches) if isinstance(patches, list) else 0
        parts += [plural(count, "patch", "patches")] if count else []
        parts += [plural(boots, "boot")]
        parts += ["A/A"] if name in data.controls else []
        texts[name] = f"{name} ({', '.join(part for part in parts if part)})"
    bases = sorted({str(base) for base in data.samples["base"].unique() if base})
    where = f" Base {', '.join(bases)}." if bases else ""
    plans = [run.run.plan for run in data.runs]
    known = pairs.baselines(plans, data.variants, texts, data.controls)
    sides = {
        name: [texts[other] for other in texts if known.get(other) == name]
        for name in texts if name not in known or name in known.values()
    }
    compared = "; ".join(
        " against ".join(filter(None, [texts[name], " and ".join(others)]))
        for name, others in sides.items()
    )
    return (compared or "nothing was measured") + "." + where


def _crashes(data: RunData) -> str:
    records = [record for run in data.runs for record in run.last_records().values()]
    crashed = [record for record in records if record.status == "crashed"]
    if not records:
        return "No boot was recorded."
    if not crashed:
        return f"No crash in {plural(len(records), 'boot')}."
    return f"{plural(len(crashed), 'crash', 'crashes')} in {plural(len(records), 'boot')}."
