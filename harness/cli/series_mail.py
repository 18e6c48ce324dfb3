"""``harness series mail``: a series as a thread of mails, for a person to send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common
from harness.cli.series_command import VariantName, directory_of, named, series_of
from harness.core.errors import UserError


def mail(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the mails are written.")],
    variant: VariantName = None, base: common.BaseName = None,
    cover: Annotated[
        Path | None,
        typer.Option("--cover", metavar="FILE",
                     help="The cover letter [cover-letter.txt beside the patches]."),
    ] = None,
    version: Annotated[int, typer.Option("--version", min=1, help="v2, v3, ... of it.")] = 1,
    rfc: Annotated[bool, typer.Option("--rfc", help="Ask for comments, not for a merge.")] = False,
    mirror: common.MirrorUrl = None, quiet: common.Quiet = False,
    verbose: common.Verbose = False, workspace: common.WorkspaceDir = None,
) -> None:
    """Write the series as mails, with a cover letter and its recipients. Nothing is sent.

    Example: harness series mail --out outgoing --version 2
    """
    from harness.kernel.series import mailing, seriestree  # noqa: PLC0415
    from harness.kernel.source.fetching import Wanted  # noqa: PLC0415
    from harness.kernel.source.sources import get_source, held, lay_out  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    variant = named(env, variant)
    directory = directory_of(env, variant)
    series = series_of(env, variant)
    if why := seriestree.missing_identity():
        raise UserError(f"nobody to send from: {why}", hint=seriestree.IDENTITY_HINT)
    place = cover or (directory / mailing.COVER_FILE if directory else None)
    if cover is not None and not cover.is_file():
        raise UserError(f"no such file: {cover}")
    text = place.read_text() if place is not None and place.is_file() else ""
    name = env.project.base_name(variant)
    with held(env.workspace, env.project, name):
        source = get_source(
            env.workspace, env.project, name, source_dir=None, wanted=Wanted(mirror=mirror),
            progress=env.progress,
        )
        lay_out(env.workspace, source, env.progress)
        people = [mailing.recipients(source.path, patch) for patch in series.patches]
    record = source.record
    thread = mailing.Thread(
        mailing.prefix(version, rfc=rfc),
        mailing.based_on(record.kind, source.name, source.version, record.details),
        seriestree.identity(),
    )
    for path in mailing.write(series.patches, people, text, thread, out):
        common.say(str(path))
    env.progress.say(f"nothing was sent; look at them, then: git send-email {out}/*.patch")
