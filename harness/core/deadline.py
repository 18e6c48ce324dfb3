"""One point in time by which something must have happened, passed down instead of seconds."""

from __future__ import annotations

import time


class Deadline:
    """A moment on the monotonic clock.

    Passing the moment instead of a number of seconds means that nested waits
    share one budget, however many steps they take.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return time.monotonic() >= self._end

    def slice(self, seconds: float) -> float:
        """The smaller of ``seconds`` and what is left: the length of one poll."""
        return min(seconds, self.remaining())
