"""What a person sees while work is done: on standard error, a bar on a terminal, lines elsewhere.

Standard output stays free for results (``--json``, tables, relayed output).
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

LINE_INTERVAL = 15.0  # seconds between plain progress lines where there is no terminal


class Task:
    """One piece of long work with a known or guessed amount of steps."""

    def __init__(self, title: str, total: float | None, *, quiet: bool) -> None:
        self.title = title
        self.total = total
        self.done = 0.0
        self._quiet = quiet
        self._last = time.monotonic()

    def update(self, done: float, note: str = "") -> None:
        """Say how far the work is; ``note`` is what it is doing now."""
        self.done = done
        now = time.monotonic()
        if not self._quiet and now - self._last >= LINE_INTERVAL:
            self._last = now
            share = f" {100 * done / self.total:3.0f} %" if self.total else ""
            _line(f"  {self.title}{share} {note}".rstrip())


class _BarTask(Task):
    """The same on a terminal: rich draws it."""

    def __init__(self, title: str, total: float | None) -> None:
        super().__init__(title, total, quiet=True)
        # Imported here: rich costs 50 ms that `harness run` elsewhere need not pay.
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )
        self._id = self.bar.add_task(title, total=total, note="")

    def update(self, done: float, note: str = "") -> None:
        self.done = done
        self.bar.update(self._id, completed=done, note=note[:40])


class Progress:
    """The voice of a command: ``verbosity`` -1 says only what went wrong, 1 says more."""

    def __init__(self, verbosity: int = 0) -> None:
        self.verbosity = verbosity
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        """One line about what was or will be done."""
        if self.verbosity >= 0:
            _line(text)

    def once(self, text: str) -> None:
        """The same, but only the first time."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def detail(self, text: str) -> None:
        """A line for ``-v``."""
        if self.verbosity > 0:
            _line(text)

    def warn(self, text: str) -> None:
        """A line that is shown even with ``-q``."""
        _line(f"warning: {text}")

    @contextlib.contextmanager
    def task(self, title: str, total: float | None = None) -> Iterator[Task]:
        """Show one long piece of work; says how long it took when it ends well."""
        start = time.monotonic()
        if self.verbosity >= 0 and sys.stderr.isatty():
            bar = _BarTask(title, total)
            with bar.bar:
                yield bar
        else:
            self.say(title)
            yield Task(title, total, quiet=self.verbosity < 0)
        self.say(f"{title}: done in {time.monotonic() - start:.1f} s")


def _line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
