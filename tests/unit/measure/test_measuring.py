"""Which builds a run's record holds."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from harness.core.errors import UserError
from harness.kernel.build.builds import Build
from harness.measure.measuring import Making, Supplier, measure, note_build
from harness.measure.profiles import caches
from harness.records.kernels import Kernel, LayoutRecord, SourceRecord
from harness.records.plans import Plan
from harness.records.runs import Run


def build(variant: str, layout: int, key: str) -> Build:
    source = SourceRecord(kind="dir", version="6.1", digest="d")
    return Build(Path("none"), Kernel(
        variant=variant, key=key, base="b", release="6.1.1", source=source,
        layout=LayoutRecord(number=layout),
    ))


def test_a_run_knows_the_build_of_each_variant_and_layout() -> None:
    run = Run(run="r", plan=Plan(variants=["base", "tip"], layouts=2))
    for variant, layout, key in (
        ("base", 0, "a"), ("base", 1, "b"), ("tip", 0, "c"), ("tip", 1, "d"), ("tip", 1, "d"),
    ):
        note_build(run, build(variant, layout, key))
    assert {name: one.key for name, one in run.kernels.items()} == {"base": "a", "tip": "c"}
    assert [(one.variant, one.key) for one in run.other_layouts] == [("base", "b"), ("tip", "d")]
    found = [run.kernel(variant, layout) for variant in ("base", "tip") for layout in (0, 1, 2)]
    assert [one.key if one else None for one in found] == ["a", "b", None, "c", "d", None]
    assert Run.model_validate_json(run.model_dump_json()) == run


@pytest.mark.parametrize("layout", [0, 1])
def test_a_run_does_not_go_on_with_another_kernel(layout: int) -> None:
    run = Run(run="r", plan=Plan(variants=["base"], layouts=2))
    note_build(run, build("base", layout, "a"))
    with pytest.raises(UserError, match="begun with another kernel of base"):
        note_build(run, build("base", layout, "z"))


@pytest.mark.parametrize(("accel", "profile"), [("tcg", True), ("icount", False)])
def test_caches_are_refused_where_nothing_is_counted_and_profiled(
    tmp_path: Path, accel: str, profile: bool
) -> None:
    making = Making(profile=profile, caches=caches.parse("48K/12,32K/8,2M/16"))
    unused = cast("Supplier", None)
    with pytest.raises(UserError, match="--caches models caches where") as caught:
        measure(unused, Plan(variants=["base"], accel=accel), tmp_path / "run", making)
    assert "--accel icount" in caught.value.hint and not (tmp_path / "run").exists()
