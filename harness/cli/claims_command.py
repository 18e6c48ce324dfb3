"""``harness claims``: whether what the pages say is what the record shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harness.cli import common
from harness.core.errors import EXIT_REGRESSION, UserError
from harness.core.plurals import plural

if TYPE_CHECKING:
    from harness.lab import Lab
    from harness.project.claims import ClaimBook


def claims(
    check: Annotated[
        bool, typer.Option(
            "--check", help="Measure again what is planned to take 10 minutes together."
        )
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Measure again all that claims.toml says how to.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(
            "--out", metavar="DIR", help="For new runs [results/TIME-claims]; one there goes on.",
        )
    ] = None,
    dry_run: common.DryRun = False,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Hold what the pages claim against the record, or against new measurements.

    claims.toml has each claim with the run that shows it. Exit code 1 when one is broken. -v says
    of each claim what shows it and which figures were compared.

    Example: harness claims --check
    """
    from harness.claims import claim_text, judged, passages  # noqa: PLC0415
    from harness.project.claims import load_claims  # noqa: PLC0415

    if check and everything:
        raise UserError("--check measures a part of what --all does", hint="give one of them")
    if out is not None and not (check or everything):
        raise UserError("--out is where new measurements go", hint="add --check or --all")
    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    book = load_claims(lab.project.root)
    again = None
    if check or everything or dry_run:
        again = _again(lab, book, everything, out, dry_run)
        if dry_run:
            return
    found = judged.judge(lab.project, book, again)
    faults = passages.faults(book, lab.project.root)
    if as_json:
        common.print_json({
            "claims": [one.model_dump() for one in found], "faults": faults,
        })
    else:
        shown = [one for one in found if one.word == "broken"] if quiet else found
        if text := claim_text.text(shown, faults, whole=verbose, sums=not quiet):
            common.say(text)
    if faults or any(one.word == "broken" for one in found):
        raise typer.Exit(EXIT_REGRESSION)


def _again(
    lab: Lab, book: ClaimBook, everything: bool, out: Path | None, dry_run: bool
) -> dict[str, Path]:
    """Measure again, or say what would be; the new runs by the evidence that they are of."""
    from harness.claims import remeasure  # noqa: PLC0415

    plans = remeasure.plan_all(lab, book)
    chosen = plans if everything else remeasure.cheap(plans)
    if dry_run:
        common.say("\n".join(
            f"{one.evidence}: about {plural(round(one.minutes), 'minute')}"
            f"{'' if one in chosen else ' (with --all only)'}" for one in plans
        ))
        return {}
    directory = out or lab.run_directory("claims")
    lab.reserve(directory)
    return remeasure.remeasure(lab, chosen, directory)
