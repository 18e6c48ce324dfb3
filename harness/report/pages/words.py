"""Numbers and labels in words, the same in every output."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from harness.report.analysis import letter
from harness.report.analysis.verdict import Comparison

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
UNITS = {"kib": "KiB", "mib": "MiB", "gib": "GiB"}
_IN_CELL = {
    "vmpte": ("size_gib", "touch"), "multi-fault": ("threads", "mode"),
    "server-snapshot": ("scale", "live_pages"), "allocator": ("allocator", "low_pct", "flush"),
    "redis": ("keys",),
}
"""What :func:`cell` says of a workload in a form of its own."""
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
    text = metric.replace("_", " ")
    for short, long in (("ns per ", "nanoseconds per "), ("us per ", "microseconds per ")):
        text = long + text.removeprefix(short) if text.startswith(short) else text
    return METRICS.get(metric, text)


def number(value: float | None) -> str:
    """Thousands separated by commas; decimals only where they matter."""
    if value is None:
        return "-"
    size = abs(value)
    if float(value).is_integer() or size >= 10_000:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if size >= 100 else f"{value:,.3g}"


def percent(value: float | None) -> str:
    """A change with its sign, ``-0.64 %``; a small one, as counting finds them, to two digits."""
    if value is None:
        return "-"
    value = round(value, _digits(value))
    return "0 %" if value == 0 else f"{value:+.{_digits(value)}f} %"


def _digits(value: float) -> int:
    """Digits after the point: two, and up to four where two would say nothing."""
    return 2 if abs(value) >= 0.095 else 3 if abs(value) >= 0.0095 else 4


def control(name: str) -> str:
    """How a control is named: with the word once."""
    return name if "control" in name else f"{name} (control)"


def against(comparisons: Iterable[Comparison]) -> str:
    """What changes are measured against: ``before``, or that each has a baseline of its own."""
    names = list(dict.fromkeys(c.baseline for c in comparisons))
    return names[0] if len(names) == 1 else f"its own baseline ({', '.join(names)})"


def interval(comparison: Comparison | None) -> str:
    """``-1.20 to +0.31 %``; empty without one."""
    if comparison is None or comparison.interval_pct is None:
        return ""
    low, high = comparison.interval_pct
    digits = _digits(max(abs(low), abs(high)))
    # Adding zero makes a zero of what rounding leaves of a small negative number.
    return f"{round(low, digits) + 0.0:+.{digits}f} to {round(high, digits) + 0.0:+.{digits}f} %"


def cell(workload: str, params: Mapping[str, Any], telling: Collection[str] = ()) -> str:
    """What was run, short: ``50 GiB loop, one page per 2 MiB`` or ``8 threads``.

    Of a workload without a form of its own the parameters ``telling`` its cells apart.
    """
    if workload == "vmpte" and "size_gib" in params:
        touch = {"page": "one page per 2 MiB", "all": "every page touched"}
        parts = [f"{params['size_gib']} GiB loop"]
        parts += [touch[params["touch"]]] if params.get("touch") in touch else []
    elif workload == "multi-fault" and "threads" in params:
        parts = [parameter("threads", params["threads"])]
        mode = params.get("mode", "letter")
        parts += [] if mode == "letter" else [str(mode)]
    elif workload == "server-snapshot" and "live_pages" in params:
        parts = [f"the letter's server at 1:{params.get('scale') or 'N'}"]
        dense = params["live_pages"] == letter.DENSE
        parts += [] if dense else [f"{params['live_pages']} pages per 2 MiB in use"]
    elif workload == "allocator" and "allocator" in params:
        parts = [str(params["allocator"]), f"{params.get('low_pct')} % of the objects kept"]
        parts += [] if params.get("flush", True) else ["caches kept"]
    elif workload == "redis" and "keys" in params:
        parts = [f"redis-server, {number(params['keys'])} keys"]
    else:
        parts = [workload]
    parts += [
        parameter(key, value) for key, value in params.items()
        if key in telling and key not in _IN_CELL.get(workload, ())
    ]
    return ", ".join(parts)


def parameter(name: str, value: Any) -> str:
    """One parameter in words: ``8 threads``, ``chunk 64 KiB``, ``fork_exit``, ``loops 2``."""
    stem, _, suffix = name.rpartition("_")
    if name == "threads":
        return f"{value} thread" if value == 1 else f"{value} threads"
    if suffix in UNITS:
        return f"{stem} {value} {UNITS[suffix]}".replace("size ", "")
    return str(value) if isinstance(value, str) and value else f"{name} {value}"


def rest(workload: str, params: Mapping[str, Any], telling: Collection[str] = ()) -> str:
    """Parameters that :func:`cell` leaves out, such as ``seconds 5``."""
    shown = {*telling, *_IN_CELL.get(workload, ())}
    return ", ".join(f"{key} {value}" for key, value in params.items() if key not in shown)


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
    if metric.endswith("_per_VmRSS"):
        return f"{value:.3g} %" if metric.startswith("VmPTE") else f"{value:.1f} times"
    return f"{value:,.0f}"
