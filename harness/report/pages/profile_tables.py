"""Where the differences are: profiles as tables of a report, with links to what is beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.report.pages.tabular import Table
from harness.report.plots.plot_functions import functions
from harness.report.profiles import explaining, profile_text
from harness.report.profiles.cycles import assumptions
from harness.report.profiles.difference import Change, ProfileDifference
from harness.report.profiles.explaining import Explanation
from harness.style.plot import Plot

FUNCTIONS = 12
"""Of each cell; the files beside the page have more."""
FIGURES = 4
"""Cells that have one: those that differ most."""


@dataclass(frozen=True)
class ProfileTable:
    """One cell and pair of variants."""

    table: Table
    note: str
    counts: Table
    """What else was counted."""
    figure: Plot | None
    """The functions as bars; of the cells whose difference is among the largest."""
    links: tuple[tuple[str, str], ...]
    """Text and target, relative to the page."""


def write_profiles(
    found: Explanation | None, directory: Path, origin: str
) -> list[ProfileTable]:
    """The tables of what was found, and the files beside them; nothing where nothing was.

    ``origin`` is the small print of figures: accel and machine.
    """
    if found is None:
        return []
    explaining.write(found, directory / explaining.FOLDER)
    told = sorted(found.differences, key=_share, reverse=True)[:FIGURES]
    figures = {id(one): functions(one, _name(one), origin) for one in told}
    for plot in figures.values():
        if plot:
            (directory / "plots" / f"{plot.name}.png").write_bytes(plot.png())
    return [_table(found, one, figures.get(id(one))) for one in found.differences]


def _share(one: ProfileDifference) -> float:
    """The size of a difference, as a share."""
    return abs(one.total.delta) / one.total.before if one.total.before else 0.0


def _name(one: ProfileDifference) -> str:
    return re.sub(r"[^a-z0-9]+", "-", explaining.slug(one).lower()).strip("-")


def modelled(found: Explanation | None) -> str:
    """What stands above the tables where some columns are modelled; empty where none is."""
    caches = next((one.caches for one in found.differences if one.caches), None) if found else None
    return assumptions(caches, found.calibration) if found and caches else ""


def _table(
    found: Explanation, one: ProfileDifference, figure: Plot | None
) -> ProfileTable:
    shown = [change for change in one.functions if abs(change.delta) >= profile_text.SMALL]
    groups = [change for change in one.groups if abs(change.delta) >= profile_text.SMALL]
    rows = [_row(change.name, change, change.file) for change in shown[:FUNCTIONS]]
    rows += [_row(_title(found, change), change, "group") for change in groups]
    rows.append(_row("total", one.total, ""))
    columns = ["function", "file", one.before, one.after, "difference", "range", "behind"]
    caption = f"{one.title}: instructions per {one.unit}, {one.total.delta:+,.1f}"
    name = explaining.slug(one)
    links = [
        (f"callgrind file of {side}", f"{explaining.FOLDER}/callgrind.out.{name}.{side}")
        for side in (one.before, one.after)
    ]
    if any(profile.paths for profile in explaining.of_cell(found, one, one.after)):
        links.insert(0, ("flame graph of the difference",
                         f"{explaining.FOLDER}/flame-{name}.html"))
    return ProfileTable(
        Table(caption, columns, rows, frozenset(range(2, 7))), profile_text.explained(one),
        _counts(one), figure, tuple(links),
    )


def _counts(one: ProfileDifference) -> Table:
    rows = [
        [name, *(f"{value:,.2f}" for value in values)]
        for name, values in profile_text.counts_rows(one, FUNCTIONS)
    ]
    columns = ["function", *profile_text.counts_columns(one).values()]
    caption = f"{one.title}: what else was counted per {one.unit}; of functions the difference"
    return Table(caption, columns, rows, frozenset(range(1, len(columns))))


def _title(found: Explanation, change: Change) -> str:
    return "User space" if change.name == "user" else found.groups.title(change.name)


def _row(name: str, change: Change, file: str) -> list[str]:
    return [
        name, file, f"{change.before:,.2f}", f"{change.after:,.2f}", f"{change.delta:+,.2f}",
        f"{change.low:+,.2f} to {change.high:+,.2f}", f"{change.background:+,.2f}",
    ]
