"""Profiles of a run as it is measured: a plugin for each counted boot, a record for each cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.workspace import Workspace
from harness.kernel.build.builds import Build
from harness.machine import qemu
from harness.measure.profiles import plugin, symbols
from harness.measure.profiles.caches import CacheReader, CacheSpec
from harness.measure.profiles.collect import Modelled, Origin, WindowCollector
from harness.measure.profiles.rawfile import Reader
from harness.measure.windows import Scale
from harness.records.costs import CacheSizes
from harness.records.plans import Cell, PlannedBoot
from harness.records.profiles import CellProfile

FOLDER = "guest/plugin"


@dataclass
class BootProfiler:
    """The profiles of one boot."""

    run: str
    boot: PlannedBoot
    collector: WindowCollector
    spec: plugin.PluginSpec
    modelled: CacheSpec | None = None
    """The caches that are modelled in this boot."""

    def qemu_args(self) -> list[str]:
        """The words for QEMU's command line."""
        return self.spec.qemu_args() + (self.modelled.qemu_args() if self.modelled else [])

    def begin(self) -> None:
        """What the guest did so far was its history: it is left out."""
        self.collector.skip()

    def cell(self, cell: Cell, scales: Iterable[Scale | None]) -> list[CellProfile]:
        """The profiles of the cell that has just been measured; none where it marks nothing."""
        scale = next((one for one in scales if one is not None), Scale())
        origin = Origin(
            self.run, self.boot.variant, self.boot.index, cell.workload, cell.params,
            self.boot.control, self.boot.seed, self.boot.layout,
        )
        return self.collector.take(origin, scale)

    def end(self) -> None:
        """The windows are in the record: the raw output goes, however the boot ended."""
        self.spec.output.unlink(missing_ok=True)
        self.spec.entries.unlink(missing_ok=True)
        if self.modelled:
            self.modelled.output.unlink(missing_ok=True)


@dataclass
class RunProfiler:
    """Makes the profilers of a run's boots; ``library`` is the plugin."""

    run: str
    directory: Path
    """The run's."""
    library: Path
    follow: int = 1
    """Windows of a series whose call paths are kept, in boots of the first history and layout:
    following costs as much again as counting."""
    caches: CacheSizes | None = None
    """Modelled in the same boots, which makes them some times slower; None: not at all."""
    _first: int | None = None
    _symbols: dict[str, symbols.Symbols] = field(default_factory=dict)

    def boot(self, boot: PlannedBoot, build: Build, folder: Path) -> BootProfiler:
        """A profiler for one boot, with its files in the boot's folder."""
        if build.key not in self._symbols:
            self._symbols[build.key] = symbols.load(build.system_map, build.vmlinux)
        names = self._symbols[build.key]
        self._first = boot.seed if self._first is None else self._first
        first = boot.seed == self._first and not boot.layout
        follow = self.follow if first else 0
        folder.mkdir(parents=True, exist_ok=True)
        spec = plugin.PluginSpec(
            self.library, folder / "profile.raw", folder / "profile.entries", follow=follow
        )
        names.write_entries(spec.entries)
        caches = CacheSpec(
            self.library.with_name(plugin.CACHES), folder / "caches.raw", self.caches
        ) if self.caches and first else None
        collector = WindowCollector(
            Reader(spec.output), names, folder / "profile", relative_to=self.directory,
            modelled=Modelled(CacheReader(caches.output), caches.caches) if caches else None,
        )
        return BootProfiler(self.run, boot, collector, spec, caches)


def make(
    workspace: Workspace, sources: Path, run: str, directory: Path, warn: Callable[[str], None]
) -> RunProfiler | None:
    """A profiler for a run, or None with a warning that says why this host cannot profile."""
    try:
        library = plugin.build(workspace, sources, qemu.binary())
    except HarnessError as error:
        warn(f"no profiles: {error.line()}")
        return None
    return RunProfiler(run, directory, library)
