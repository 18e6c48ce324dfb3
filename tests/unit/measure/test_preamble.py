"""What a guest is made to be before instructions are counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from harness.machine.session import Session
from harness.measure import preamble


def test_the_page_lists_are_lengthened_and_the_guest_says_so() -> None:
    said: list[str] = []

    def run(command: str) -> Any:
        said.append(command)
        return SimpleNamespace(stdout="8\n")

    guest = cast("Session", SimpleNamespace(run=run))
    assert preamble.lengthen_lists(guest) == "8"
    assert len(said) == 1
    assert f"echo {preamble.LONGEST} > {preamble.LISTS}" in said[0]
    assert "else echo absent" in said[0]
