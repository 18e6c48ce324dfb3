"""What suites, their conductor and nights ask of the laboratory: :class:`harness.lab.Lab`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.image.rootfs import Image
from harness.kernel.build.builds import Build
from harness.machine.accel import Accel
from harness.project.config import Project
from harness.records.hosts import Host

if TYPE_CHECKING:
    from harness.machine.session import Session


class Workbench(Protocol):
    """A project, a cache, and what can be built and booted with them."""

    @property
    def project(self) -> Project:
        """harness.toml."""
        ...

    @property
    def workspace(self) -> Workspace:
        """The cache."""
        ...

    @property
    def progress(self) -> Progress:
        """Where to say what is done."""
        ...

    def build(self, variant: str) -> Build:
        """The kernel of a variant, made if it is not in the cache."""
        ...

    def types(self, build: Build) -> Path | None:
        """An object file with the types of a build, for who reads its guests' memory."""
        ...

    def image(self) -> Image:
        """The guests' root file system, made if it is not in the cache."""
        ...

    def programs(self) -> Path:
        """The directory of the compiled programs of guest/."""
        ...

    def accel(self, name: str, build: Build, smp: int) -> Accel:
        """What ``auto``, ``kvm``, ``tcg`` or ``icount`` is on this machine."""
        ...

    def measured_host(self) -> Host | None:
        """The real computer that runs the kernels; None for guests."""
        ...

    def boot(
        self, kernel: str | Build, *, smp: int | None = None, memory: str | None = None,
        append: str = "", accel: str = "auto", directory: Path | None = None,
        disks: Sequence[Path] = (), gdb: bool = False, crowd: float = 1.0,
        boot_seconds: float | None = None,
    ) -> Session:
        """A session on a variant or a build; it boots when its block is entered."""
        ...
