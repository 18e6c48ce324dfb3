"""Fixtures of the tests that boot guests."""

from tests.guests import before_kernel, harness, no_guest_survives, spawn

__all__ = ["before_kernel", "harness", "no_guest_survives", "spawn"]
