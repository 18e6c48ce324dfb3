"""What is compared is declared, within one lineage, and known before anything is measured."""

from __future__ import annotations

import tomllib

import pytest

from harness.core.errors import UserError
from harness.measure.planning import declared
from harness.project import reading
from harness.project.config import Project
from harness.records.plans import Pair
from tests.places import ROOT

PROJECT = reading.load(ROOT)


def test_two_designs_in_one_run() -> None:
    four = ["before", "after", "reclaim-off", "reclaim-on"]
    assert declared(PROJECT, four) == [
        Pair(baseline="before", variant="after"),
        Pair(baseline="reclaim-off", variant="reclaim-on"),
    ]


def test_who_would_stand_alone_is_refused() -> None:
    with pytest.raises(UserError, match="reclaim-on would be measured and compared with nothing"):
        declared(PROJECT, ["before", "after", "reclaim-on"])
    assert declared(PROJECT, ["after"]) == [], "one variant alone is not meant to be compared"


def test_a_comparison_across_bases_is_refused_before_anything_is_measured() -> None:
    raw = tomllib.loads((ROOT / "harness.toml").read_text())
    raw["comparisons"].append({"baseline": "before", "variants": ["reclaim-on"]})
    with pytest.raises(UserError, match="reclaim-on is compared with before, but one is built on"):
        declared(
            Project(PROJECT.root, reading.parse(raw, "harness.toml")), ["before", "reclaim-on"]
        )
