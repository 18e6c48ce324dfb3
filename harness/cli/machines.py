"""What commands need before they can boot: builds, image, programs, accel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.cli.common import Setup
from harness.image.rootfs import Image, get_image
from harness.kernel.build.builds import Build, build_variant
from harness.kernel.source.fetching import Wanted
from harness.machine import accel as accels
from harness.machine import qemu
from harness.machine.accel import Accel
from harness.machine.guest import Guest


def need_build(
    env: Setup, variant: str, *, source: Path | None = None, mirror: str | None = None,
    jobs: int = 0,
) -> Build:
    """The build of a variant, made if it is not in the cache."""
    return build_variant(
        env.workspace, env.project, variant, source_dir=source, wanted=Wanted(mirror=mirror),
        jobs=jobs or None, progress=env.progress,
    )


def need_image(env: Setup, mirror: str | None = None) -> Image:
    """The guests' image, made if it is not in the cache."""
    return get_image(env.workspace, env.project, mirror=mirror, progress=env.progress)


def need_accel(env: Setup, name: str, build: Build | None, smp: int) -> Accel:
    """The accel to use; says why when ``auto`` could not take KVM."""
    chosen = accels.choose(
        name, env.workspace, qemu.binary(), build.bzimage if build else None, smp
    )
    if name == "auto":
        env.progress.detail(f"accel {chosen.name}: {chosen.reason}")
    return chosen


def make_spec(
    env: Setup, build: Build, image: Image, accel: Accel, *, smp: int = 0, memory: str = "",
    append: str = "", gdb: bool = False, ssh_port: int = 0,
) -> qemu.GuestSpec:
    """The guest of harness.toml with the flags' changes."""
    guest = env.project.config.guest
    return qemu.GuestSpec(
        build.bzimage, image.disk, accel, smp=smp or guest.smp,
        memory=qemu.check_memory(memory or guest.memory),
        cmdline=" ".join(part for part in (guest.cmdline, append) if part),
        gdb=gdb, ssh_port=ssh_port,
    )


def make_guest(
    spec: qemu.GuestSpec, build: Build, image: Image, folder: Path, warn: Callable[[str], None],
    boot_seconds: float | None = None, crowd: float = 1.0,
) -> Guest:
    """A guest that is not started yet; ``crowd``: how much slower it is for its neighbours."""
    from harness.lab import slowness  # noqa: PLC0415

    return Guest(
        spec, folder, key=image.ssh_key, host_key=image.host_key, slowness=slowness(build) * crowd,
        boot_seconds=boot_seconds, warn=warn,
    )


def declared_pairs(env: Setup, variants: Sequence[str]) -> list[list[str]]:
    """What harness.toml compares among some variants: [baseline, variant] each."""
    return [list(pair) for pair in env.project.comparisons(variants)]
