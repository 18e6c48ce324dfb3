"""For all tests: what they start must not have been told to ignore SIGINT; they send it."""

from __future__ import annotations

import signal

# A shell that starts the tests in the background (nohup, cron, some CI) has SIGINT ignored, and
# so would every child; what this process handles is back at its default in a child.
signal.signal(signal.SIGINT, signal.default_int_handler)
