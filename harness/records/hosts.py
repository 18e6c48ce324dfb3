"""Where a run was made: the host, this harness, the emulator, the image."""

from __future__ import annotations

from pydantic import Field

from harness.records.record import AccelName, Record

MOST_OTHERS_PCT = 10.0
MOST_STEAL_PCT = 5.0
MOST_MHZ_CHANGE_PCT = 10.0


class Host(Record):
    """The computer whose CPUs ran the kernels: the one that ran the harness and its guests, or the
    real machine of the plan."""

    name: str = ""
    """What the computer calls itself; empty where it was not written down."""
    cpu: str = ""
    """Model name."""
    cores: int = 0
    """That this process may use."""
    memory_kb: int = 0
    kernel: str = ""
    load: list[float] = Field(default_factory=list)
    """Load averages over 1, 5 and 15 minutes when the run began."""

    @property
    def label(self) -> str:
        """``2 x AMD EPYC``."""
        if not self.cpu and not self.cores:
            return "unknown host"
        return f"{self.cores or '?'} x {self.cpu or 'unknown CPU'}"


class HarnessVersion(Record):
    """Which harness made the run."""

    version: str = ""
    git: str = ""
    """Revision of the checkout; empty when it is installed from a package."""
    dirty: bool = False


class AccelChoice(Record):
    """What an accel of the plan became on this machine, and why."""

    name: AccelName
    reason: str = ""


class Emulator(Record):
    """The QEMU that ran the guests; empty for real machines."""

    binary: str = ""
    version: str = ""


class FleetHost(Record):
    """A computer of a fleet that did boots of a run."""

    host: Host = Field(default_factory=Host)
    """As it was before the first boot that it did."""
    accels: list[AccelChoice] = Field(default_factory=list)
    """What the accels of the plan became there."""
    emulator: Emulator = Field(default_factory=Emulator)
    harness: HarnessVersion = Field(default_factory=HarnessVersion)


class ImageRecord(Record):
    """The root file system that the guests booted from."""

    key: str
    suite: str = ""
    """The Debian suite that its packages are from."""
    packages: dict[str, str] = Field(default_factory=dict)
    """Package to version."""


class HostState(Record):
    """What the host did during a boot. None or empty: it does not say."""

    seconds: float | None = None
    load: float | None = None
    """The highest load average over one minute."""
    steal_pct: float | None = None
    """CPU time that the host's own hypervisor gave to others, of all CPU time."""
    others_pct: float | None = None
    """CPU time that went to other processes than the harness and its guest, of all CPU time."""
    mhz: list[float] = Field(default_factory=list)
    """Lowest and highest frequency of a CPU."""
    pinned: list[int] = Field(default_factory=list)
    """The host CPU that each vCPU thread was bound to; empty without CPUs to spare."""

    def troubles(self) -> list[str]:
        """What the host did that makes a boot's wall-clock figures useless, in words."""
        found = []
        if self.others_pct is not None and self.others_pct > MOST_OTHERS_PCT:
            found.append(f"other processes took {self.others_pct:.0f} % of the CPU time")
        if self.steal_pct is not None and self.steal_pct > MOST_STEAL_PCT:
            found.append(f"the host's hypervisor took {self.steal_pct:.0f} % of the CPU time")
        if self.mhz and min(self.mhz) < max(self.mhz) * (1 - MOST_MHZ_CHANGE_PCT / 100):
            low, high = min(self.mhz), max(self.mhz)
            found.append(f"the CPU's frequency moved from {low:.0f} to {high:.0f} MHz")
        return found
