"""For all tests: who runs what, and that what they start heeds SIGINT, which they send."""

from __future__ import annotations

import signal
from typing import Any

import pytest

# A shell that starts the tests in the background (nohup, cron, some CI) has SIGINT ignored, and
# so would every child; what this process handles is back at its default in a child.
signal.signal(signal.SIGINT, signal.default_int_handler)


def scope(test: str) -> str:
    """What must stay with one worker: all tests that boot guests or build kernels, which share a
    workspace; of the others a file.
    """
    path = test.split("::", 1)[0]
    return "guests" if path.startswith(("tests/vm/", "tests/kernel/")) else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """`pytest -n 2`: guests beside everything else."""
    from xdist.scheduler import LoadScopeScheduling

    class Scopes(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

    return Scopes(config, log)
