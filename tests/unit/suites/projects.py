"""A small project on disk, for plans."""

from __future__ import annotations

from pathlib import Path

from harness.project import reading
from harness.project.config import Project
from tests.places import FAKE_LINUX

TOML = """
[defaults]
base = "mine"
variants = ["before", "after"]

[bases.mine]
kind = "dir"
path = "{tree}"

[variants.before]

[variants.after]
extends = "before"

[variants.other]
extends = "before"

[[comparisons]]
baseline = "before"
variant = "after"

[suites.races]
variants = ["after"]
smp = 2
append = "numa=fake=2"

[suites.selftests]
variants = ["after"]

[nightly]
hours = 2

[[nightly.suites]]
suite = "races"
variants = ["before", "after"]
minutes = 10

[[nightly.suites]]
suite = "selftests"
"""


def small_project(root: Path) -> Project:
    """A project of three variants and a night of two suites."""
    place = root / "project"
    place.mkdir(exist_ok=True)
    (place / "harness.toml").write_text(TOML.replace("{tree}", str(FAKE_LINUX)))
    return reading.load(place)
