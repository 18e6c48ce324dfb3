"""Numbers and labels in words, the same in every output."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from harness.records.record import Scalar
from harness.records.workloads import Metric
from harness.report.analysis.verdict import Comparison

ACCELS = {
    "native": "a real machine",
    "kvm": "KVM",
    "tcg": "TCG (software emulation)",
    "icount": "icount (TCG that counts instructions)",
}
SHORT_ACCELS = {"native": "native", "kvm": "KVM", "tcg": "TCG", "icount": "icount"}
CLOCKS = ("native", "kvm", "icount", "tcg")
"""The accels by how much their costs can be trusted to tell: a wall clock under emulation last."""
UNITS = {"kib": "KiB", "mib": "MiB", "gib": "GiB"}
CAUTIONS = {
    "icount": "It counts instructions, not cache misses or contended atomics.",
    "tcg": "A wall clock under emulation: not comparable with real hardware.",
    "kvm": "Not comparable with other hardware.",
    "native": "Not comparable with other hardware.",
}


def accel_label(accel: str, machine: str) -> str:
    """``TCG (software emulation) on 2 x Intel Xeon``."""
    return f"{ACCELS.get(accel, accel)} on {machine}"


def accel_caption(accel: str, machine: str) -> str:
    """The label that every number, table and plot carries."""
    return f"{accel_label(accel, machine)}. {CAUTIONS.get(accel, '')}".rstrip()


def short_accel(accel: str) -> str:
    """``TCG``."""
    return SHORT_ACCELS.get(accel, accel)


def metric_label(metric: Metric) -> str:
    """The metric in words."""
    return metric.label or metric.name.replace("_", " ")


def with_unit(metric: Metric) -> str:
    """The label, and the unit where the label of a quantity does not say it."""
    return metric_label(metric) + ("" if metric.kind == "cost" else f" ({metric.unit})")


def number(value: float | None) -> str:
    """Thousands separated by commas; decimals only where they matter."""
    if value is None:
        return "-"
    size = abs(value)
    if float(value).is_integer() or size >= 10_000:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if size >= 100 else f"{value:,.3g}"


def percent(value: float | None, digits: int | None = None) -> str:
    """A change with its sign, ``-0.64 %``; a small one, as counting finds them, to two digits."""
    if value is None:
        return "n/a"
    digits = _digits(value) if digits is None else digits
    return f"{round(value, digits) + 0.0:+.{digits}f} %"


def _digits(value: float) -> int:
    return 2 if abs(value) >= 0.095 or value == 0 else 3 if abs(value) >= 0.0095 else 4


def digits_of(comparison: Comparison) -> int:
    """Decimals of a change in percent: as many as its interval, or its own size, deserves.

    An interval from +0.1239 to +0.1243 % is shown to where its ends differ, and no further; a
    change of a per cent and more to hundredths.
    """
    ends = comparison.interval_pct
    least = _digits(comparison.delta_pct or 0.0)
    if ends is None or ends[0] == ends[1]:
        return least
    most = 2 if abs(comparison.delta_pct or 0.0) >= 1 else 4
    width, digits = ends[1] - ends[0], 2
    while digits < most and round(width, digits) < 10**-digits * 2:
        digits += 1
    return max(digits, min(least, 3))


def change(comparison: Comparison | None) -> str:
    """The change in percent with the digits that it deserves; ``-`` without a comparison."""
    if comparison is None:
        return "-"
    return percent(comparison.delta_pct, digits_of(comparison))


def interval(comparison: Comparison | None) -> str:
    """``-1.20 to +0.31 %``; empty without one, or when both ends are the same."""
    if comparison is None or comparison.interval_pct is None:
        return ""
    low, high = comparison.interval_pct
    digits = digits_of(comparison)
    # Adding zero makes a zero of what rounding leaves of a small negative number.
    first, last = (f"{round(end, digits) + 0.0:+.{digits}f}" for end in (low, high))
    return f"{first} %" if first == last else f"{first} to {last} %"


def difference(comparison: Comparison | None, unit: str) -> str:
    """``+9.0 instructions``: the change in the metric's own unit; empty when it is not known."""
    if comparison is None or comparison.difference is None:
        return ""
    value = comparison.difference
    size = abs(value)
    whole = size >= 1000 or (size >= 10 and float(value).is_integer())
    digits = 0 if whole else 1 if size >= 1 else 2
    return f"{round(value, digits) + 0.0:+,.{digits}f} {unit}"


def side(label: str, control: bool) -> str:
    """How a side is named in running text: ``the control`` for a control."""
    return f"{label}, the A/A control" if control else label


def against(comparisons: Iterable[Comparison]) -> str:
    """What changes are measured against: ``before``, or that each has a baseline of its own."""
    names = list(dict.fromkeys(c.baseline.label for c in comparisons))
    return names[0] if len(names) == 1 else f"its own baseline ({', '.join(names)})"


def cell(
    workload: str, params: Mapping[str, Scalar], label: str, telling: Collection[str] = ()
) -> str:
    """What was run, short: the workload's own words, or the parameters that tell cells apart."""
    if label:
        return label
    parts = [workload]
    parts += [parameter(key, value) for key, value in params.items() if key in telling]
    return ", ".join(parts)


def parameter(name: str, value: Scalar) -> str:
    """One parameter in words: ``8 threads``, ``chunk 64 KiB``, ``fork_exit``, ``loops 2``."""
    stem, _, suffix = name.rpartition("_")
    if name.endswith("s") and isinstance(value, int) and not isinstance(value, bool):
        return f"{value} {name[:-1] if value == 1 else name}".replace("_", " ")
    if suffix in UNITS:
        return f"{stem} {value} {UNITS[suffix]}".replace("size ", "").replace("_", " ")
    return str(value) if isinstance(value, str) and value else f"{name} {value}"


def rest(params: Mapping[str, Scalar], telling: Collection[str] = ()) -> str:
    """Parameters that all cells of a workload have in common, such as ``seconds 5``."""
    return ", ".join(f"{key} {value}" for key, value in params.items() if key not in telling)


def factor(before: float | None, after: float | None) -> str:
    """How many times less; empty when that is no fair way to say it."""
    if not before or not after:
        return ""
    ratio = before / after
    return f"{ratio:,.0f} times less" if ratio >= 2 else ""


def capital(text: str) -> str:
    """The text with a capital letter in front."""
    return text[:1].upper() + text[1:]


def listed(names: Iterable[str]) -> str:
    """``a, b and c``."""
    found = list(names)
    if len(found) < 2:
        return "".join(found)
    return f"{', '.join(found[:-1])} and {found[-1]}"
