"""Which variant is compared with which: what the runs' plans declare, nothing else.

harness.toml declares comparisons, a run's plan records those among its variants. A run
of the time before that knew one kind: every variant against the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def declared(plans: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
    """Variant to its baseline, of all plans together; None when no plan says a word.

    What is not understood is skipped. Where plans differ the first one holds.
    """
    found: dict[str, str] | None = None
    for plan in plans:
        pairs = plan.get("comparisons")
        if not isinstance(pairs, list):
            continue
        found = found if found is not None else {}
        for pair in pairs:
            if isinstance(pair, list) and len(pair) == 2 and all(isinstance(n, str) for n in pair):
                found.setdefault(pair[1], pair[0])
    return found


def baselines(
    plans: Iterable[Mapping[str, Any]], columns: Sequence[str], measured: Iterable[str],
    controls: Iterable[str] = (),
) -> dict[str, str]:
    """Column to the column it is compared with, for those that were measured.

    ``columns`` are all of the report, the reference side first; a column is a variant, or
    ``variant@run`` where runs have different builds of it. ``controls`` (the first variant
    once more) are compared with the first whatever is declared.
    """
    there, pairs = list(measured), declared(plans)
    first = columns[0] if columns else ""
    found: dict[str, str] = {}
    for column in there:
        variant, at, run = column.partition("@")
        if pairs is None or column in controls:
            wanted = [first]
        else:
            wanted = [f"{pairs[variant]}{at}{run}", pairs[variant]] if variant in pairs else []
        baseline = next((name for name in wanted if name in there and name != column), None)
        if baseline is not None:
            found[column] = baseline
    return found
