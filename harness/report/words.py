"""Numbers and labels in words, the same in every output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.report import letter
from harness.report.verdict import Comparison

ACCELS = {
    "kvm": "KVM",
    "tcg": "TCG (software emulation)",
    "icount": "icount (TCG that counts instructions)",
}
SHORT_ACCELS = {"kvm": "KVM", "tcg": "TCG", "icount": "icount"}
METRICS = {
    "faults_per_minute": "page faults a minute",
    "instructions_per_fault": "instructions per page fault",
    "page_faults": "page faults (perf)",
    "nr_page_table_pages": "page-table pages of the guest",
    "PageTables": "PageTables of the guest",
    "seconds_elapsed": "time elapsed",
}
COSTS = ("instructions_per_", "_per_second")
ICOUNT_NOTE = "It counts instructions, not cache misses or contended atomics."


def accel_label(accel: str, machine: str) -> str:
    """``TCG (software emulation) on 2 x Intel Xeon``."""
    return f"{ACCELS.get(accel, accel)} on {machine}"


def accel_caption(accel: str, machine: str) -> str:
    """The label that every number, table and plot carries."""
    label = accel_label(accel, machine)
    if accel == "icount":
        return f"{label}; not comparable with the letter's hardware. {ICOUNT_NOTE}"
    if accel == "kvm":
        return f"{label}; the letter's hardware was another."
    return f"{label}; not comparable with the letter's hardware."


def metric_label(metric: str) -> str:
    """The metric in words."""
    return METRICS.get(metric, metric)


def number(value: float | None) -> str:
    """Thousands separated by commas; decimals only where they matter."""
    if value is None:
        return "-"
    size = abs(value)
    if float(value).is_integer() or size >= 10_000:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if size >= 100 else f"{value:,.3g}"


def percent(value: float | None) -> str:
    """A change with its sign, ``-0.64 %``."""
    if value is None:
        return "-"
    value = 0.0 if abs(value) < 0.005 else value
    return "0 %" if value == 0 else f"{value:+.2f} %"


def interval(comparison: Comparison | None) -> str:
    """``-1.20 to +0.31 %``; empty without one."""
    if comparison is None or comparison.interval_pct is None:
        return ""
    low, high = comparison.interval_pct
    return f"{low:+.2f} to {high:+.2f} %"


def cell(workload: str, params: Mapping[str, Any]) -> str:
    """What was run, short: ``50 GiB loop, one page per 2 MiB`` or ``8 threads``."""
    if workload == "vmpte" and "size_gib" in params:
        touch = {"page": "one page per 2 MiB touched", "all": "every page touched"}
        parts = [f"{params['size_gib']} GiB loop"]
        parts += [touch[params["touch"]]] if params.get("touch") in touch else []
        return ", ".join(parts)
    if workload == "multi-fault" and "threads" in params:
        threads = params["threads"]
        parts = [f"{threads} thread" if threads == 1 else f"{threads} threads"]
        mode = params.get("mode", "letter")
        return ", ".join(parts if mode == "letter" else [*parts, str(mode)])
    return ", ".join([workload, *(f"{key} {value}" for key, value in params.items())])


def rest(params: Mapping[str, Any]) -> str:
    """Parameters that :func:`cell` leaves out of a multi-fault cell, such as ``seconds 5``."""
    hidden = {"threads", "size_gib", "touch"}
    return ", ".join(f"{k} {v}" for k, v in params.items() if k not in hidden)


def factor(before: float, after: float) -> str:
    """How many times less or more."""
    if not before or not after:
        return ""
    ratio = before / after
    return f"{ratio:,.0f} times less" if ratio >= 2 else ""


def like_letter(metric: str, value: float) -> str:
    """A figure in the unit in which the letter prints that metric."""
    if metric == "VmSize":
        return f"{value / letter.KB_PER_GB:.1f} GB"
    if metric == "VmRSS":
        return f"{value / letter.KB_PER_MB:.1f} MB"
    if metric == "VmPTE":
        return f"{value:.0f} kB"
    return f"{value:,.0f}"


def is_cost(metric: str) -> bool:
    """Whether a metric says what the series costs: a rate, or instructions for one operation."""
    return metric == "faults_per_minute" or metric.startswith(COSTS[0]) or metric.endswith(COSTS[1])
