"""``harness calibrate``: what events cost on this host's CPU, for estimates of cycles."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import common

Caches = Annotated[
    str, typer.Option(
        "--caches", metavar="host|L1D,L1I,L2",
        help="The caches to model, such as 48K/12,32K/8,2M/16 (size and ways) [host].",
        show_default=False,
    )
]


def calibrate(
    variant: common.Variant = None,
    base: common.BaseName = None,
    caches: Caches = "host",
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Find out what instructions, cache misses and other events cost on this host.

    Twenty small programs are timed here and counted in a guest; `harness explain --counts` then
    estimates cycles for runs that were measured with --caches. It takes about two minutes.

    Example: harness calibrate
    """
    from harness.measure import calibration  # noqa: PLC0415
    from harness.measure.profiles import caches as modelled  # noqa: PLC0415
    from harness.measure.profiles.recorder import FOLDER  # noqa: PLC0415
    from harness.report.profiles import cycles  # noqa: PLC0415

    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    sizes = modelled.parse(caches)
    build = lab.build(lab.variant(variant))
    found = calibration.calibrate(
        lab, build, lab.programs() / calibration.PROGRAM, lab.project.file(FOLDER), sizes
    )
    calibration.remember(lab.workspace, found)
    if as_json:
        common.print_json(found.model_dump(mode="json"))
    else:
        common.say(cycles.calibration_text(found))
