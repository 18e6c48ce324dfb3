"""The laboratory: kernels, machines, measurements and tests of one project, from Python.

Everything comes in here: the command line, a notebook, a script. ::

    from harness.lab import Lab

    lab = Lab()                              # the harness.toml at or above this directory
    with lab.boot("before") as session:      # builds the kernel and the image if need be
        print(session.run("uname -r").stdout)

Nothing is imported before it is needed: a guest of a command must not wait for a compiler.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.project import config
from harness.project.config import Project

if TYPE_CHECKING:
    from harness.image.rootfs import Image
    from harness.kernel.build.builds import Build
    from harness.machine.accel import Accel
    from harness.machine.session import BootOrder, Machine, Session

SLOW_SYMBOLS = ("CONFIG_KASAN=y", "CONFIG_PROVE_LOCKING=y", "CONFIG_DEBUG_PAGEALLOC=y")
SLOWNESS = 4.0  # how much more patience a debug kernel needs


class Lab:
    """One project in one workspace.

    ``project`` is a project or the directory of its harness.toml (default: found from the current
    directory upwards); ``workspace`` the cache directory; ``progress`` what says how far work is
    (default: silence but for warnings).
    """

    def __init__(
        self, project: Project | Path | None = None, *, workspace: Workspace | Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.project = project if isinstance(project, Project) else config.load(project)
        self.workspace = workspace if isinstance(workspace, Workspace) else Workspace(workspace)
        self.progress = progress or Progress(-1)

    def on_base(self, base: str) -> Lab:
        """The same laboratory with another default base; raises :class:`UserError` for none."""
        return Lab(
            self.project.on_base(base), workspace=self.workspace, progress=self.progress
        )

    # -- what a boot is made of

    def build(
        self, variant: str, *, source: Path | None = None, mirror: str | None = None,
        origin: str | None = None, jobs: int | None = None, patches: int | None = None,
        force: bool = False,
    ) -> Build:
        """The kernel of a variant, built if it is not in the cache.

        ``source`` is a kernel tree instead of the base's, ``patches`` takes only so many patches
        from the start of the variant's series. Raises :class:`UserError` for what the user can
        mend and :class:`InfrastructureError` with the first compiler error.
        """
        from harness.kernel.build.builds import build_variant  # noqa: PLC0415
        from harness.kernel.source.fetching import Wanted  # noqa: PLC0415

        return build_variant(
            self.workspace, self.project, variant, source_dir=source,
            wanted=Wanted(mirror=mirror, origin=origin), jobs=jobs, patches=patches, force=force,
            progress=self.progress,
        )

    def image(self, mirror: str | None = None) -> Image:
        """The root file system of guests, made if it is not in the cache."""
        from harness.image.rootfs import get_image  # noqa: PLC0415

        return get_image(self.workspace, self.project, mirror=mirror, progress=self.progress)

    def programs(self) -> Path:
        """The directory of the compiled guest programs."""
        from harness.image.programs import build_programs  # noqa: PLC0415

        return build_programs(self.workspace, self.project, self.progress)

    def accel(self, name: str, build: Build | None, smp: int) -> Accel:
        """What ``auto``, ``kvm``, ``tcg`` or ``icount`` is on this host.

        ``build`` is the kernel with which KVM is tried. Raises :class:`UserError` for what does
        not work here.
        """
        from harness.machine import accel, qemu  # noqa: PLC0415

        kernel = build.bzimage if build else None
        return accel.choose(name, self.workspace, qemu.binary(), kernel, smp)

    # -- machines

    def machine(self, name: str = "guest") -> Machine:
        """The machine of that name; raises :class:`UserError` when there is none."""
        from harness.machine.guest_machine import GuestMachine  # noqa: PLC0415

        if name != "guest":
            raise UserError(f"unknown machine '{name}'", hint="known: guest")
        image = self.image()
        return GuestMachine(
            self.workspace, image.disk, image.ssh_key, image.host_key, self.progress.warn
        )

    def order(
        self, build: Build, *, smp: int | None = None, memory: str | None = None,
        append: str = "", accel: str = "auto", directory: Path | None = None,
        disks: Sequence[Path] = (), gdb: bool = False, crowd: float = 1.0, ssh_port: int = 0,
        boot_seconds: float | None = None,
    ) -> BootOrder:
        """What a boot of a build asks of a machine; what is not given is harness.toml's.

        Without a ``directory`` the logs are in one of the workspace's, which goes when the boot
        ends well. ``crowd`` says how much slower it is for its neighbours on the host.
        """
        from harness.machine.session import BootOrder  # noqa: PLC0415

        usual = self.project.config.guest
        return BootOrder(
            build.bzimage, directory or self._scratch(), accel=accel,
            smp=usual.smp if smp is None else smp,
            memory=usual.memory if memory is None else memory,
            cmdline=" ".join(part for part in (usual.cmdline, append) if part),
            disks=tuple(disks), gdb=gdb, ssh_port=ssh_port, boot_seconds=boot_seconds,
            slowness=slowness(build) * crowd, keep_logs=directory is not None,
        )

    def boot(
        self, kernel: str | Build, *, machine: str = "guest", smp: int | None = None,
        memory: str | None = None, append: str = "", accel: str = "auto",
        directory: Path | None = None, disks: Sequence[Path] = (), gdb: bool = False,
        crowd: float = 1.0, ssh_port: int = 0, boot_seconds: float | None = None,
        source: Path | None = None,
    ) -> Session:
        """A session on a variant's kernel or a build; entering it boots. See :meth:`order`.

        Raises what building raises, and :class:`UserError` for what this host cannot do.
        """
        build = self.build(kernel, source=source) if isinstance(kernel, str) else kernel
        order = self.order(
            build, smp=smp, memory=memory, append=append, accel=accel, directory=directory,
            disks=disks, gdb=gdb, crowd=crowd, ssh_port=ssh_port, boot_seconds=boot_seconds,
        )
        return self.machine(machine).boot(order)

    def _scratch(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="boot.", dir=self.workspace.dir("guests")))


def slowness(build: Build) -> float:
    """How much more patience a kernel needs than one for production."""
    text = build.config.read_text() if build.config.exists() else ""
    return SLOWNESS if any(symbol in text for symbol in SLOW_SYMBOLS) else 1.0
