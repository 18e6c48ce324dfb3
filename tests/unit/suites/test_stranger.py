"""The suite of docs/extending.md, as somebody would write it who has read nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.suites import registry
from harness.suites.conductor import conduct
from harness.suites.suite import Suite
from harness.suites.suiteplan import SuiteOptions, make_suite_plan
from tests.places import ROOT
from tests.unit.suites.fakes import FakeLab, Script
from tests.unit.suites.projects import small_project


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch) -> Suite:
    """The class of the page, added to the suites there are."""
    text = (ROOT / "docs/extending.md").read_text()
    section = text.partition("## A suite of tests\n")[2]
    (code,) = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    names: dict[str, Any] = {}  # what the page's code defines, whatever that is
    exec(code, names)  # our own documentation
    found: Suite = names["ProcFiles"]()
    monkeypatch.setitem(registry.SUITES, found.name, found)
    return found


def test_it_is_conducted_like_every_other(suite: Suite, tmp_path: Path) -> None:
    project = small_project(tmp_path)
    plan = make_suite_plan(project, "proc-files", SuiteOptions(
        variants=["before", "after"], wanted=["*maps"],
    ))
    script = Script({
        "/run/read-proc numa_maps": (2, ""), "/run/read-proc smaps": (1, "Bad address\n"),
    })
    lab = FakeLab(tmp_path, {"before": script, "after": script}, project)
    outcome = conduct(lab, plan, tmp_path / "run")
    assert [(v.test, v.verdict, v.reason) for v in outcome.verdicts if v.variant == "after"] == [
        ("maps", "pass", ""), ("smaps", "fail", "Bad address"),
        ("numa_maps", "skip", "this kernel has no such file"),
    ]
    assert outcome.exit_code == 0  # the same on both
    assert "3 same" in outcome.words()


def test_what_it_does_not_listen_to_is_an_error(suite: Suite, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--seed means nothing to the suite proc-files"):
        make_suite_plan(small_project(tmp_path), "proc-files", SuiteOptions(seed=1))
    assert suite.takes == frozenset() and not suite.leaks
