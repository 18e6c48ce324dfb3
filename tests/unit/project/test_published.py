"""The published figures of our harness.toml are the letter's."""

from __future__ import annotations

import pytest

from harness.project import reading
from tests.places import ROOT


def test_what_the_letter_prints_follows_from_its_figures() -> None:
    (letter,) = reading.load(ROOT).config.published
    by_name = {(f.metric, f.params.get("threads", 0)): f for f in letter.figures}
    assert len(letter.figures) == 8 and len(by_name) == 8
    for figure in letter.figures:
        assert len(figure.printed) == 2
        computed = 100 * (figure.variant - figure.baseline) / figure.baseline
        if figure.metric == "faults_per_minute":
            assert [int(text.replace(",", "")) for text in figure.printed] == [
                figure.baseline, figure.variant,
            ]
            # At 8 threads the letter's own change is another than its figures give.
            wrong = figure.params["threads"] == 8
            assert (abs(computed - figure.delta_pct) > 0.05) is wrong
    assert by_name["faults_per_minute", 8].delta_pct == -1.17
    assert by_name["VmRSS", 0].baseline == pytest.approx(3.1 * 1024)
    assert by_name["VmSize", 0].baseline / by_name["VmSize", 0].scale == 50.0
    assert by_name["VmPTE", 0].delta_pct == pytest.approx(-99.76, abs=0.005)
    assert by_name["VmPTE_per_VmRSS", 0].baseline == pytest.approx(100 * 110 / 590)
    assert by_name["VmPTE_per_VmRSS", 0].variant == pytest.approx(100 * 1.2 / 590)
    assert by_name["VmSize_per_VmRSS", 0].variant == pytest.approx(55 * 1024 / 590)
