"""A build: the kernel of one variant, found in the cache or made."""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core import digest
from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace, require_space
from harness.kernel.build import kbuild, kconfig, metadata, neighbour, reproducer
from harness.kernel.build.layoutlink import LayoutLinker
from harness.kernel.build.metadata import METADATA_FILE
from harness.kernel.build.recipe import RECIPE, BuildPlan, plan_build
from harness.kernel.build.worktree import WorkTree
from harness.kernel.source.fetching import Wanted
from harness.kernel.source.sources import Source, find_source, held, lay_out
from harness.project.config import Project
from harness.records.kernels import Kernel, LayoutRecord

__all__ = ["Build", "BuildPlan", "build_variant", "plan_build"]
MOST_NAMED = 12
DEFAULT_STEPS = 1583  # lines of a first build's progress, as measured on a lean 6.1
FRESH_SPACE, AGAIN_SPACE = 3 * 2**30, 2**29
MODULES = "modules.tar.gz"  # lib/modules/RELEASE, where a configuration has any
ARTEFACTS = {"bzImage": "arch/x86/boot/bzImage", "vmlinux": "vmlinux",
             "System.map": "System.map", "config": ".config"}


@dataclass(frozen=True)
class Build:
    """The artefacts of one variant."""

    directory: Path
    kernel: Kernel
    """All that decided what was built: the content of build.json."""

    @property
    def variant(self) -> str:
        """The name under which it is wanted."""
        return self.kernel.variant

    @property
    def key(self) -> str:
        """Its name in the cache: a digest of all its inputs."""
        return self.kernel.key

    @property
    def bzimage(self) -> Path:
        """The bootable image."""
        return self.directory / "bzImage"

    @property
    def vmlinux(self) -> Path:
        """The ELF image."""
        return self.directory / "vmlinux"

    @property
    def system_map(self) -> Path:
        """The symbol table."""
        return self.directory / "System.map"

    @property
    def modules(self) -> Path | None:
        """A tar file of lib/modules/RELEASE; None of a kernel without modules."""
        path = self.directory / MODULES
        return path if path.exists() else None

    @property
    def config(self) -> Path:
        """The final .config."""
        return self.directory / "config"

    @property
    def release(self) -> str:
        """The kernel release, such as 6.1.176."""
        return self.kernel.release

    @staticmethod
    def load(directory: Path, variant: str = "") -> Build:
        """Read a published build; ``variant`` is the name under which it is wanted now."""
        return Build(directory, metadata.read(directory, variant))


def build_variant(
    workspace: Workspace, project: Project, variant: str, *, source_dir: Path | None = None,
    wanted: Wanted | None = None, jobs: int | None = None, force: bool = False,
    progress: Progress | None = None, patches: int | None = None, layout: int = 0,
) -> Build:
    """The build of a variant, made if the cache does not have it.

    ``layout``: see :mod:`harness.kernel.build.layoutlink`.
    Raises :class:`UserError` for what the user can mend (names, patches, symbols,
    disk space) and :class:`InfrastructureError` with the first compiler error.
    """
    progress = progress or Progress(-1)
    with held(workspace, project, project.base_name(variant)):
        return _build(
            workspace, project, variant, jobs=jobs, force=force, progress=progress,
            plan=plan_build(
                workspace, project, variant, source_dir=source_dir, wanted=wanted,
                progress=progress, fetch=True, patches=patches, layout=layout,
            ),
        )


def _build(
    workspace: Workspace, project: Project, variant: str, *, plan: BuildPlan, jobs: int | None,
    force: bool, progress: Progress,
) -> Build:
    for note in plan.notes:
        progress.detail(note)
    if plan.cached and not force:
        progress.detail(f"{variant}: found {plan.cached}")
        return _found(plan.cached, plan)
    kbuild.check_tools(plan.requested)
    slot = workspace.root / plan.slot
    with workspace.lock(neighbour.lock_name(plan.slot), on_wait=lambda: progress.say(
        f"{variant}: another harness is building in {slot}; waiting for it"
    )):
        published = workspace.published("builds", plan.key)
        if published and not force:
            return _found(published, plan)
        return _make(
            workspace, project, plan, jobs=jobs or os.cpu_count() or 1, force=force,
            progress=progress,
        )


def _found(directory: Path, plan: BuildPlan) -> Build:
    """A published build as this plan names it: the same kernel may have been made for another."""
    names = {"variant": plan.variant, "base": plan.base, "lineage": plan.lineage}
    return Build(directory, metadata.read(directory).model_copy(update=names))


def _make(
    workspace: Workspace, project: Project, plan: BuildPlan, *, jobs: int, force: bool,
    progress: Progress,
) -> Build:
    """Bring the slot up to date, compile, publish. The slot's lock is held."""
    source, slot = plan.source, workspace.root / plan.slot
    assert source is not None
    start = time.monotonic()
    tree = WorkTree(slot)
    fresh = not (tree.obj / "vmlinux").exists()
    require_space(
        workspace.root, FRESH_SPACE if fresh else AGAIN_SPACE, f"the build of {plan.variant}"
    )
    lay_out(workspace, source, progress)
    written = tree.update(source, plan.series, progress)
    progress.detail(f"{plan.variant}: {len(written)} files changed in {tree.src}")
    _check_unchanged(workspace, project, plan)
    if force:
        tree.drop_objects()
    log = slot / "build.log"
    log.unlink(missing_ok=True)
    make = maker(workspace, plan, tree, log, jobs)
    memo = f"steps-{plan.slot.replace('/', '-')}"
    seen = int(workspace.read_state(memo).get("steps", 0))
    with tree.make_runs():
        config = configured(make, plan, progress)
        modules = re.search(r"^CONFIG_\w+=m$", config, re.MULTILINE) is not None
        if plan.essential is not None:
            _check_config(plan, kconfig.parse_config(config), progress)
        if fresh and not force:
            fresh = not neighbour.adopt(workspace, tree, progress)
        expected = (seen or DEFAULT_STEPS) if fresh or force else None
        make.linker.begin(tree.obj, make.wrappers)
        named = f"{plan.variant}, layout {plan.layout}" if plan.layout else plan.variant
        steps = make.compile(expected, f"building {named}", progress, modules=modules)
        layout = make.linker.end(make.wrappers)
    if steps > seen:  # fewer: it went on from where another was interrupted
        workspace.write_state(memo, {"steps": steps})
    kernel = _describe(plan, source, make, config, layout, seconds=time.monotonic() - start)
    with workspace.publish("builds", plan.key) as staging:
        for name, made in ARTEFACTS.items():
            shutil.copyfile(tree.obj / made, staging / name)
        if modules:
            make.pack_modules(staging / MODULES)
        shutil.copyfile(log, staging / "build.log")
        (staging / METADATA_FILE).write_text(kernel.model_dump_json(indent=1) + "\n")
        reproducer.write(staging, plan.series, source, make)
    return _found(workspace.root / "builds" / plan.key, plan)


def maker(
    workspace: Workspace, plan: BuildPlan, tree: WorkTree, log: Path, jobs: int
) -> kbuild.Kbuild:
    """What runs make in a tree as the plan has it."""
    return kbuild.Kbuild(
        tree.src, tree.obj, log, plan.key, jobs, workspace.dir("ccache"), plan.compat.make,
        kbuild.Wrapper.of(plan.compat.language, plan.compiler), LayoutLinker(plan.layout),
        plan.own_release,
    )


def configured(make: kbuild.Kbuild, plan: BuildPlan, progress: Progress) -> str:
    """Configure the tree as the plan has it; the text of its .config."""
    return make.configure(
        plan.requested, plan.optional, _config_stamp(plan), progress,
        tolerant=plan.essential is not None, start=plan.start,
    )


def _check_config(plan: BuildPlan, final: Mapping[str, str], progress: Progress) -> None:
    """Of a kernel of the user's: say once what it does not have, and stop if no guest can boot it.

    Raises :class:`UserError`.
    """
    lacking = sorted(name for name in plan.essential or () if final.get(name) != "y")
    if lacking:
        raise UserError(
            f"no guest can boot this configuration: {', '.join(f'CONFIG_{n}' for n in lacking)} "
            f"{'are' if len(lacking) > 1 else 'is'} not built in",
            hint="put the built-in fragment on top of it: --config FILE,guest",
        )
    if plan.requested.get("CC_IS_CLANG") == "y":
        progress.once("the configuration is of a kernel that clang built; gcc builds it here, "
                      "without what only clang can do")
    absent = sorted(kconfig.unmet(plan.requested, final, plan.optional))
    if absent:
        more = f" and {len(absent) - MOST_NAMED} more" if len(absent) > MOST_NAMED else ""
        progress.once(
            f"left out, as this kernel has it otherwise or not at all: "
            f"{', '.join(absent[:MOST_NAMED])}{more}"
        )


def _check_unchanged(workspace: Workspace, project: Project, plan: BuildPlan) -> None:
    """A tree of the user's must not have changed while it was copied: the key would lie."""
    source = plan.source
    if source is None or source.files is None or source.record.kind == "commit":
        return
    now = find_source(workspace, project, plan.base, source_dir=source.path)
    if now is None or now.digest != source.digest:
        raise UserError(f"{source.path} changed while it was being copied", hint="build again")


def _config_stamp(plan: BuildPlan) -> str:
    """Names the inputs of the .config: all but patches to files that Kconfig cannot read."""
    assert plan.source is not None
    source: object = plan.source.digest
    if plan.source.files is not None:
        source = {k: v for k, v in plan.source.files.items() if _matters_to_kconfig(k)}
    patches = [
        patch.sha256 for patch in (plan.series.patches if plan.series else [])
        if any(map(_matters_to_kconfig, patch.files))
    ]
    return digest.key([
        RECIPE, source, patches, list(plan.requested.items()), plan.compiler, plan.compat.inputs(),
        *([plan.start_digest] if plan.start else []),
    ])


def _matters_to_kconfig(name: str) -> bool:
    return (
        "Kconfig" in name or name.endswith((".config", "Makefile"))
        or name.startswith(("scripts/", "tools/"))
    )


def _describe(
    plan: BuildPlan, source: Source, make: kbuild.Kbuild, config: str, layout: LayoutRecord,
    *, seconds: float,
) -> Kernel:
    """The content of build.json."""
    patches = plan.series.patches if plan.series else []
    return Kernel(
        variant=plan.variant, key=plan.key, base=plan.base, lineage=plan.lineage,
        release=make.release(), source=source.record,
        patches=[patch.record() for patch in patches],
        series=plan.series.record if plan.series else None,
        fragments=plan.fragments, requested=plan.requested, layout=layout,
        config_digest=digest.of_bytes(config.encode()), compiler=plan.compiler,
        arch=platform.machine(), make_variables=plan.compat.make, compat=plan.compat.record(),
        tools={
            "make": kbuild.first_line(["make", "--version"]),
            "ccache": kbuild.first_line(["ccache", "--version"]),
        },
        jobs=make.jobs, seconds=round(seconds, 1),
    )
