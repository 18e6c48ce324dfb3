"""The suites there are, by name. A new one is added to the tuple."""

from __future__ import annotations

from harness.core.errors import UserError
from harness.project.config import nearest
from harness.suites.ltp import LtpSuite
from harness.suites.model import ModelSuite
from harness.suites.races import PiecewiseSuite, RaceSuite
from harness.suites.selftests import SelftestSuite
from harness.suites.stressors import StressNgSuite, TrinitySuite
from harness.suites.suite import Suite

_ALL: tuple[Suite, ...] = (
    RaceSuite(), ModelSuite(), PiecewiseSuite(), SelftestSuite(), LtpSuite(), StressNgSuite(),
    TrinitySuite(),
)
SUITES: dict[str, Suite] = {suite.name: suite for suite in _ALL}


def find_suite(name: str) -> Suite:
    """The suite of that name; :class:`UserError` for an unknown one."""
    if name not in SUITES:
        raise UserError(f"unknown suite '{name}'", hint=nearest(name, SUITES))
    return SUITES[name]
