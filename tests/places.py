"""Where things are, for tests in any room."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
FAKE_LINUX = ROOT / "tests" / "fakelinux"
