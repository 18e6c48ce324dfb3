"""The kinds of failure the command line tells apart, each with its exit code.

0 success · 1 a regression or a failed suite · 2 the user can mend it · 3 the
infrastructure failed · 4 a guest crashed, which is a result. Anything else
that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

from pathlib import Path

EXIT_OK = 0
EXIT_REGRESSION = 1
EXIT_USER = 2
EXIT_INFRASTRUCTURE = 3
EXIT_GUEST_CRASH = 4


class HarnessError(Exception):
    """Base of the failures that are reported in words, not as a traceback."""

    exit_code = EXIT_INFRASTRUCTURE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.line()

    def line(self) -> str:
        """What went wrong and what to do, on one line."""
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UserError(HarnessError):
    """A bad flag, a missing file, an unreachable mirror: the user can mend it."""

    exit_code = EXIT_USER


class InfrastructureError(HarnessError):
    """A build failed, a guest did not boot.

    ``excerpt`` holds the few log lines that explain it, ``log`` where the rest is.
    """

    exit_code = EXIT_INFRASTRUCTURE

    def __init__(
        self, message: str, *, hint: str = "", excerpt: str = "", log: Path | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.excerpt = excerpt
        self.log = log


class BootStalled(InfrastructureError):
    """A guest did not come up though nothing crashed: it stood still, or its clock is wrong."""


class TooSlow(InfrastructureError):
    """A command in a guest was not done by its deadline; the guest may be well."""


class GuestCrash(HarnessError):
    """The guest's kernel oopsed, panicked or hung: a result to be recorded.

    ``kind`` is the console monitor's word for it (``panic``, ``oops``, ...),
    ``oops`` the console text of the event.
    """

    exit_code = EXIT_GUEST_CRASH

    def __init__(self, message: str, *, kind: str, oops: str = "", log: Path | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.oops = oops
        self.log = log
