"""What the tests of a fleet share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """Where pretended boots and tests find what is planned for them, and say what they did."""
    (tmp_path / "stage").mkdir()
    return tmp_path / "stage"
