"""The reusable source and object tree of one variant.

``work/<base>/<variant>/src`` is the base's tree with the series applied, and
``src/.obj`` the object tree. It lies inside the source tree because kbuild then
calls the sources ``..`` instead of by an absolute path: the compiler's command
lines are the same for every variant, so that ccache shares between them, and
no path of the machine ends up in the kernel.

An update touches only files whose content changes, so that make compiles only
what it must. What may differ from the base is noted before it is changed: an
update that was killed is repaired by the next one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from harness.core.errors import HarnessError, InfrastructureError, UserError
from harness.core.progress import Progress
from harness.core.workspace import write_atomic
from harness.kernel.series import patches as series_module
from harness.kernel.series.patches import Series
from harness.kernel.source.commits import is_content
from harness.kernel.source.sources import Source

OBJ = ".obj"  # no name that a user's tree has
RUNNING = ".harness-running"  # in the object tree while make runs


class TreeState(BaseModel):
    """What is known of a source tree: ``src.json``."""

    touched: list[str] = Field(default_factory=list)
    """Files that may differ from the source they were copied from."""
    origin: str = ""
    """The digest of that source."""
    files: dict[str, str] | None = None
    """The listing of a tree of the user's, as it was when it was copied."""


class WorkTree:
    """The slot of one variant; the caller holds its lock."""

    def __init__(self, slot: Path) -> None:
        self.slot = slot
        self.src = slot / "src"
        self.obj = self.src / OBJ
        self._state = slot / "src.json"

    def update(self, source: Source, series: Series | None, progress: Progress) -> list[str]:
        """Make ``src`` equal to the source with the series applied; what was written.

        Raises :class:`UserError` when the series does not apply; ``src`` is then
        as it was.
        """
        self.slot.mkdir(parents=True, exist_ok=True)
        for left in self.slot.glob(".patch.*"):  # by a killed update
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=".patch.", dir=self.slot) as scratch:
            overlay: dict[str, Path | None] = {}
            if series:
                overlay = series_module.apply(series, source.path, Path(scratch), progress)
            state = self.read_state()
            if not self._can_update(state, source):
                with progress.task("copying the source tree"):
                    self._create(source)
                state = TreeState(origin=source.digest, files=source.files)
            assert state is not None
            stale = changed(state.files, source.files)
            doubtful = sorted({*state.touched, *overlay, *stale})
            self._write_state(state.model_copy(update={"touched": doubtful}))
            written = [
                name for name in doubtful
                if self._settle(name, overlay[name] if name in overlay else source.path / name)
            ]
            self._check(source, [name for name in doubtful if name not in overlay])
        self._write_state(
            TreeState(touched=sorted(overlay), origin=source.digest, files=source.files)
        )
        self.obj.mkdir(exist_ok=True)
        return written

    def _check(self, source: Source, names: list[str]) -> None:
        """That files of a commit have arrived as git has them.

        A commit's directory is laid out anew for the next one. Should that ever happen while it is
        copied from, what was built would bear the name of a kernel that it is not. Raises
        :class:`InfrastructureError`.
        """
        if source.commit is None or source.files is None:
            return
        for name in names:
            target, listed = self.src / name, source.files.get(name)
            there = target.is_symlink() or target.is_file()
            if there != (listed is not None) or (listed and not is_content(target, listed)):
                raise InfrastructureError(
                    f"{name} is not what commit {source.commit.short} has: another harness laid "
                    "out another commit meanwhile", hint="try again",
                )

    def read_state(self) -> TreeState | None:
        """What is known of ``src``; None when nothing is."""
        try:
            return TreeState.model_validate_json(self._state.read_text())
        except (OSError, ValidationError):
            return None

    def _write_state(self, state: TreeState) -> None:
        write_atomic(self._state, state.model_dump_json())

    def _can_update(self, state: TreeState | None, source: Source) -> bool:
        """Whether src can be brought up to date file by file."""
        if state is None or not self.src.is_dir():
            return False
        if source.files is not None and state.files is not None:
            return True  # both are listed: the difference is known
        return state.origin == source.digest

    def _create(self, source: Source) -> None:
        """A fresh copy. The state goes first and comes last: a killed copy is not believed."""
        self._state.unlink(missing_ok=True)
        if self.src.exists():
            shutil.rmtree(self.src)
        if source.files is None:
            _clone(source.path, self.src)
            return
        for name in source.files:
            target = self.src / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # the next listing tells
                shutil.copy2(source.path / name, target, follow_symlinks=False)

    def _settle(self, name: str, wanted: Path | None) -> bool:
        """Give one file of src its wanted content if it has another; whether it had."""
        target = self.src / name
        there = target.is_symlink() or target.exists()
        if wanted is None or not (wanted.is_symlink() or wanted.is_file()):
            if there:
                target.unlink()
                with contextlib.suppress(OSError):  # only an empty directory goes
                    target.parent.rmdir()
            return there
        if there and same_file(target, wanted):
            return False
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        # A new file renamed into place: src may share its inode with the pristine
        # tree. Its time is now, not the original's, or make would not see it.
        new = target.with_name(f".harness.{target.name}")
        new.unlink(missing_ok=True)
        if wanted.is_symlink():
            new.symlink_to(wanted.readlink())
        else:
            shutil.copyfile(wanted, new)
            new.chmod(0o755 if wanted.stat().st_mode & stat.S_IXUSR else 0o644)
        new.rename(target)
        return True

    @contextlib.contextmanager
    def make_runs(self) -> Iterator[None]:
        """Surrounds make: one that was killed instead of ending is cleaned up behind next time."""
        marker = self.obj / RUNNING
        if marker.exists():
            drop_half_made(self.obj, marker.stat().st_mtime_ns)
        marker.write_text("")
        try:
            yield
        except HarnessError:  # it failed, but it ended by itself
            marker.unlink()
            raise
        marker.unlink()

    def drop_objects(self) -> None:
        """Forget everything that was built here."""
        if self.obj.exists():
            shutil.rmtree(self.obj)
        self.obj.mkdir()


def changed(old: dict[str, str] | None, new: dict[str, str] | None) -> set[str]:
    """The names whose digests differ between two listings; none when one is not known."""
    if old is None or new is None:
        return set()
    return {name for name in {*old, *new} if old.get(name) != new.get(name)}


def same_file(one: Path, two: Path) -> bool:
    """Whether two files have the same kind, content and executable bit."""
    if one.is_symlink() or two.is_symlink():
        return one.is_symlink() and two.is_symlink() and one.readlink() == two.readlink()
    if not one.is_file():
        return False
    bits = {path.stat().st_mode & stat.S_IXUSR for path in (one, two)}
    return len(bits) == 1 and one.read_bytes() == two.read_bytes()


def _clone(tree: Path, target: Path) -> None:
    """Hard links where possible: 80,000 files in seconds. Nobody writes to either in place."""
    for mode in ("-al", "-a"):
        done = subprocess.run(
            ["cp", mode, "--", str(tree), str(target)], capture_output=True, text=True,
            check=False, stdin=subprocess.DEVNULL,
        )
        if done.returncode == 0:
            return
        shutil.rmtree(target, ignore_errors=True)
    raise UserError(f"cannot copy {tree}: {done.stderr.strip()[-200:]}")


def drop_half_made(obj: Path, since_ns: int) -> None:
    """Remove what a killed make may have left half-written, so that the next one makes it again.

    kbuild makes X first and then ``.X.cmd``, the latter by way of ``.X.d``. An X
    younger than both the killed make's start and its own old .cmd cannot be
    trusted, nor can a .cmd whose .d is still there; make looks at times only and
    would trust both. Without any .cmd make builds X again by itself.
    """
    for directory, _, names in os.walk(obj):
        where = Path(directory)
        there = set(names)
        for name in names:
            path, command = where / name, where / f".{name}.cmd"
            if f".{name}.d" in there:
                command.unlink(missing_ok=True)
            elif command.name in there:
                made = path.lstat().st_mtime_ns
                if made >= since_ns and command.lstat().st_mtime_ns < made:
                    path.unlink()
