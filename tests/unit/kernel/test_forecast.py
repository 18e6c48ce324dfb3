"""Which kernels would be built first, and about how long that takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.core.workspace import Workspace
from harness.kernel.build import forecast
from harness.kernel.build.recipe import plan_build
from tests.unit.suites.projects import small_project


def test_only_what_is_not_in_the_cache_is_built(tmp_path: Path) -> None:
    workspace, project = Workspace(tmp_path / "w"), small_project(tmp_path)
    names = [one.variant for one in forecast.forecast(
        workspace, project, ["before", "after", "before"])]
    assert names == ["before", "after"]
    key = plan_build(workspace, project, "before").key
    with workspace.publish("builds", key) as staging:
        (staging / "build.json").write_text(json.dumps({"seconds": 600.0}))
    # `after` of this project is the same kernel by another name.
    assert forecast.forecast(workspace, project, ["before", "after"]) == []
    assert forecast.whole_build_seconds(workspace) == 600.0
    with pytest.raises(UserError, match="unknown variant"):
        forecast.forecast(workspace, project, ["befor"])


def test_the_words() -> None:
    assert forecast.words([]) == ""
    both = [forecast.Forecast("before", 480), forecast.Forecast("after", 60)]
    assert forecast.words(both) == \
        "to be built first, about 9 minutes (minutes each: before 8, after 1)"


def test_another_layout_is_only_linked(tmp_path: Path) -> None:
    workspace, project = Workspace(tmp_path / "w"), small_project(tmp_path)
    found = forecast.forecast(workspace, project, ["before"], layouts=3)
    assert [one.layout for one in found] == [0, 1, 2]
    assert found[1].seconds == found[2].seconds < found[0].seconds / 10
    assert ", 2 other layouts " in forecast.words(found)
