"""``harness doctor`` and ``harness cache``: the machine's health and the cache's size."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common
from harness.core.errors import EXIT_USER, UserError
from harness.core.proc import capture
from harness.core.workspace import Workspace
from harness.project import reading
from harness.project.config import Project

PARTS = ("builds", "work", "sources", "series", "images", "programs", "disks", "downloads",
         "ccache", "logs", "tmp", "guests")
HALF_MADE_S = 3600.0
# Rebuilt by the next command; what is left out costs a download or two kernel builds.

PRUNED = ("logs", "tmp", "guests", "downloads", "work")


def doctor(
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Check every tool, permission, disk and memory need, and say how to mend what is missing.

    Example: harness doctor --json
    """
    from harness import doctor as doctors  # noqa: PLC0415

    findings = doctors.examine(Workspace(workspace), _project_here())
    if as_json:
        common.print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            if quiet and finding.state == doctors.OK:
                continue
            common.say(f"{finding.state:8} {finding.what:15} {finding.found}  ({finding.purpose})")
            if finding.remedy:
                common.say(f"{'':8} {'':15} -> {finding.remedy}")
    if any(finding.state == doctors.MISSING for finding in findings):
        raise typer.Exit(EXIT_USER)


def _project_here() -> Project | None:
    """The project that we are in; None where there is none, as on a computer just set up."""
    try:
        root = reading.find_root()
    except UserError:
        return None
    return reading.load(root)


def cache(
    action: Annotated[str, typer.Argument(help="show, prune (work trees, logs) or clear (all).")]
    = "show",
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """Show what the cache holds, or free space in it.

    Example: harness cache prune
    """
    cache_dir = Workspace(workspace)
    root = cache_dir.root
    if action not in ("show", "prune", "clear"):
        raise UserError(f"unknown action '{action}'", hint="known: show, prune, clear")
    if action != "show":
        with cache_dir.sole("bench", "a bench runs"):
            for part in PRUNED if action == "prune" else PARTS:
                shutil.rmtree(root / part, ignore_errors=True)
            _drop_half_made(root)
    sizes = {part: _size(root / part) for part in PARTS if (root / part).exists()}
    if as_json:
        common.print_json({"root": str(root), "bytes": sizes})
        return
    common.say(str(root))
    for part, size in sorted(sizes.items(), key=lambda item: -item[1]):
        common.say(f"  {part:10} {size / 2**20:10.1f} MiB")


def _drop_half_made(root: Path) -> None:
    """Remove what killed runs left half-made; an hour old, so that nobody is at it."""
    for part in PARTS:
        for path in (root / part).glob(".*"):
            if path.is_dir() and time.time() - path.stat().st_mtime > HALF_MADE_S:
                shutil.rmtree(path, ignore_errors=True)


def _size(folder: Path) -> int:
    """Bytes on disk below a folder; sparse images count what they occupy."""
    said = capture(["du", "--summarize", "--block-size=1", str(folder)], timeout=600, check=False)
    return int(said.split()[0]) if said.strip() else 0
