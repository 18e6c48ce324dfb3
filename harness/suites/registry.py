"""The suites there are, by name. A new one is added to the tuple."""

from __future__ import annotations

from harness.core.errors import UserError
from harness.project.config import nearest
from harness.suites.ltp import Ltp
from harness.suites.races import Piecewise, Races
from harness.suites.selftests import Selftests
from harness.suites.stressors import StressNg, Trinity
from harness.suites.suite import Suite

_ALL: tuple[Suite, ...] = (Races(), Piecewise(), Selftests(), Ltp(), StressNg(), Trinity())
SUITES: dict[str, Suite] = {suite.name: suite for suite in _ALL}


def find_suite(name: str) -> Suite:
    """The suite of that name; :class:`UserError` for an unknown one."""
    if name not in SUITES:
        raise UserError(f"unknown suite '{name}'", hint=nearest(name, SUITES))
    return SUITES[name]
