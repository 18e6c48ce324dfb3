"""The content-addressed cache: published by atomic rename, guarded by locks.

Layout below ``$XDG_CACHE_HOME/pte-harness`` (or ``--workspace``)::

    downloads/  verified packages        sources/  unpacked pristine trees
    builds/     finished kernels         work/     source and object trees, reused between builds
    images/     root file systems        guests/   run-time files of a booted guest
    state/      small facts (which accel works on this boot of the host)
    locks/      one file per lock

Every published directory holds ``.complete``, written before the rename, so that
what a killed process left behind is never believed.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.core.errors import InfrastructureError, UserError

COMPLETE = ".complete"


def default_root() -> Path:
    """``$XDG_CACHE_HOME/pte-harness``, or ``~/.cache/pte-harness``."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "pte-harness"


class Workspace:
    """A cache directory and its locks.

    Raises :class:`UserError` when the directory cannot be made or written.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or default_root()).expanduser().absolute()
        try:
            (self.root / "locks").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot use the workspace {self.root}: {error.strerror}",
                hint="choose another with --workspace DIR",
            ) from error

    def dir(self, *parts: str) -> Path:
        """A directory of the workspace, made if missing."""
        path = self.root.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True)
        return path

    @contextlib.contextmanager
    def lock(self, name: str, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the named lock; the kernel drops it when the process dies.

        ``on_wait`` is called once when somebody else holds it.
        """
        lock = FileLock(self.root / "locks" / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if on_wait:
                on_wait()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def sole(self, name: str, what: str) -> Iterator[None]:
        """Hold the named lock or raise :class:`UserError` at once: ``what`` is going on already.

        The error names the process that holds it.
        """
        lock = FileLock(self.root / "locks" / f"{name}.lock")
        holder = self.root / "locks" / f"{name}.pid"
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"{what} in the workspace {self.root} already{_by(holder)}",
                hint="wait for it; another --workspace would build and fetch everything anew",
            ) from None
        try:
            write_atomic(holder, f"{os.getpid()}\n")
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def published(self, *parts: str) -> Path | None:
        """The published directory of that name, or None when it is not (wholly) there."""
        path = self.root.joinpath(*parts)
        return path if (path / COMPLETE).exists() else None

    @contextlib.contextmanager
    def publish(self, *parts: str) -> Iterator[Path]:
        """A temporary directory that takes the name ``parts`` when the block succeeds.

        Raises :class:`InfrastructureError` when the disk is full.
        """
        final = self.root.joinpath(*parts)
        final.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
        try:
            with explain_full_disk(self.root):
                yield staging
                (staging / COMPLETE).touch()
            staging.chmod(0o755)
            replace_dir(staging, final)
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def read_state(self, name: str) -> dict[str, Any]:
        """A small remembered fact; empty when there is none or it is damaged."""
        try:
            value = json.loads((self.dir("state") / f"{name}.json").read_text())
        except (OSError, ValueError):
            return {}
        return value if isinstance(value, dict) else {}

    def write_state(self, name: str, value: dict[str, Any]) -> None:
        """Remember a small fact."""
        write_atomic(self.dir("state") / f"{name}.json", json.dumps(value, indent=1) + "\n")


def _by(holder: Path) -> str:
    """`` (process 1234)`` where it is known."""
    try:
        return f" (process {int(holder.read_text())})"
    except (OSError, ValueError):
        return ""


def replace_dir(new: Path, final: Path) -> None:
    """Give ``new`` the name ``final``; an existing directory of that name is removed."""
    if final.exists():
        doomed = Path(tempfile.mkdtemp(prefix=f".{final.name}.old.", dir=final.parent))
        final.rename(doomed / "was")
        new.rename(final)
        shutil.rmtree(doomed, ignore_errors=True)
    else:
        new.rename(final)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o644)
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def explain_full_disk(where: Path) -> Iterator[None]:
    """Turn ENOSPC into a line that says which disk and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InfrastructureError(
            f"no space left on the disk of {where}",
            hint="free some (`harness cache prune`) or use --workspace on another disk",
        ) from error


def require_space(where: Path, needed: int, what: str) -> None:
    """Raise :class:`UserError` unless ``needed`` bytes are free on the disk of ``where``."""
    free = shutil.disk_usage(where).free
    if free < needed:
        raise UserError(
            f"{what} needs {needed / 2**30:.1f} GiB, {where} has {free / 2**30:.1f} GiB free",
            hint="free some (`harness cache prune`) or use --workspace on another disk",
        )
