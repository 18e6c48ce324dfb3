"""``harness explain``: which kernel functions hold a difference."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common

if TYPE_CHECKING:
    from harness.lab import Lab
    from harness.report.profiles.explaining import Explanation

EXIT_BROKEN = 1
Guards = Annotated[
    list[str] | None, typer.Option(
        "--guard", metavar="LIMIT",
        help="'FUNCTION <= +N', 'group:NAME <= N', 'total <= N%'; exit 1 when it is broken. "
             "May be given again.",
    )
]
Counts = Annotated[
    bool, typer.Option(
        "--counts", help="Memory accesses, branches, locked instructions and more as well."
    )
]
Lines = Annotated[
    bool, typer.Option(
        "--lines", help="Functions that gcc inlined, too; of builds with debug information."
    )
]


def explain(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Runs whose instructions were counted [the newest].")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", metavar="A", help="Variant [the plan's].")
    ] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", metavar="B", help="Against it [the plan's].")
    ] = None,
    guard: Guards = None,
    lines: Lines = False,
    counts: Counts = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Functions to show of each cell.")
    ] = 15,
    out: Annotated[
        Path | None, typer.Option(
            "--out", metavar="DIR", help="For flame graphs and callgrind files [RUN/explain]."
        )
    ] = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Say which kernel functions the counted instructions of two variants differ by.

    Example: harness explain results/20260101-120000-quick --guard 'handle_mm_fault <= +0'
    """
    from harness.measure import calibration  # noqa: PLC0415
    from harness.project.adhoc import around  # noqa: PLC0415
    from harness.report.data.find import newest_run  # noqa: PLC0415
    from harness.report.profiles import difference, explaining, guards, profile_text  # noqa: PLC0415

    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, project=around())
    limits = [guards.parse(text) for text in guard or []]
    directories = list(runs or []) or [newest_run(lab.project.results)]
    found = explaining.explain(
        directories, baseline, variant, calibration.remembered(lab.workspace)
    )
    if found.damaged:
        lab.progress.warn(f"{found.damaged} profiles could not be read and are left out")
    explaining.write(found, out or directories[0] / explaining.FOLDER)
    if as_json:
        rows = difference.rows(found.differences)
        common.print_json([row.model_dump() for row in rows])
    else:
        common.say(
            profile_text.render_all(found.differences, found.groups, limit)
            or "the variants have no cell in common"
        )
    if counts and not as_json:
        _counts(found, limit)
    if lines:
        _lines(lab, found, directories, limit)
    lab.progress.say(f"flame graphs, callgrind files: {out or directories[0] / explaining.FOLDER}")
    _tell(lab, [one.line() for one in guards.check(limits, found.differences)])


def _counts(found: Explanation, limit: int) -> None:
    """What else was counted, and above what was modelled what was assumed."""
    from harness.report.profiles import cycles, profile_text  # noqa: PLC0415

    if caches := next((one.caches for one in found.differences if one.caches), None):
        said = cycles.assumptions(caches, found.calibration)
        common.say("\n".join(["", *textwrap.wrap(said, 100)]))
    for one in found.differences:
        common.say("\n" + profile_text.counts_text(one, limit))


def _tell(lab: Lab, broken: list[str]) -> None:
    """Say which guards are broken, and end with 1 if any is."""
    for line in broken:
        lab.progress.warn(f"broken: {line}")
    if broken:
        raise typer.Exit(EXIT_BROKEN)


def _lines(lab: Lab, found: Explanation, runs: list[Path], limit: int) -> None:
    """Inlined functions of each difference, where both builds have debug information."""
    from harness.report.profiles import explaining, lines  # noqa: PLC0415

    for one in found.differences:
        costs = []
        for name in (one.before, one.after):
            vmlinux = lab.build(name).vmlinux
            profile = explaining.of_cell(found, one, name)[0]
            sites = next((run / profile.sites for run in runs if (run / profile.sites).is_file()),
                         None)
            if sites is None or not lines.has_lines(vmlinux):
                lab.progress.warn(
                    f"{one.title}: {name} has no source lines; build it with "
                    "CONFIG_DEBUG_INFO_DWARF5=y to see what was inlined"
                )
                break
            costs.append(lines.by_function(lines.costs(sites, vmlinux, profile.units)))
        else:
            common.say("\n".join([
                "", f"{one.title}: with what was inlined, first history",
                *(
                    f"  {line.function[:34]:34} in {line.into[:30]:30} {line.before:>10,.2f} "
                    f"{line.after:>10,.2f} {line.delta:>+9.2f}  {line.place}"
                    for line in lines.compare(*costs)[:limit]
                ),
            ]))
