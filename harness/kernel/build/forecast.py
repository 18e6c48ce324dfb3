"""Which kernels a command would have to build first, and about how long that takes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.core.workspace import Workspace
from harness.kernel.build.recipe import plan_build
from harness.project.config import Project

FIRST_CORE_SECONDS = 960.0
"""A whole build on one core, where this workspace has none to go by: 8 minutes on two."""
AGAIN_SHARE = 0.15
"""Of a whole build's time, for a work tree that has objects of another state of the variant."""


@dataclass(frozen=True)
class Forecast:
    """A kernel that is not in the cache."""

    variant: str
    seconds: float
    """Wall seconds that its build takes, roughly."""


def forecast(workspace: Workspace, project: Project, variants: Iterable[str]) -> list[Forecast]:
    """The kernels that are to be built, in order; nothing is fetched or written to find out.

    Raises :class:`UserError` for an unknown variant.
    """
    whole = whole_build_seconds(workspace)
    found: list[Forecast] = []
    slots: set[str] = set()
    for variant in dict.fromkeys(variants):
        plan = plan_build(workspace, project, variant, fetch=False)
        if plan.cached is None:
            there = (workspace.root / plan.slot / "src" / ".obj" / "vmlinux").exists()
            again = there or plan.slot in slots
            slots.add(plan.slot)
            found.append(Forecast(variant, whole * (AGAIN_SHARE if again else 1.0)))
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
    named = ", ".join(f"{one.variant} {one.seconds / 60:.0f}" for one in forecasts)
    total = sum(one.seconds for one in forecasts) / 60
    return f"to be built first, about {total:.0f} minutes (minutes each: {named})"
