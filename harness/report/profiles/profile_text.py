"""A difference as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from harness.report.profiles.cycles import CYCLES
from harness.report.profiles.difference import AS_ONE, MISSES, Change, ProfileDifference
from harness.report.profiles.groups import Groups

LIMIT = 15
"""Functions that are shown unless another number is asked for."""
HEADINGS = {
    AS_ONE: "as one", "loads": "loads", "stores": "stores", "branches": "branches",
    "calls": "calls", "locked": "locked", "tlb": "TLB", "messages": "wrmsr", "interrupts": "IPIs",
    "string_operations": "strings", "string_bytes": "bytes", "l1d_misses": "L1d",
    "l1i_misses": "L1i", "l2_misses": "L2", "string_lines": "lines", "mispredicted": "wrong",
    CYCLES: "cycles",
}
"""What is counted beside instructions, and what a table calls it: see docs/explain.md."""
MODELLED = frozenset((*MISSES, CYCLES))
"""Columns that are there only where caches were modelled."""
SMALL = 0.05
"""Differences below it, in instructions per operation, are not shown one by one."""


def render(difference: ProfileDifference, groups: Groups, limit: int = LIMIT) -> str:
    """Functions by the size of their difference, groups, and what share is explained."""
    return "\n".join(_lines(difference, groups, limit))


def render_all(
    differences: Iterable[ProfileDifference], groups: Groups, limit: int = LIMIT
) -> str:
    """Each difference in turn."""
    return "\n\n".join(render(one, groups, limit) for one in differences)


def counts_columns(one: ProfileDifference) -> dict[str, str]:
    """Those of :data:`HEADINGS` that are known of a difference."""
    return {
        name: title for name, title in HEADINGS.items()
        if name not in MODELLED or (one.caches and name in one.total.counts)
    }


def counts_rows(one: ProfileDifference, limit: int) -> Iterable[tuple[str, list[float]]]:
    """What else was counted, per operation: the whole on both sides, then differences.

    Columns are those of :func:`counts_columns`. Functions that differ in none are left out.
    """
    whole, columns = one.total.counts, counts_columns(one)
    yield f"all, {one.before}", [whole[name].before for name in columns]
    yield f"all, {one.after}", [whole[name].after for name in columns]
    yield "difference", _deltas(one.total, columns)
    rows = [(change.name, _deltas(change, columns)) for change in one.functions]
    yield from [row for row in rows if any(abs(value) >= SMALL for value in row[1])][:limit]


def counts_text(one: ProfileDifference, limit: int = LIMIT) -> str:
    """The same as a table for a terminal."""
    head = " ".join(f"{title:>9}" for title in counts_columns(one).values())
    rows = [
        f"  {name[:30]:30} " + " ".join(f"{value:>9,.1f}" for value in values)
        for name, values in counts_rows(one, limit)
    ]
    title = f"{one.title}: what else was counted per {one.unit}; of functions the difference"
    return "\n".join([title, f"  {'':30} {head}", *rows])


def _deltas(change: Change, columns: Iterable[str]) -> list[float]:
    return [change.counts[name].after - change.counts[name].before for name in columns]


def _lines(one: ProfileDifference, groups: Groups, limit: int) -> Iterable[str]:
    yield f"{one.title}: instructions per {one.unit}, {one.before} against {one.after}"
    spread = "one history" if one.histories == 1 else f"{one.histories} histories"
    yield (
        f"  {one.total.before:,.1f} -> {one.total.after:,.1f}: {one.total.delta:+,.1f} "
        f"({_percent(one.total)}), {spread}{_range(one.total, one.histories)}"
    )
    yield ""
    numbers = f"{'before':>10} {'after':>10} {'delta':>9}"
    yield f"  {'function':38} {numbers}  {'range':>17} {'behind':>8}  file"
    shown = [c for c in one.functions if abs(c.delta) >= SMALL][:limit]
    for change in shown:
        yield _row(change, one.histories)
    rest = one.total.delta - sum(change.delta for change in shown)
    others = sum(1 for c in one.functions if c.delta) - len(shown)
    yield f"  {f'{max(others, 0)} others':38} {'':>10} {'':>10} {rest:>+9.2f}"
    yield ""
    yield f"  {'group':38} {numbers}"
    for change in one.groups:
        if abs(change.delta) >= SMALL:
            title = "User space" if change.name == "user" else groups.title(change.name)
            yield (
                f"  {title:38} {change.before:>10,.2f} {change.after:>10,.2f} "
                f"{change.delta:>+9.2f}"
            )
    yield ""
    yield f"  {explained(one)}"


def explained(one: ProfileDifference) -> str:
    """What share of the instructions is put down to named functions."""
    after = one.total.after
    named = 100 * (1 - one.outside / after) if after else 100.0
    return (
        f"{named:.2f} % of the instructions are in functions that have a name; the differences "
        f"above sum to the total. Behind it: of the difference, what interrupts and other tasks "
        f"make ({one.total.background:+.2f} in all)."
    )


def _row(change: Change, histories: int) -> str:
    span = "" if histories == 1 else f"{change.low:+.2f}..{change.high:+.2f}"
    return (
        f"  {change.name[:38]:38} {change.before:>10,.2f} {change.after:>10,.2f} "
        f"{change.delta:>+9.2f}  {span:>17} {change.background:>+8.2f}  {change.file}"
    )


def _percent(change: Change) -> str:
    return f"{100 * change.delta / change.before:+.2f} %" if change.before else "new"


def _range(change: Change, histories: int) -> str:
    return "" if histories == 1 else f", {change.low:+.2f} to {change.high:+.2f}"
