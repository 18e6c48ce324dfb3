"""``harness build``: kernels from source."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import common, completions
from harness.cli.common import Words


def build(
    variant: Annotated[
        Words | None,
        typer.Option(
            "--variant", parser=Words.parse, metavar="A,B",
            autocompletion=completions.variants,
            help="Variants, comma-separated [the default ones of harness.toml].",
        ),
    ] = None,
    base: common.BaseName = None,
    source: common.SourceDir = None,
    mirror: common.MirrorUrl = None,
    origin: common.Origin = None,
    jobs: common.Jobs = None,
    force: Annotated[bool, typer.Option("--force", help="Build even if it is cached.")] = False,
    dry_run: common.DryRun = False,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Build the kernels of variants: source, series, configuration, compiler.

    Example: harness build --variant before,after
    """
    from harness.kernel.build.builds import plan_build  # noqa: PLC0415
    from harness.kernel.source.fetching import Wanted  # noqa: PLC0415

    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    names = list(variant or lab.project.config.defaults.variants)
    common.check_base(lab.project, names, base or "", "--variant")
    if dry_run:
        wanted = Wanted(mirror=mirror, origin=origin)
        for name in names:
            plan = plan_build(
                lab.workspace, lab.project, name, source_dir=source, wanted=wanted,
                progress=lab.progress,
            )
            common.say("\n".join(plan.steps()))
        return
    builds = [
        lab.build(name, source=source, mirror=mirror, origin=origin, jobs=jobs, force=force)
        for name in names
    ]
    if as_json:
        common.print_json([
            {"directory": str(build.directory), **build.kernel.model_dump()} for build in builds
        ])
        return
    for build in builds:
        common.say(f"{build.variant}: {build.release}  {build.bzimage}")
