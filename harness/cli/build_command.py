"""``harness build``: kernels from source."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import common
from harness.cli.common import Words
from harness.project.config import Project


def build(
    variant: Annotated[
        Words | None,
        typer.Option(
            "--variant", parser=Words.parse, metavar="A,B",
            help="Variants [the default ones of harness.toml, or the base's].",
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
    from harness.kernel.build.builds import build_variant, plan_build  # noqa: PLC0415
    from harness.kernel.source.fetching import Wanted  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace, base=base)
    names = _variants(env.project, variant, base or "")
    wanted = Wanted(mirror=mirror, origin=origin)
    if dry_run:
        for name in names:
            plan = plan_build(
                env.workspace, env.project, name, source_dir=source, wanted=wanted,
                progress=env.progress,
            )
            common.say("\n".join(plan.steps()))
        return
    builds = [
        build_variant(
            env.workspace, env.project, name, source_dir=source, wanted=wanted,
            jobs=jobs or None, force=force, progress=env.progress,
        )
        for name in names
    ]
    if as_json:
        common.print_json([
            {"directory": str(b.directory), **b.kernel.model_dump()}
            for b in builds
        ])
    else:
        for b in builds:
            common.say(f"{b.variant}: {b.release}  {b.bzimage}")


def _variants(project: Project, given: Words | None, base: str) -> list[str]:
    """The variants to build; with ``base`` they must be of that one."""
    wanted = project.config.defaults.variants if given is None else list(given)
    common.check_base(project, wanted, base, "--variant")
    return wanted
