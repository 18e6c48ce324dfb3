"""``run.json``: all that is needed to judge what lies beside it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from harness.records.costs import CacheSizes, Calibration
from harness.records.hosts import (
    AccelChoice,
    Emulator,
    FleetHost,
    HarnessVersion,
    Host,
    ImageRecord,
)
from harness.records.kernels import Kernel
from harness.records.plans import Plan, SuitePlan
from harness.records.record import SCHEMA, Name, Record
from harness.records.workloads import WorkloadRecord

RunStatus = Literal["running", "complete", "crashed", "interrupted", "failed"]


class Run(Record):
    """One execution of a plan: a measurement, or a suite of tests."""

    schema_version: int = SCHEMA
    run: str
    """Name of its directory when it was begun."""
    status: RunStatus = "running"
    started: str = ""
    """UTC, ISO 8601."""
    finished: str = ""
    process: int = 0
    """PID of the harness that conducts it, while its status is ``running``; else 0. A run that
    says ``running`` and whose process is gone was killed."""
    harness: HarnessVersion = Field(default_factory=HarnessVersion)
    host: Host = Field(default_factory=Host)
    """The computer that conducted the run, and did its boots where ``hosts`` names none."""
    hosts: dict[Name, FleetHost] = Field(default_factory=dict)
    """The computers of a fleet that did boots, by name."""
    plan: Annotated[Plan | SuitePlan, Field(discriminator="kind")]
    kernels: dict[Name, Kernel] = Field(default_factory=dict)
    """The build of each variant, in layout 0."""
    other_layouts: list[Kernel] = Field(default_factory=list)
    """The builds of variants in further layouts; each says which variant and layout it is."""
    workloads: dict[Name, WorkloadRecord] = Field(default_factory=dict)
    """What the metrics of each workload mean."""
    accels: list[AccelChoice] = Field(default_factory=list)
    """What each accel of the plan became here."""
    emulator: Emulator = Field(default_factory=Emulator)
    image: ImageRecord | None = None
    caches: CacheSizes | None = None
    """Those that were modelled in the counted boots of the first history; None: none."""
    calibration: Calibration | None = None
    """What events cost on the computer that conducted the run, where caches were modelled and
    that was known."""

    def kernel(self, variant: str, layout: int = 0) -> Kernel | None:
        """The build of a variant in a layout; None when there is none."""
        if layout == 0:
            return self.kernels.get(variant)
        others = (one for one in self.other_layouts if one.variant == variant)
        return next((one for one in others if one.layout.number == layout), None)
