"""What travels between the client of a fleet and its workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.fleet.parcels import Parcel
from harness.machine.session import BootOrder, Session
from harness.measure.runner import Bench
from harness.project.workload_tables import WorkloadTable
from harness.records.boots import BootRecord
from harness.records.costs import CacheSizes
from harness.records.hosts import FleetHost
from harness.records.plans import Plan
from harness.records.profiles import CellProfile
from harness.records.samples import Sample


@dataclass(frozen=True)
class DeclaredParts:
    """A workload that is data: its table, and the files that it pushes."""

    table: WorkloadTable
    files: Parcel | None = None
    program: Parcel | None = None
    """Compiled from its source, by the client."""


@dataclass(frozen=True)
class Supplies:
    """What the guests of a plan are made from."""

    builds: Mapping[tuple[str, int], Parcel]
    """By variant and layout."""
    image: Parcel
    programs: Parcel
    orders: Mapping[tuple[str, int], BootOrder]
    """By variant and layout; the worker fills in its own paths."""
    declared: Mapping[str, DeclaredParts] = field(default_factory=dict)
    profile: bool = False
    """Whether to record where counted instructions are."""
    caches: CacheSizes | None = None
    """Caches to model, as of :class:`harness.measure.measuring.Making`."""


class Desk(Protocol):
    """What a worker has for one job."""

    workspace: Workspace
    progress: Progress
    """Reaches the client."""

    def fetch(self, parcel: Parcel) -> Path:
        """The directory of a parcel's files on this host."""
        ...

    def begun(self, session: Session) -> None:
        """A session that is to be ended at once when nobody wants its result any more."""
        ...


@dataclass(frozen=True)
class Stand:
    """A bench that is ready on a worker, and what it stands on."""

    bench: Bench
    host: FleetHost


@dataclass(frozen=True)
class BootJob:
    """A task as a worker gets it. ``plan`` holds its boots and no others."""

    run: str
    plan: Plan
    planned: int
    """Boots of the whole plan."""
    topic: str
    """Of the events that it sends to the client."""
    version: str
    """Of the client's harness."""
    make: Callable[[BootJob, Desk, Path], Stand]
    """Makes the bench on the worker, for a run's directory there; found there by its name."""
    supplies: Supplies | None = None
    earlier: tuple[Sample, ...] = ()
    """What was measured in these boots before the run was interrupted."""


@dataclass(frozen=True)
class JobResult:
    """What a worker hands back."""

    host: FleetHost
    host_name: str
    boots: tuple[BootRecord, ...] = ()
    samples: tuple[Sample, ...] = ()
    """Without the earlier ones."""
    profiles: tuple[CellProfile, ...] = ()
    files: bytes = b""
    """Logs and raw output, a compressed tar archive of the run's directory ``boots``."""
    error: str = ""
    """Why it could not be done, in one line; a machine that crashed is no error."""
    exit_code: int = 0
    """Of the error."""
