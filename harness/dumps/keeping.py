"""Takes a dump of a guest that crashed or hangs, into a run's directory, and says what is in it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core import sizes
from harness.core.errors import HarnessError
from harness.core.proc import capture
from harness.core.progress import Progress
from harness.dumps import look, vmcore
from harness.dumps.dumpwords import faulting_address
from harness.dumps.opening import DumpFiles

if TYPE_CHECKING:
    from harness.machine.session import Session

FOLDER = "dumps"
MOST = 8
"""Dumps of one run; the first of them tell most."""
LARGEST = 2 * 2**30
"""Bytes of one dump. QEMU's are compressed, and pages of zeros are left out."""
RESERVE = 2**30  # of the disk, for everything else
LOOK_SECONDS = 180.0
FREEZE = " panic=0 oops=panic"
"""Words of the kernel's command line: a kernel in trouble stops where it is, and stays."""


@dataclass(frozen=True)
class DumpKeeper:
    """Takes the dumps of one run's guests of one build."""

    directory: Path
    """The run's."""
    vmlinux: Path
    types: Path | None
    release: str
    memory: str
    """Of each guest, as QEMU reads it."""
    progress: Progress

    def take(self, session: Session, name: str, oops: str, title: str) -> str:
        """Dump a guest; the dump's place in the run's directory, or nothing when there is none.

        Never raises what would cost a verdict: why there is no dump is said and no more. ``oops``
        is what the console said. What the dump shows is in a text file beside it.
        """
        folder = self.directory / FOLDER
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return self._take(session, folder / f"{name}.vmcore", oops, title)
        except (HarnessError, OSError) as error:
            said = error.message if isinstance(error, HarnessError) else str(error)
            self.progress.warn(f"no dump of {name}: {said}")
            return ""

    def _take(self, session: Session, path: Path, oops: str, title: str) -> str:
        if len(list(path.parent.glob("*.vmcore"))) >= MOST:
            self.progress.once(f"the run has {MOST} dumps; no more are taken")
            return ""
        most = min(sizes.parse(self.memory, "memory"), LARGEST)
        if shutil.disk_usage(path.parent).free < 2 * most + RESERVE:
            self.progress.warn(f"no dump of {path.stem}: the disk of {path.parent} is nearly full")
            return ""
        raw = path.with_suffix(".raw")
        try:
            session.dump(raw)
            if raw.stat().st_size > LARGEST:
                self.progress.warn(f"no dump of {path.stem}: it has more than "
                                   f"{LARGEST // 2**30} GiB")
                return ""
            vmcore.unflatten(raw, path, self.release)
        finally:
            raw.unlink(missing_ok=True)
        self._describe(path, oops, title)
        return f"{FOLDER}/{path.name}"

    def files(self, path: Path) -> DumpFiles:
        """A dump, and what it is read with."""
        return DumpFiles(path, self.vmlinux, self.types, self.release)

    def _describe(self, path: Path, oops: str, title: str) -> None:
        argv = look.argv(self.files(path), address=faulting_address(oops), title=title)
        try:
            text = capture(argv, timeout=LOOK_SECONDS)
        except HarnessError as error:
            self.progress.warn(f"{path.name} was kept, but drgn says nothing of it: "
                               f"{error.message}")
            text = f"{title}\n\ndrgn says nothing of this dump: {error.line()}\n"
        told(path).write_text(text)


def told(path: Path) -> Path:
    """Where it is written what a dump shows."""
    return path.with_suffix(".txt")
