"""Bases of kind ``tarball``: a file, or a URL, known by its checksum or its signature."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from harness.core import digest
from harness.core.errors import HarnessError, InfrastructureError, UserError
from harness.core.proc import need
from harness.core.progress import Progress
from harness.kernel.source.fetching import Fetched, Job, check_kernel_tree, unpack_tar
from harness.project.bases import TarballBase
from harness.records.kernels import SourceRecord

CONNECT_LIMIT = 12.0  # seconds without an answer, or without a byte
CHUNK = 2**20
DECOMPRESS = {".xz": "xz", ".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd"}


def fetch(job: Job) -> Fetched | None:
    """Get and verify the tarball of a base; None when it is the one that is here already.

    Raises :class:`UserError` that names each place and what was wrong with it, and
    :class:`InfrastructureError` when one was reached and its content is not what
    harness.toml says.
    """
    base, wanted = job.base, job.wanted
    assert isinstance(base, TarballBase)
    if wanted.have and wanted.have == base.sha256:
        return None
    faults: list[tuple[str, HarnessError]] = []
    for place in [wanted.origin] if wanted.origin else base.urls:
        try:
            return _fetch(job, base, place)
        except HarnessError as error:
            faults.append((place, error))
    damaged = any(isinstance(error, InfrastructureError) for _, error in faults)
    raise (InfrastructureError if damaged else UserError)(
        f"cannot fetch the tarball of base {job.name}: "
        + "; ".join(f"{place}: {error.message}" for place, error in faults),
        hint="--from FILE takes it from a file, --source DIR builds an unpacked tree",
    )


def _fetch(job: Job, base: TarballBase, place: str) -> Fetched:
    name, scratch, progress = job.name, job.scratch, job.progress
    root = job.project.root
    archive = scratch / Path(place).name
    sha256 = get(place, archive, root, progress)
    if base.sha256 and sha256 != base.sha256:
        raise InfrastructureError(f"its sha256 is {sha256}, not {base.sha256}")
    if base.signature:
        signature = scratch / "signature"
        get(base.signature, signature, root, progress)
        check_signature(archive, signature, root / Path(base.keyring).expanduser())
    with progress.task(f"unpacking {archive.name}"):
        unpack_tar(archive, scratch)
    version = check_kernel_tree(scratch / "tree")
    return Fetched(
        f"tarball-{name}-{sha256[:12]}",
        SourceRecord(
            kind="tarball", version=version, digest=sha256,
            details={"url": place, "sha256": sha256, "signed": "yes" if base.signature else "no"},
        ),
        lambda staging: shutil.move(scratch / "tree", staging / "tree"),
    )


def get(place: str, target: Path, root: Path, progress: Progress) -> str:
    """Copy a URL or a file (relative to the checkout) to ``target``; its sha256.

    Raises :class:`UserError` when it cannot be reached, :class:`InfrastructureError`
    when it ends before its end.
    """
    if "://" not in place:
        path = root / Path(place).expanduser()
        try:
            shutil.copyfile(path, target)
        except OSError as error:
            raise UserError(f"{error.strerror}") from error
        return digest.of_file(target)
    try:
        with urllib.request.urlopen(place, timeout=CONNECT_LIMIT) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            return _copy(answer, size, place, target, progress)
    except urllib.error.HTTPError as error:
        raise UserError(f"{error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(f"cannot be reached ({reason})") from error


def _copy(
    answer: IO[bytes], size: int, place: str, target: Path, progress: Progress
) -> str:
    total, done = hashlib.sha256(), 0
    with progress.task(f"download of {place}", size or None) as task, target.open("wb") as sink:
        while chunk := answer.read(CHUNK):
            sink.write(chunk)
            total.update(chunk)
            done += len(chunk)
            task.update(min(done, size) if size else done)
    if size and done != size:
        raise InfrastructureError(f"it ended after {done} of {size} bytes")
    return total.hexdigest()


def check_signature(archive: Path, signature: Path, keyring: Path) -> None:
    """See that a key of the keyring signed the uncompressed tarball.

    Raises :class:`UserError` without keyring, :class:`InfrastructureError` for a
    signature that does not verify.
    """
    if not keyring.is_file():
        raise UserError(f"no keyring {keyring}")
    gpgv = need("gpgv")
    program = DECOMPRESS.get(archive.suffix, "cat")
    with subprocess.Popen(
        [need(program), *(["-dc"] if program != "cat" else []), str(archive)],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as plain:
        done = subprocess.run(
            [gpgv, "--keyring", str(keyring.absolute()), str(signature), "-"], stdin=plain.stdout,
            capture_output=True, check=False,
        )
    if plain.returncode or done.returncode:
        raise InfrastructureError(
            "its signature cannot be verified with the keys of " + keyring.name
        )
