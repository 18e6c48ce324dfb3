"""The root file system of every guest: Debian packages, an sshd with keys, our PID 1.

Made once by mmdebstrap, read-only ever after: each boot writes to an overlay of
its own. Guest programs are no part of it, so that changing one rebuilds nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.core import digest, sizes
from harness.core.errors import InfrastructureError, UserError
from harness.core.proc import capture, look_in_sbin, need, run_logged, tail
from harness.core.progress import Progress
from harness.core.workspace import Workspace, require_space
from harness.image import programs
from harness.project.config import Project
from harness.records.hosts import ImageRecord

RECIPE = 1  # goes up when the way of making an image changes what comes out
SPACE = 4 * 2**30  # the one with three runtimes is 1.3 GB, and is unpacked and packed
RECORD_FILE = "image.json"

SSHD_CONFIG = """\
# The guest is reachable from the host's 127.0.0.1 only, with one key.
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxSessions 200
MaxStartups 200
"""
# Nobody reads manuals in the guest, and each file costs time to unpack and to write.
EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
# Debian's Java does not install where there is no directory for its manual.
MANUALS = 'mkdir -p "$1/usr/share/man/man1"'


@dataclass(frozen=True)
class Image:
    """A published image."""

    directory: Path
    record: ImageRecord

    @property
    def disk(self) -> Path:
        """The ext4 file system, raw."""
        return self.directory / "root.ext4"

    @property
    def ssh_key(self) -> Path:
        """The private key that root in the guest accepts."""
        return self.directory / "id_ed25519"

    @property
    def host_key(self) -> str:
        """The guest's SSH host key: type and base64."""
        return (self.directory / "host_key.pub").read_text().strip()


def get_image(
    workspace: Workspace, project: Project, *, mirror: str | None = None,
    progress: Progress, force: bool = False,
) -> Image:
    """The image that harness.toml describes, made if it is not there.

    Raises :class:`UserError` when a tool or the mirror is missing, and
    :class:`InfrastructureError` with mmdebstrap's last words when it fails.
    """
    key = image_key(project)
    found = workspace.published("images", key)
    if found and not force:
        return load_image(found)
    with workspace.lock("image", on_wait=lambda: progress.say("another harness makes the image")):
        found = workspace.published("images", key)
        if found and not force:
            return load_image(found)
        require_space(workspace.root, SPACE, "an image")
        with (
            progress.task("making the guest's image"),
            workspace.publish("images", key) as staging,
        ):
            _make(workspace, project, staging, mirror)
    return load_image(workspace.dir("images", key))


def find_image(workspace: Workspace, project: Project) -> Image | None:
    """The image if it was made already."""
    found = workspace.published("images", image_key(project))
    return load_image(found) if found else None


def image_steps(workspace: Workspace, project: Project) -> list[str]:
    """What :func:`get_image` would do, in words; nothing is done."""
    image = project.settings.image
    if found := workspace.published("images", image_key(project)):
        return [f"image: nothing to do, {found} is made"]
    return [f"image: make one of {len(image.packages)} packages of Debian {image.suite} with "
            "mmdebstrap (about a minute)"]


def image_key(project: Project) -> str:
    """Hash of all that decides what the image is."""
    image = project.settings.image
    return digest.key({
        "recipe": RECIPE, "suite": image.suite, "packages": sorted(image.packages),
        "size": image.size, "sshd": SSHD_CONFIG,
        "init": digest.of_file(project.file("guest/init.c")),
    })


def load_image(directory: Path) -> Image:
    """Read a published image; raises :class:`InfrastructureError` for a damaged one."""
    path = directory / RECORD_FILE
    try:
        return Image(directory, ImageRecord.model_validate_json(path.read_text()))
    except (OSError, ValueError) as error:
        raise InfrastructureError(
            f"{path} is damaged: {error}", hint=f"remove {directory} and make it again"
        ) from error


def _make(workspace: Workspace, project: Project, staging: Path, mirror: str | None) -> None:
    look_in_sbin()
    for program in ("mmdebstrap", "mke2fs", "ssh-keygen"):
        need(program)
    log = workspace.dir("logs") / "image.log"
    log.write_bytes(b"")
    with tempfile.TemporaryDirectory(prefix="image.", dir=workspace.dir("tmp")) as scratch:
        archive = Path(scratch) / "root.tar"
        _bootstrap(project, archive, mirror, log)
        tree = Path(scratch) / "overlay"
        _write_overlay(project, tree, staging, log)
        _make_disk(project, archive, tree, staging, log)
        packages = _packages(archive)
    record = ImageRecord(
        key=image_key(project), suite=project.settings.image.suite, packages=packages
    )
    (staging / RECORD_FILE).write_text(record.model_dump_json(indent=1) + "\n")


def _bootstrap(
    project: Project, archive: Path, mirror: str | None, log: Path
) -> None:
    image = project.settings.image
    argv = ["mmdebstrap", "--variant=minbase", f"--include={','.join(image.packages)}",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED),
            f"--essential-hook={MANUALS}",
            image.suite, str(archive)]
    mirror = mirror or project.settings.mirror
    if mirror:
        argv.append(mirror)
    if run_logged(argv, log) != 0:
        words = [line for line in tail(log, 30).splitlines() if line.startswith(("E:", "Err:"))]
        excerpt = "\n".join(words[-6:]) or tail(log, 8)
        if any(sign in excerpt for sign in ("Could not", "Failed to fetch", "Temporary failure")):
            raise UserError(
                f"mmdebstrap could not fetch the packages: {words[0] if words else 'see the log'}",
                hint=f"check the network or name a mirror with --mirror URL (log: {log})",
            )
        raise InfrastructureError("mmdebstrap failed", excerpt=excerpt, log=log)


def _write_overlay(project: Project, tree: Path, staging: Path, log: Path) -> None:
    """Our own files, as a tree that is laid over the packages'."""
    for folder in ("etc/ssh/sshd_config.d", "usr/sbin", "root/.ssh"):
        (tree / folder).mkdir(parents=True)
    (tree / "root").chmod(0o700)
    (tree / "root/.ssh").chmod(0o700)
    (tree / "etc/ssh/sshd_config.d/harness.conf").write_text(SSHD_CONFIG)
    for path in (staging / "id_ed25519", tree / "etc/ssh/ssh_host_ed25519_key"):
        path.unlink(missing_ok=True)
        capture(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "pte-harness", "-f", str(path)]
        )
    shutil.copy(staging / "id_ed25519.pub", tree / "root/.ssh/authorized_keys")
    shutil.copy(tree / "etc/ssh/ssh_host_ed25519_key.pub", staging / "host_key.pub")
    objects = tree.parent / "bin"
    with programs.source_tree(project, tree.parent) as sources:
        code = run_logged(
            ["make", "-s", "-C", str(sources), f"OUT={objects}", f"{objects}/init"], log
        )
    if code != 0:
        raise InfrastructureError("guest/init.c does not compile", excerpt=tail(log, 20), log=log)
    shutil.copy(objects / "init", tree / "usr/sbin/harness-init")


def _make_disk(
    project: Project, archive: Path, tree: Path, staging: Path, log: Path
) -> None:
    """An ext4 file from the archive and our files, without mounting anything.

    The owners in the archive matter (sshd refuses a key file that is not root's), so
    an ordinary user needs fakeroot around the unpacking and the writing.
    """
    disk = staging / "root.ext4"
    with disk.open("wb") as stream:
        stream.truncate(sizes.parse(project.settings.image.size, "image.size"))
    script = (
        'set -e; mkdir "$1/root"; tar -xf "$2" -C "$1/root" --exclude="./dev/*"; '
        'cp -a "$3/." "$1/root/"; chown -R 0:0 "$1/root/root" "$1/root/etc/ssh"; '
        # No journal: every write goes to an overlay that is thrown away.
        'mke2fs -q -F -t ext4 -O ^has_journal -E lazy_itable_init=1 -d "$1/root" "$4"; '
        'rm -rf "$1/root"'
    )
    argv = ["sh", "-c", script, "sh", str(archive.parent), str(archive), str(tree), str(disk)]
    if os.geteuid() != 0:
        argv = [need("fakeroot"), "--", *argv]
    if run_logged(argv, log) != 0:
        raise InfrastructureError("making the disk image failed", excerpt=tail(log, 8), log=log)


def _packages(archive: Path) -> dict[str, str]:
    """Name and version of every package in the image."""
    status = capture(["tar", "-xOf", str(archive), "./var/lib/dpkg/status"])
    packages = {}
    for paragraph in status.split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in paragraph.splitlines()
            if line.startswith(("Package: ", "Version: "))
        )
        if "Package" in fields:
            packages[fields["Package"]] = fields.get("Version", "")
    return packages
