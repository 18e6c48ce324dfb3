"""The page about the files is made from the models that read and write them."""

from __future__ import annotations

from harness.records import document
from tests.places import ROOT


def test_the_page_is_not_stale() -> None:
    written = (ROOT / "docs" / "records.md").read_text()
    assert written == document.page(), (
        "run: .venv/bin/python -m harness.records.document > docs/records.md"
    )


def test_every_model_has_its_section_once() -> None:
    page = document.page()
    for name in ("Run", "Plan", "SuitePlan", "Cell", "Kernel", "Host", "BootRecord", "Sample",
                 "Verdict", "Event", "Metric"):
        assert page.count(f"### {name}\n") == 1
    assert "- `thp`: `never` or `madvise` or `always` or `as booted`, `'never'` unless" in page
    assert max(map(len, page.splitlines())) <= 100
