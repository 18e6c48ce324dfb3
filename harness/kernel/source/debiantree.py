"""Bases of kind ``debian``: a linux-source package, verified by apt."""

from __future__ import annotations

import shutil
from pathlib import Path

from harness.core.errors import UserError
from harness.core.proc import need
from harness.kernel.source import debian
from harness.kernel.source.fetching import Fetched, Job, step, unpack_tar
from harness.kernel.source.mirror import resolve_mirror, security_mirror
from harness.project.bases import DebianBase
from harness.records.kernels import SourceRecord


def fetch(job: Job) -> Fetched | None:
    """Download the package of a base; None when the mirror has what is here already.

    Raises what :func:`harness.kernel.source.debian.fetch_package` raises.
    """
    base, settings, wanted, progress = job.base, job.project.settings, job.wanted, job.progress
    assert isinstance(base, DebianBase)
    if wanted.origin:
        raise UserError(
            f"base '{job.name}' comes from a Debian mirror", hint="--mirror URL names another one"
        )
    chosen = resolve_mirror(settings.mirror, wanted.mirror)
    progress.detail(f"mirror {chosen.url} (from {chosen.origin})")
    package = debian.fetch_package(
        base.package, suite=base.suite, mirror=chosen.url, version=base.version, into=job.scratch,
        keyring=wanted.keyring or debian.KEYRING, progress=progress, have=wanted.have,
        security=security_mirror(chosen, settings.security_mirror) if base.security else "",
    )
    if package is None:
        return None
    return Fetched(
        f"{package.name}_{package.version.replace(':', '%3a')}-{package.sha256[:12]}",
        SourceRecord(
            kind="debian", version=package.version, digest=package.sha256,
            details={"package": package.name, "suite": package.suite, "mirror": package.mirror,
                     "sha256": package.sha256},
        ),
        lambda staging: _unpack(package, staging),
    )


def _unpack(package: debian.Package, staging: Path) -> None:
    """Package -> tarball -> ``staging/tree``."""
    log = staging / "unpack.log"
    step([need("dpkg-deb"), "-x", str(package.path), str(staging / "deb")], log)
    tarballs = sorted(staging.glob("deb/usr/src/*.tar.*"))
    if not tarballs:
        raise UserError(
            f"{package.name} holds no source tarball", hint="is it a linux-source package?"
        )
    need("xz")
    unpack_tar(tarballs[0], staging)
    shutil.rmtree(staging / "deb")
