"""What kind of number a metric is, told by its name: workloads may bring metrics of their own.

A cost is a rate (``..._per_minute``, ``..._per_second``) or the price of one operation
(``instructions_per_...``, ``ns_per_...``, ``us_per_...``). Anything else is a quantity,
such as kB of page tables.
"""

from __future__ import annotations

PRICES = ("instructions_per_", "ns_per_", "us_per_")
RATES = ("_per_minute", "_per_second")
EXACT = frozenset({"VmPTE", "VmSize"})
"""The same in every boot, whatever else happens in the guest, but for :data:`SLACK`."""
INEXACT = frozenset({"allocator", "redis"})
"""Workloads whose memory depends on when a background thread runs: nothing of it is exact."""
SLACK = {"VmPTE": (8.0, "kB"), "PageTables": (8.0, "kB"), "nr_page_table_pages": (2.0, "pages")}
"""What the placement of a stack or a mapping may add: it may lie across two tables. By the
metric's name, or its beginning before ``_``."""


def is_cost(metric: str) -> bool:
    """Whether a metric says what the series costs."""
    return metric.startswith(PRICES) or metric.endswith(RATES)


def better(metric: str) -> str:
    """``more`` or ``less``: what a user wants of a cost."""
    return "more" if metric.endswith(RATES) else "less"


def is_page_tables(metric: str) -> bool:
    """Whether a metric is the memory that the series is to save, of one process."""
    return metric == "VmPTE" or metric.startswith("VmPTE_")


def is_exact(workload: str, metric: str) -> bool:
    """Whether a metric comes out the same in every boot of one kernel."""
    return metric in EXACT and workload not in INEXACT


def slack(metric: str) -> tuple[float, str]:
    """By how much an exact metric may differ from itself, and the unit of that."""
    for name, most in SLACK.items():
        if metric == name or (metric.startswith(f"{name}_") and "_per_" not in metric):
            return most
    return 0.0, ""
