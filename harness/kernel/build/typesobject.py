"""The types of a kernel, for who reads its memory: one object file with debugging information.

Kernels here are built without it, as with it a build takes several times the disk. Types depend on
sources and configuration and not on what was linked, so one file of the tree, compiled once more
with ``-g`` and told to keep also what it does not use, describes the kernel that runs: tasks, run
queues, page tables and all that they hold.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.core.deadline import Deadline
from harness.core.errors import HarnessError, InfrastructureError
from harness.core.proc import run_logged, tail
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build import neighbour
from harness.kernel.build.builds import Build, configured, maker
from harness.kernel.build.decode import has_lines
from harness.kernel.build.kbuild import Kbuild
from harness.kernel.build.recipe import BuildPlan, plan_build
from harness.kernel.build.worktree import WorkTree
from harness.kernel.source.sources import held, lay_out
from harness.project.config import Project

FOLDER, FILE = "types", "types.o"
UNIT = "kernel/sched/core"
"""Of all files the one that includes most of what describes tasks and memory."""
DEBUGGING = "-g -fno-eliminate-unused-debug-types"
LIMIT = 1800.0
_COMMAND = re.compile(r"^(?:saved)?cmd_\S+ := (.*)$", re.MULTILINE)


def find_types(workspace: Workspace, build: Build) -> Path | None:
    """The types of a build where they were made already."""
    found = workspace.published(FOLDER, build.key)
    return found / FILE if found else None


def make_types(
    workspace: Workspace, project: Project, build: Build, progress: Progress
) -> Path | None:
    """The types of a build, made if the cache does not have them.

    None, with a word about why, where the kernel describes itself or they cannot be had: the
    project says something else by now, or its tree does not compile.
    """
    if has_lines(build.vmlinux):
        return None
    if found := find_types(workspace, build):
        return found
    try:
        with held(workspace, project, project.base_name(build.variant)):
            plan = plan_build(workspace, project, build.variant, progress=progress, fetch=True)
            if plan.key != build.key:
                progress.warn(f"{build.variant} is built from something else by now: dumps of "
                              "its guests are read without its types")
                return None
            with workspace.lock(neighbour.lock_name(plan.slot), on_wait=lambda: progress.say(
                f"{build.variant}: another harness is building there; waiting for it"
            )), progress.task(f"compiling the types of {build.variant}"):
                return _make(workspace, plan, progress)
    except HarnessError as error:
        progress.warn(f"dumps of {build.variant} are read without its types: {error.line()}")
        return None


def _make(workspace: Workspace, plan: BuildPlan, progress: Progress) -> Path:
    """Bring the slot up to date and compile. The slot's lock is held."""
    assert plan.source is not None
    slot = workspace.root / plan.slot
    lay_out(workspace, plan.source, progress)
    tree = WorkTree(slot)
    tree.update(plan.source, plan.series, progress)
    log = slot / "types.log"
    log.unlink(missing_ok=True)
    make = maker(workspace, plan, tree, log, os.cpu_count() or 1)
    with tree.make_runs():
        configured(make, plan, progress)
        _run(make, make.make(f"{UNIT}.o"), tree.src)
        with workspace.publish(FOLDER, plan.key) as staging:
            _run(make, ["sh", "-c", command(tree.obj, staging / FILE)], tree.obj)
    return workspace.dir(FOLDER, plan.key) / FILE


def _run(make: Kbuild, argv: list[str], cwd: Path) -> None:
    """One command in make's environment; raises :class:`InfrastructureError` with its words."""
    code = run_logged(
        argv, make.log, cwd=cwd, env=make.environment(), deadline=Deadline(LIMIT)
    )
    if code:
        raise InfrastructureError(
            f"the kernel's types do not compile (exit code {code})",
            excerpt=tail(make.log, 20), log=make.log,
        )


def command(obj: Path, target: Path) -> str:
    """The tree's own command for the unit, with debugging information and another target.

    Raises :class:`InfrastructureError` where kbuild left no such command.
    """
    place = obj / UNIT
    made = place.with_name(f".{place.name}.o.cmd")
    match = _COMMAND.search(made.read_text()) if made.exists() else None
    # Behind it follow objtool's and others' words; none of them is about types.
    words = match[1].split(" ; ")[0].rstrip(" ;") if match else ""
    out = f"-o {UNIT}.o"
    if out not in words:
        raise InfrastructureError(f"kbuild left no command for {UNIT}.o in {made}")
    words = re.sub(r"-Wp,-MM?D,\S+", "", words)
    return words.replace(out, f"{DEBUGGING} -o '{target}'")
