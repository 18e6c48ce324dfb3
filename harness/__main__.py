"""Entry point: runs a command and turns its failures into words and exit codes."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from types import FrameType
from typing import NoReturn

from harness.core.errors import (
    EXIT_INFRASTRUCTURE,
    EXIT_USER,
    GuestCrash,
    HarnessError,
    InfrastructureError,
)

EXIT_INTERRUPTED = 130
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # a disk's errors, most often standard output's
SAME_INTERRUPT_S = 2.0
_interrupts: list[float] = []  # when signals asked us to stop


class Interrupted(KeyboardInterrupt):
    """A signal asked us to stop.

    A class of its own, as CPython remembers a plain KeyboardInterrupt that left an exec() of a
    string, caught or not, and under `python -m` ends by SIGINT instead of our exit code. What
    dataclasses do while a module is imported is such an exec().
    """


def main() -> NoReturn:
    """Run the command line; tracebacks are for bugs only."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as by nohup
        signal.signal(signal.SIGINT, _interrupt)
    try:
        from harness.cli.app import app  # noqa: PLC0415 - after the handlers stand

        code = int(app(standalone_mode=False) or 0)
    except HarnessError as error:
        code = explain(error)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    except BrokenPipeError:
        # Somebody piped us into head; nothing is left to say.
        _say_no_more()
        code = 0
    except OSError as error:
        if error.filename is not None or error.errno not in FULL:
            raise
        _say_no_more()
        print(f"harness: cannot write: {error.strerror}", file=sys.stderr)  # noqa: T201
        code = EXIT_INFRASTRUCTURE
    except Exception as error:
        code = _explain_usage(error)
    if _interrupts:  # most often the parser has made an exit code of it
        print("interrupted", file=sys.stderr)  # noqa: T201
    sys.exit(code)


def _say_no_more() -> None:
    """Have what is still in a buffer go nowhere, so that Python does not complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explain(error: HarnessError) -> int:
    """Print a failure as one line, with the log lines that explain it; returns the exit code."""
    if isinstance(error, InfrastructureError) and error.excerpt:
        print(error.excerpt, file=sys.stderr)  # noqa: T201
    if isinstance(error, GuestCrash) and error.oops:
        print(error.oops, file=sys.stderr)  # noqa: T201
    log = getattr(error, "log", None)
    where = f" (log: {log})" if log else ""
    print(f"harness: {error.line()}{where}", file=sys.stderr)  # noqa: T201
    return error.exit_code


def _explain_usage(error: Exception) -> int:
    """Usage errors of the option parser, in the same form; anything else is a bug."""
    import typer  # noqa: PLC0415

    # Newer typers carry their own copy of click, so the class is found by its name.
    parser_error = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    if isinstance(error, typer.Abort):
        return EXIT_INTERRUPTED
    if not isinstance(error, parser_error):
        raise error
    context = getattr(error, "ctx", None)
    hint = f"; see `{context.command_path} --help`" if context else ""
    words: str = error.format_message()  # type: ignore[attr-defined]
    print(f"harness: {words}{hint}", file=sys.stderr)  # noqa: T201
    return EXIT_USER


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Stop what goes on; a signal that comes again at once must not stop the cleaning-up.

    timeout(1) signals the process and then its whole group; a person who presses Ctrl-C again
    later means it.
    """
    now = time.monotonic()
    again = bool(_interrupts) and now - _interrupts[-1] < SAME_INTERRUPT_S
    _interrupts.append(now)
    if not again:
        raise Interrupted


if __name__ == "__main__":
    main()
