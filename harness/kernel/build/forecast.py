"""Which kernels a command would have to build first, and about how long that takes."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.plurals import plural
from harness.core.workspace import Workspace
from harness.kernel.build.recipe import plan_build
from harness.project.config import Project

FIRST_CORE_SECONDS = 960.0
"""A whole build on one core, where this workspace has none to go by: 8 minutes on two."""
AGAIN_SHARE = 0.15
"""Of a whole build's time, for a work tree that has objects of another state of the variant."""
LINK_SHARE = 0.05
"""Of a whole build's time, for another layout of what is built: it is linked and compressed."""


@dataclass(frozen=True)
class Forecast:
    """A kernel that is not in the cache."""

    variant: str
    seconds: float
    """Wall seconds that its build takes, roughly."""
    layout: int = 0


def forecast(
    workspace: Workspace, project: Project, variants: Iterable[str], layouts: int = 1
) -> list[Forecast]:
    """The kernels that are to be built, in order; nothing is fetched or written to find out.

    Raises :class:`UserError` for an unknown variant.
    """
    whole = whole_build_seconds(workspace)
    found: list[Forecast] = []
    built: dict[str, str] = {}  # slot to the variant that it holds by then
    for variant, layout in itertools.product(dict.fromkeys(variants), range(layouts)):
        plan = plan_build(workspace, project, variant, fetch=False, layout=layout)
        if plan.cached is None:
            there = (workspace.root / plan.slot / "src" / ".obj" / "vmlinux").exists()
            share = AGAIN_SHARE if there or plan.slot in built else 1.0
            if built.get(plan.slot) == variant:
                share = LINK_SHARE
            built[plan.slot] = variant
            found.append(Forecast(variant, whole * share, layout))
    return found


def whole_build_seconds(workspace: Workspace) -> float:
    """What a build from nothing takes here: the longest that this workspace remembers."""
    seconds = []
    for path in (workspace.root / "builds").glob("*/build.json"):
        try:
            seconds.append(float(json.loads(path.read_text())["seconds"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return max(seconds, default=FIRST_CORE_SECONDS / (os.cpu_count() or 1))


def words(forecasts: Sequence[Forecast]) -> str:
    """In one line, for a person; empty when nothing is to be built."""
    if not forecasts:
        return ""
    parts = [f"{one.variant} {one.seconds / 60:.0f}" for one in forecasts if not one.layout]
    others = [one.seconds for one in forecasts if one.layout]
    if others:
        parts.append(f"{plural(len(others), 'other layout')} {sum(others) / 60:.0f} together")
    named = ", ".join(parts)
    total = sum(one.seconds for one in forecasts) / 60
    return f"to be built first, about {total:.0f} minutes (minutes each: {named})"
