"""Which column is compared with which: what the runs' plans declare, nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.records.plans import Plan
from harness.report.data.identity import Column


def declared(plans: Iterable[Plan]) -> dict[str, str]:
    """Variant to its baseline, of all plans together; where plans differ the first one holds."""
    found: dict[str, str] = {}
    for plan in plans:
        for pair in plan.comparisons:
            found.setdefault(pair.variant, pair.baseline)
    return found


def baselines(plans: Iterable[Plan], measured: Sequence[Column]) -> dict[Column, Column]:
    """Column to the column that it is compared with, of those that were measured.

    A control is compared with its own build, whatever is declared. A side that has a column for
    each run is compared with the one of its own run, or else with the one that all runs share.
    """
    pairs = declared(plans)
    found: dict[Column, Column] = {}
    for column in measured:
        name = column.variant if column.control else pairs.get(column.variant)
        if name is None:
            continue
        wanted = [Column(name, run=column.run), Column(name)]
        baseline = next((one for one in wanted if one in measured and one != column), None)
        if baseline is not None:
            found[column] = baseline
    return found
