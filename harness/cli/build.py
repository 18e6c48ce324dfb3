"""``harness build``: kernels from source."""

from __future__ import annotations

from typing import Annotated

import typer

from harness.cli import common
from harness.core.config import Project
from harness.core.errors import UserError


def build(
    variant: Annotated[
        str, typer.Option("--variant", help="Comma-separated variants [those of harness.toml].")
    ] = "",
    base: Annotated[
        str, typer.Option("--base", help="Only variants of this base; checks its name.")
    ] = "",
    source: common.SourceDir = None,
    mirror: common.MirrorUrl = None,
    jobs: common.Jobs = 0,
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
    from harness.kernel.build import build_variant, plan_build  # noqa: PLC0415

    env = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    wanted = _variants(env.project, variant, base)
    if dry_run:
        for name in wanted:
            plan = plan_build(
                env.workspace, env.project, name, source_dir=source, mirror=mirror,
                progress=env.progress,
            )
            common.say("\n".join(plan.steps()))
        return
    builds = [
        build_variant(
            env.workspace, env.project, name, source_dir=source, mirror=mirror,
            jobs=jobs or None, force=force, progress=env.progress,
        )
        for name in wanted
    ]
    if as_json:
        common.print_json([
            {"variant": b.variant, "key": b.key, "directory": str(b.directory), **b.metadata}
            for b in builds
        ])
    else:
        for b in builds:
            common.say(f"{b.variant}: {b.release}  {b.bzimage}")


def _variants(project: Project, text: str, base: str) -> list[str]:
    """The variants to build; with ``base`` those of it among the named or the default ones."""
    if base:
        project.base(base)
    wanted = common.names(text, "--variant") if text else list(project.config.defaults.variants)
    found = [name for name in wanted if not base or project.base_name(name) == base]
    if not found:
        raise UserError(
            f"none of the variants {', '.join(wanted)} has the base '{base}'",
            hint="give others with --variant",
        )
    return found
