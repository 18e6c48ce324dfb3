"""What events cost on this host's CPU, from programs that are timed here and counted in a guest.

``guest/calibrate.c`` is run twice. On the host its rounds are timed: user space only, so that no
right to count cycles is needed. In a guest whose caches are modelled the events of the same rounds
are counted. Costs are fitted to both by non-negative least squares on relative errors (Lawson and
Hanson, *Solving least squares problems*, 1974; scipy.optimize.nnls). Each program is then estimated
by costs that were fitted without it: what is stated is the error for code that was not fitted.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy.optimize import nnls

from harness.core.deadline import Deadline
from harness.core.errors import InfrastructureError
from harness.core.proc import capture
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build.builds import Build
from harness.machine import qemu
from harness.machine.session import Session
from harness.measure.hoststate import describe_host
from harness.measure.profiles import plugin
from harness.measure.profiles.caches import CacheReader, CacheSpec, CacheWindow
from harness.records.costs import CacheSizes, Calibration, EventCosts, ProgramCheck

STATE = "cycles"
PROGRAM = "calibrate"
CYCLE = "adds"
"""The operation that says what a cycle is."""
ADDITIONS = 2_000_000
"""In a round of it, each waiting for the one before: guest/calibrate.c."""
RUNS = 9
"""Of the program on the host: of each the quickest round of an operation counts."""
GUEST_ROUNDS = 3
SECONDS = 900.0
"""That the guest may take."""
TERMS = tuple(EventCosts.model_fields)
UNFITTED = frozenset({CYCLE, "hash", "near", "sum"})
"""What no sum of events can say: chains in which every instruction waits for the one before, and
memory that a prefetcher reads ahead. They show how far off an estimate is at its worst."""

Floats = NDArray[np.float64]


class Guests(Protocol):
    """What boots the guest."""

    workspace: Workspace
    progress: Progress

    def boot(
        self, kernel: Build, *, smp: int | None = None, accel: str | None = None,
        directory: Path | None = None, plugin: Sequence[str] = (),
    ) -> Session:
        """A session that is not started yet."""
        ...


@dataclass(frozen=True)
class Timed:
    """One operation of the program."""

    name: str
    program: bool
    rounds_ns: tuple[int, ...]


def calibrate(
    guests: Guests, build: Build, program: Path, sources: Path, caches: CacheSizes
) -> Calibration:
    """Time the program here, count its events in a guest of ``build``, and fit costs.

    Raises :class:`InfrastructureError` when host and guest did not run the same operations, and
    what building the plugin and booting raise.
    """
    library = plugin.build(guests.workspace, sources, qemu.binary()).with_name(plugin.CACHES)
    with guests.progress.task("timing the programs on this host", RUNS) as task:
        host: list[list[Timed]] = []
        for i in range(RUNS):
            host.append(_timed(capture([str(program), "--rounds", "15"])))
            task.update(i + 1)
    guests.progress.say("counting the events of the same programs in a guest")
    events = _events(guests, build, program, library, caches)
    names = [one.name for one in host[0]]
    if len(events) != len(names):
        raise InfrastructureError(
            f"{len(names)} programs ran on the host and {len(events)} in the guest"
        )
    # Within a run, as the clock of a CPU changes from second to second.
    least = np.array([[min(one.rounds_ns) for one in run] for run in host], np.float64)
    cycles_ns = least[:, names.index(CYCLE)] / ADDITIONS
    measured = np.median(least / cycles_ns[:, None], axis=0)
    cycle_ns = float(np.median(cycles_ns))
    matrix = np.stack(events)
    fitted = np.array([name not in UNFITTED for name in names])
    return Calibration(
        when=datetime.now(UTC), cpu=describe_host().cpu, cycle_ns=cycle_ns, caches=caches,
        costs=fit(matrix[fitted], measured[fitted]),
        checks=[
            ProgramCheck(
                name=one.name, program=one.program, measured=float(measured[i]),
                estimated=_estimate(matrix, measured, fitted, i, without=one.program),
            ) for i, one in enumerate(host[0]) if one.name != CYCLE
        ],
    )


def remembered(workspace: Workspace) -> Calibration | None:
    """What was found last on this host; None when nothing was, or on another CPU."""
    try:
        found = Calibration.model_validate(workspace.read_state(STATE), strict=False)
    except ValidationError:
        return None
    return found if found.cpu == describe_host().cpu else None


def remember(workspace: Workspace, found: Calibration) -> None:
    """Keep what was found for the runs that come."""
    workspace.write_state(STATE, found.model_dump(mode="json"))


def _timed(text: str) -> list[Timed]:
    found = [json.loads(line) for line in text.splitlines()]
    return [Timed(one["op"], one["program"], tuple(one["rounds_ns"])) for one in found]


def _events(
    guests: Guests, build: Build, program: Path, library: Path, caches: CacheSizes
) -> list[Floats]:
    """Events of a round of each operation, in the program's order: :data:`TERMS`."""
    with tempfile.TemporaryDirectory(dir=guests.workspace.dir("tmp")) as scratch:
        spec = CacheSpec(library, Path(scratch) / "caches.raw", caches)
        session = guests.boot(
            build, smp=1, accel="icount", directory=Path(scratch) / "boot",
            plugin=spec.qemu_args(),
        )
        with session:
            session.push(program, f"/opt/harness/{PROGRAM}")
            session.run(
                f"/opt/harness/{PROGRAM} --warmup 2 --rounds {GUEST_ROUNDS}",
                deadline=Deadline(SECONDS),
            )
            session.check()
        series: dict[int, list[Floats]] = {}
        for window in CacheReader(spec.output).windows():
            if not window.torn:
                series.setdefault(window.series, []).append(_terms(window))
    return [np.mean(series[number], axis=0) for number in sorted(series)]


def _terms(window: CacheWindow) -> Floats:
    user, place = window.user, window.places[0]
    found = EventCosts(
        # Rounds of a string instruction are one instruction of a CPU, and that a string.
        instruction=user.instructions - user.string_rounds - user.locked, call=user.calls,
        mispredicted=float(place["mispredicted"]), locked=user.locked, string=user.strings,
        string_byte=user.string_bytes, string_line=float(place["string_lines"]),
        l1d_miss=float(place["l1d_misses"]), l1i_miss=float(place["l1i_misses"]),
        l2_miss=float(place["l2_misses"]),
    )
    return np.array([getattr(found, name) for name in TERMS], np.float64)


def fit(events: Floats, cycles: Floats) -> EventCosts:
    """Costs that explain ``cycles`` (of each program) by ``events`` (program, term)."""
    return EventCosts(**dict(zip(TERMS, map(float, _solve(events, cycles)), strict=True)))


def _solve(events: Floats, cycles: Floats) -> Floats:
    weighted = events / cycles[:, None]
    scale = np.maximum(np.abs(weighted).max(axis=0), 1e-12)
    found, _ = nnls(weighted / scale, np.ones(len(cycles)))
    return np.asarray(found / scale, np.float64)


def _estimate(
    events: Floats, cycles: Floats, fitted: NDArray[np.bool_], which: int, *, without: bool
) -> float:
    keep = fitted & (np.arange(len(cycles)) != which) if without else fitted
    return float(events[which] @ _solve(events[keep], cycles[keep]))
