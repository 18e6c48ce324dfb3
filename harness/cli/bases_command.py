"""``harness bases``: what kernels can be built from, and what of it can be had from here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from harness.cli import common, completions
from harness.lab import Lab


def bases(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Bases [all of harness.toml].", autocompletion=completions.base),
    ] = None,
    fetch: Annotated[
        str | None,
        typer.Option(
            "--fetch", metavar="BASE", autocompletion=completions.base,
            help="Fetch this base if it is not here.",
        ),
    ] = None,
    refresh: Annotated[
        str | None,
        typer.Option(
            "--refresh", metavar="BASE", autocompletion=completions.base,
            help="Ask for this base anew.",
        ),
    ] = None,
    origin: common.Origin = None,
    mirror: common.MirrorUrl = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """List the bases: kind, what is here, whether the rest can be reached, what it needs.

    Example: harness bases --refresh debian-6.1
    """
    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    wanted = fetch if refresh is None else refresh
    if wanted is not None:
        _fetch(env, wanted, refresh is not None, origin, mirror)
        names = names or [wanted]
    from harness.kernel.source.reach import survey  # noqa: PLC0415

    for name in names or []:
        env.project.base(name)
    found = survey(env.workspace, env.project, names or list(env.project.config.bases), mirror)
    if as_json:
        common.print_json([asdict(status) for status in found])
        return
    for status in found:
        here = f"{status.cached} is here" if status.cached else "not here"
        pin = "pinned" if status.pinned else "not pinned"
        pin += f" (commit {status.commit})" if status.commit else ""
        common.say(f"{status.name}: {status.kind}, {status.place}")
        common.say(f"    {here}, {pin}; reachable: {status.reachable}; needs {status.needs}")
        parts = [f"series {status.series}" if status.series else "no series of its own"]
        if status.variants:
            parts.append(f"variants {', '.join(status.variants)}")
        common.say(f"    {'; '.join(parts)}")


def _fetch(
    env: Lab, name: str, refresh: bool, origin: str | None, mirror: str | None
) -> None:
    from harness.kernel.source.fetching import Wanted  # noqa: PLC0415
    from harness.kernel.source.sources import find_source, get_source  # noqa: PLC0415

    old = find_source(env.workspace, env.project, name)
    new = get_source(
        env.workspace, env.project, name, wanted=Wanted(mirror=mirror, origin=origin),
        progress=env.progress, refresh=refresh,
    )
    if old is None:
        env.progress.say(f"{name}: {new.version}")
    elif old.digest == new.digest:
        env.progress.say(f"{name}: {new.version} is what there is")
    else:
        env.progress.say(f"{name}: {old.version} -> {new.version}")
