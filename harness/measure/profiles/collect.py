"""From a plugin's windows to profiles: sums over functions, the right windows, call paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.measure.profiles import rawfile
from harness.measure.profiles.caches import CacheReader, CacheWindow
from harness.measure.profiles.rawfile import Raw, Reader, Window
from harness.measure.profiles.symbols import INTERRUPT, KERNEL_START, Symbols
from harness.measure.windows import Scale
from harness.records.costs import CacheSizes, MissCounts
from harness.records.profiles import CellProfile, FunctionTable, PathTable, RoundChoice
from harness.records.record import Params

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TRIM = 0.1
# Where other work than the operation's begins in a task's own path.
OTHER_WORK = frozenset({
    "__do_softirq", "handle_softirqs", "kthread", "do_idle", "cpu_startup_entry", "rest_init",
})
ROOT_NAME = "[kernel]"
PAGE_FAULT = "asm_exc_page_fault"
UNKNOWN = "[unknown]"
MISSES = tuple(MissCounts.model_fields)


@dataclass(frozen=True)
class Origin:
    """Which cell of which boot the windows are from."""

    run: str
    variant: str
    boot: int
    workload: str
    params: Params
    control: bool = False
    seed: int | None = None
    layout: int = 0


@dataclass
class WindowCollector:
    """Turns the output of one boot's plugin into profiles, cell after cell."""

    reader: Reader
    symbols: Symbols
    directory: Path | None = None
    """Where counts of single instructions are kept; None: they are not."""
    relative_to: Path | None = None
    modelled: Modelled | None = None
    """The caches that are modelled in this boot."""
    _series: int = field(default=0, init=False)

    def skip(self) -> None:
        """Forget the windows so far: those of the boot's history."""
        for window in self.reader.windows():
            self._series = window.series
        if self.modelled:
            self.modelled.read()

    def take(self, origin: Origin, scale: Scale) -> list[CellProfile]:
        """The profiles of the windows since the last call: one per series and window number.

        Series are the repeats of the cell, in order. Torn windows are left out.
        """
        first = self._series
        if self.modelled:
            self.modelled.read()
        found: dict[tuple[int, int], list[Window]] = {}
        for window in self.reader.windows():
            self._series = window.series
            if not window.torn:
                found.setdefault((window.series, window.number), []).append(window)
        repeats = {series: i for i, series in enumerate(sorted({key[0] for key in found}))}
        return [
            self._profile(origin, scale, repeats[series], number, windows)
            for (series, number), windows in found.items() if series >= first
        ]

    def _profile(
        self, origin: Origin, scale: Scale, repeat: int, number: int, windows: Sequence[Window]
    ) -> CellProfile:
        raw, sums = self.reader.raw, Sums(self.reader.raw, self.symbols)
        slots = np.stack([sums.by_slot(window) for window in windows])
        kernel = slots[:, raw.sites["executed"]].sum(axis=1)
        user = np.array([float(window.user.sum()) for window in windows])
        # An instruction that faults is begun twice and counted once by -icount.
        user = np.maximum(user - slots[:, sums.slots_at(PAGE_FAULT)].sum(axis=1), 0.0)
        used = chosen(kernel + user, scale.choice)
        misses = MissCounts()
        followed = next((window for window in windows if window.followed), None)
        tree = Tree(raw, self.symbols, followed) if followed else None
        mean = slots[used].mean(axis=0)
        functions, outside = sums.functions(mean, slots, tree)
        if self.modelled:
            functions, misses = self.modelled.add(
                functions, [windows[i] for i in used], self.symbols
            )
        totals = kernel + user
        return CellProfile(
            run=origin.run, variant=origin.variant, control=origin.control, boot=origin.boot,
            seed=origin.seed, layout=origin.layout, workload=origin.workload,
            params=origin.params, repeat=repeat,
            window=number, rounds=len(windows), choice=scale.choice, unit=scale.unit,
            units=scale.units, user=float(user[used].mean()), kernel=float(kernel[used].mean()),
            low=float(totals.min()), high=float(totals.max()), outside=outside,
            functions=functions, paths=tree.table() if tree else None,
            paths_total=tree.total if tree else 0.0,
            sites=self._keep(origin, repeat, number, mean),
            caches=self.modelled.caches if self.modelled else None, user_misses=misses,
        )

    def _keep(self, origin: Origin, repeat: int, number: int, mean: Floats) -> str:
        if self.directory is None:
            return ""
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / f"sites-{self._series}-{repeat}-{number}.npz"
        sites = self.reader.raw.sites
        counts = mean[sites["executed"]]
        used = counts > 0
        np.savez_compressed(path, pc=sites["pc"][used], count=counts[used])
        return str(path.relative_to(self.relative_to or self.directory))


@dataclass
class Modelled:
    """What the plugin that models caches found, by the same windows."""

    reader: CacheReader
    caches: CacheSizes
    _windows: dict[tuple[int, int, int], CacheWindow] = field(default_factory=dict, init=False)

    def read(self) -> None:
        """Take the windows that have ended since the last call, and forget those before."""
        self._windows = {
            (window.series, window.number, window.nth): window
            for window in self.reader.windows() if not window.torn
        }

    def add(
        self, table: FunctionTable, used: Sequence[Window], symbols: Symbols
    ) -> tuple[FunctionTable, MissCounts]:
        """The table with the misses of each function, and user space's: means over windows."""
        found = [
            self._windows[key] for window in used
            if (key := (window.series, window.number, window.nth)) in self._windows
        ]
        if not found:
            return table, MissCounts()
        places = np.concatenate([window.places for window in found])
        at = symbols.at(places["pc"].astype(np.uint64))
        kernel = places["pc"] >= KERNEL_START
        names = np.array([symbols.names[i] for i in at], dtype=object)
        columns: dict[str, list[float]] = {}
        user: dict[str, float] = {}
        for name in MISSES:
            values = places[name].astype(np.float64) / len(found)
            sums: dict[str, float] = {}
            for function, value in zip(names[kernel], values[kernel], strict=True):
                sums[function] = sums.get(function, 0.0) + float(value)
            columns[name] = [round(sums.get(function, 0.0), 3) for function in table.function]
            user[name] = float(values[~kernel].sum())
        return table.model_copy(update=columns), MissCounts(**user)


def chosen(totals: Floats, choice: RoundChoice) -> list[int]:
    """The windows that count: see :data:`RoundChoice`."""
    order = np.argsort(totals, kind="stable")
    if choice == "median":
        return [int(order[(len(order) - 1) // 2])]
    cut = int(len(order) * TRIM) if choice == "trimmed" else 0
    return sorted(int(i) for i in order[cut:len(order) - cut])


class Sums:
    """Adds counters up by function."""

    def __init__(self, raw: Raw, symbols: Symbols) -> None:
        self.raw = raw
        self.symbols = symbols
        self.slots = raw.slots
        where = symbols.at(raw.sites["pc"].astype(np.uint64))
        names = [symbols.names[i] if i >= 0 else symbols.names[-1] for i in where]
        self.names, inverse = np.unique(np.array(names, dtype=object), return_inverse=True)
        self.inverse: Ints = inverse.astype(np.int64).reshape(-1)
        self.files = symbols.file_of
        self.nowhere = symbols.names[-1]

    def by_slot(self, window: Window) -> Floats:
        """The counters of all vCPUs together."""
        values = window.counts["value"].astype(np.float64)
        return np.bincount(window.counts["slot"], values, self.slots).astype(np.float64)

    def slots_at(self, symbol: str) -> Ints:
        """Counters of the first instruction of a symbol."""
        starts = {int(self.symbols.starts[i]) for i, name in enumerate(self.symbols.symbols)
                  if name == symbol}
        at = np.isin(self.raw.sites["pc"], np.array(sorted(starts), np.uint64))
        return np.unique(self.raw.sites["executed"][at]).astype(np.int64)

    def _add(self, values: Floats, only: NDArray[np.bool_] | None = None) -> Floats:
        if only is not None:
            values = np.where(only, values, 0.0)
        return np.bincount(self.inverse, values, len(self.names)).astype(np.float64)

    def functions(
        self, mean: Floats, rounds: Floats, tree: Tree | None
    ) -> tuple[FunctionTable, float]:
        """The table of functions that ran, and the instructions outside of the kernel's image."""
        sites = self.raw.sites
        mean, rounds = mean.copy(), rounds.copy()
        mean[0] = 0.0  # counter 0 stands for "has none"
        rounds[:, 0] = 0.0
        executed, kind = mean[sites["executed"]], sites["kind"]
        instructions = self._add(executed)
        per_round = np.stack([self._add(one[sites["executed"]]) for one in rounds])
        string = (kind & rawfile.REP) != 0
        width = np.left_shift(1, (kind >> rawfile.WIDTH_SHIFT).astype(np.int64))
        operations = mean[sites["operations"]]
        # An emulator counts the last look at the counter as well, which touches no memory.
        elements = np.maximum(executed - operations, 0.0)
        accesses = np.where(string, elements, executed)
        background = tree.background_by_name() if tree else {}
        used = np.flatnonzero(per_round.any(axis=0))
        names = [str(name) for name in self.names]

        def column(values: Floats) -> list[float]:
            return [round(float(value), 3) for value in values[used]]

        def having(bit: int, counts: Floats = executed) -> list[float]:
            return column(self._add(counts, (kind & bit) != 0))

        table = FunctionTable(
            function=[names[i] for i in used], file=[self.files.get(names[i], "") for i in used],
            instructions=column(instructions), spread=column(per_round.std(axis=0)),
            background=[float(background.get(names[i], 0.0)) for i in used],
            loads=having(rawfile.LOAD, accesses), stores=having(rawfile.STORE, accesses),
            branches=having(rawfile.JMP | rawfile.JCC), calls=having(rawfile.CALL),
            locked=having(rawfile.LOCKED), tlb=having(rawfile.TLB), messages=having(rawfile.MSR),
            interrupts=having(rawfile.IPI),
            string_operations=column(self._add(operations)),
            string_instructions=column(self._add(executed, string)),
            string_bytes=column(self._add(elements * width, string)),
        )
        outside = float(instructions[self.names == self.nowhere].sum())
        return table, outside


class Tree:
    """The call paths of a window that was followed."""

    def __init__(self, raw: Raw, symbols: Symbols, window: Window) -> None:
        count = len(raw.nodes)
        self.calls = np.zeros(count, np.int64)
        self.own = np.zeros(count, np.int64)
        self.calls[window.visits["node"]] = window.visits["calls"].astype(np.int64)
        self.own[window.visits["node"]] = window.visits["self"].astype(np.int64)
        self.parent = raw.nodes["parent"].astype(np.int64)
        self.names = [ROOT_NAME] + [
            symbols.names[entry] if (entry := symbols.entry(int(number))) >= 0 else UNKNOWN
            for number in raw.nodes["function"][1:]
        ]
        self.background = self._background(raw.nodes["kind"])
        self.total = float(self.own.sum())

    def _background(self, kinds: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """A parent comes before its children, so that one pass is enough."""
        found = np.zeros(len(kinds), bool)
        for i in range(1, len(kinds)):
            parent = int(self.parent[i])
            # A task that sleeps since before the window was followed begins in its middle: it
            # is none of the workload's, whose tasks enter the kernel from user space.
            found[i] = (
                found[parent] or kinds[i] == INTERRUPT or self.names[i] in OTHER_WORK
                or (parent == 0 and kinds[i] == 0)
            )
        return found

    def background_by_name(self) -> dict[str, float]:
        """Instructions of each function in interrupts and other tasks."""
        sums: dict[str, float] = {}
        for i in np.flatnonzero(self.background & (self.own > 0)):
            sums[self.names[i]] = sums.get(self.names[i], 0.0) + float(self.own[i])
        return sums

    def _kept(self) -> Iterator[int]:
        """Nodes that ran or were called, and their ancestors."""
        keep = (self.calls > 0) | (self.own > 0)
        for i in range(len(keep) - 1, 0, -1):
            if keep[i]:
                keep[self.parent[i]] = True
        keep[0] = True
        yield from (int(i) for i in np.flatnonzero(keep))

    def table(self) -> PathTable:
        """The tree as a record."""
        kept = list(self._kept())
        new = {old: i for i, old in enumerate(kept)}
        return PathTable(
            function=[self.names[i] for i in kept],
            parent=[new[int(self.parent[i])] for i in kept],
            calls=[int(self.calls[i]) for i in kept],
            instructions=[int(self.own[i]) for i in kept],
            background=[bool(self.background[i]) for i in kept],
        )
