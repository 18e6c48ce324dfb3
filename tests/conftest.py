"""For all tests: which may run beside which, and what they start must take a SIGINT."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

# A shell that starts the tests in the background (nohup, cron, some CI) has SIGINT ignored, and
# so would every child; what this process handles is back at its default in a child.
signal.signal(signal.SIGINT, signal.default_int_handler)

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before the worker of xdist looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that boot guests share a cache that takes one run at a time: one worker has them."""
    for item in items:
        if item.path.relative_to(HERE).parts[0] in ("vm", "kernel"):
            item.add_marker(pytest.mark.xdist_group("guests"))
