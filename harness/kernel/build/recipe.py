"""What the build of a variant is made from, and what would have to be done for it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core import digest, versions
from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build import compat as compats
from harness.kernel.build import kbuild, kconfig
from harness.kernel.build.compat import Compat
from harness.kernel.build.layoutlink import GAPS
from harness.kernel.series import patchlist
from harness.kernel.series.patches import SERIES_CONFIG, Series
from harness.kernel.source.fetching import Wanted
from harness.kernel.source.sources import Source, find_source, get_source
from harness.project.bases import Base, CommitBase
from harness.project.config import Project

BOOTS_A_GUEST = "guest"  # the fragment whose essential symbols every configuration must have
RECIPE = 1  # goes up when the way of building changes what comes out


@dataclass(frozen=True)
class BuildPlan:
    """What has to be done for a variant. While something has to be fetched there is no key."""

    variant: str
    base: str
    lineage: str
    """What its build may be compared with: builds on the same base, or of the same tree."""
    slot: str
    source: Source | None
    series: Series | None
    """All patches: compat, series, the variant's own."""
    compat: Compat
    fragments: list[str]
    requested: dict[str, str]
    optional: frozenset[str]
    """Those requested symbols that the tree need not have."""
    essential: frozenset[str] | None
    """For a tree of the user's: those without which no guest boots; the others are asked for, and
    left out where this kernel does not have them. None: every symbol must be met."""
    notes: list[str]
    compiler: str
    key: str
    cached: Path | None
    to_fetch: tuple[str, ...] = ()
    layout: int = 0
    """Which of the layouts of the same sources; 0: as the tree's own build makes it."""
    own_release: bool = False
    """Whether the release ends with the key."""
    start: Path | None = None
    """A whole .config to begin with; None: tinyconfig."""
    start_digest: str = ""

    def steps(self) -> list[str]:
        """The plan in words, for --dry-run."""
        if self.cached:
            return [f"{self.variant}: nothing to do, {self.cached} is built"]
        count = len(self.series.patches) if self.series else 0
        source = f"apply {count} patch{'es' if count != 1 else ''} to {self.base}"
        if any(what.startswith("the series") for what in self.to_fetch):
            source = f"apply it to {self.base}"  # nobody knows yet how many it has
        elif not count:
            source = f"take {self.base} as it is"
        return [
            *[f"{self.variant}: fetch {what}" for what in self.to_fetch],
            f"{self.variant}: {source}, in {self.slot}",
            *[f"{self.variant}: with {rule.name}: {rule.reason}" for rule in self.compat.applied],
            f"{self.variant}: configure from {self.start or 'tinyconfig'} + "
            f"{', '.join(self.fragments)}"
            f" ({len(self.requested)} symbols)",
            f"{self.variant}: compile bzImage with {self.compiler}",
            *([f"{self.variant}: link it as layout {self.layout}"] if self.layout else []),
        ]


def plan_build(
    workspace: Workspace, project: Project, variant: str, *, source_dir: Path | None = None,
    wanted: Wanted | None = None, progress: Progress | None = None, fetch: bool = False,
    patches: int | None = None, layout: int = 0,
) -> BuildPlan:
    """What a build of the variant would do; downloads nothing unless ``fetch``.

    ``patches`` takes only so many patches from the start of the variant's series. ``layout`` is
    the number of another placement of its functions, see :mod:`harness.kernel.build.layoutlink`.

    Raises :class:`UserError` for an unknown name, a missing fragment, a missing or
    empty series.
    """
    progress = progress or Progress(-1)
    base, config = project.base_name(variant), project.variant(variant)
    # Before the source: a missing patch must not cost a download. After it for one that
    # costs a download itself.
    series = patchlist.own_series(workspace, project, variant, progress, fetch=False)
    source = (
        get_source(workspace, project, base, source_dir=source_dir, wanted=wanted,
                   progress=progress)
        if fetch else find_source(workspace, project, base, source_dir=source_dir)
    )
    absent = series is None and bool(project.series_name(variant))
    if absent and fetch:
        series = patchlist.own_series(workspace, project, variant, progress, fetch=True)
        absent = False
    compiler = kbuild.compiler_version()
    compat = (
        compats.choose(project.root, source.read, source.version, compiler) if source else Compat()
    )
    stack = patchlist.stack(project, variant, series, compat, patches)
    start, begins = _start(project, config.start)
    of_base = [] if start else project.base(base).config
    names = list(dict.fromkeys([*of_base, *config.config]))
    whole = series if series and (patches is None or patches >= len(series.patches)) else None
    requested, optional, notes = _symbols(project, of_base, names, whole, source)
    requested |= compat.config
    to_fetch = [*([] if source else [f"the source of {base}"]),
                *([f"the series {project.series_name(variant)}"] if absent else [])]
    key = ""
    if source and not absent:
        inputs = _inputs(source, stack, requested, compiler, compat, layout=layout)
        named = {"own_release": True} if config.own_release else {}
        key = digest.key({**inputs, **named, **({"start": begins} if start else {})})
    return BuildPlan(
        variant, base, _lineage(base, source, source_dir),
        f"work/{_slot_name(base, source)}/{config.tree or variant}", source, stack,
        compat, names, requested, optional,
        _essential(project, project.base(base), source), notes, compiler, key,
        workspace.published("builds", key) if key else None, tuple(to_fetch),
        layout, config.own_release, start, begins,
    )


def _start(project: Project, name: str) -> tuple[Path | None, str]:
    """The whole .config that a variant begins with, and its digest.

    Raises :class:`UserError` when it is not there.
    """
    if not name:
        return None, ""
    path = project.path(name)
    if not path.is_file():
        raise UserError(
            f"{path} is not there, the configuration that the kernel begins with",
            hint="`harness machines NAME --save-config FILE` takes it from a computer",
        )
    modules = kbuild.modules_beside(path)
    return path, digest.key([
        digest.of_file(one) for one in (path, modules) if one.is_file()
    ])


def _essential(project: Project, base: Base, source: Source | None) -> frozenset[str] | None:
    """See :attr:`BuildPlan.essential`."""
    if not isinstance(base, CommitBase) or not base.lenient:
        return None
    version = versions.parse(source.version) if source else None
    return kconfig.load_fragments(project, [BOOTS_A_GUEST], version)[0].essential


def _lineage(base: str, source: Source | None, source_dir: Path | None) -> str:
    """What the build may be compared with: its base's others, or those of the user's tree."""
    if source_dir is not None:
        return str(source_dir.expanduser().absolute())
    if source is not None and source.record.kind == "commit":
        return source.record.details["path"]
    return base


def _symbols(
    project: Project, of_base: Sequence[str], names: Sequence[str], series: Series | None,
    source: Source | None,
) -> tuple[dict[str, str], frozenset[str], list[str]]:
    """The requested symbols, the optional ones, and notes on what was overridden or left out.

    Of the fragments ``names`` those ``of_base`` come first, then what ``series``, when all of
    it is applied, asks for itself, and then the variant's.
    """
    version = versions.parse(source.version) if source else None
    fragments = kconfig.load_fragments(project, [n for n in names if n in of_base], version)
    if series and (path := series.directory / SERIES_CONFIG).exists():
        fragments.append(kconfig.parse_fragment(path.read_text(), str(path), version))
    fragments += kconfig.load_fragments(project, [n for n in names if n not in of_base], version)
    requested, notes = kconfig.merge(fragments)
    skipped = sorted({s for f in fragments for s in f.skipped} - set(requested))
    if source and skipped:
        notes.append(f"not for {source.version}: {', '.join(skipped)}")
    optional = frozenset().union(*(f.optional for f in fragments))
    return requested, optional, notes


def _inputs(
    source: Source, series: Series | None, requested: dict[str, str], compiler: str,
    compat: Compat, *, layout: int,
) -> dict[str, object]:
    """Everything that decides what the kernel will be."""
    return {
        "recipe": RECIPE, "source": source.digest,
        "patches": [patch.sha256 for patch in series.patches] if series else [],
        # Order counts: of two members of a choice the later one wins.
        "config": list(requested.items()), "compiler": compiler, "arch": platform.machine(),
        **compat.inputs(), **({"layout": [layout, GAPS]} if layout else {}),
    }


def _slot_name(base: str, source: Source | None) -> str:
    """Users' trees get work areas of their own, or each change of tree would copy it whole."""
    if source is None or source.files is None:
        return base
    if source.record.kind == "commit":  # one for all commits of a repository: only what
        return f"git+{source.record.details['path']}"  # differs is compiled
    return f"{base}+{digest.key(source.record.details['path'])[:8]}"
