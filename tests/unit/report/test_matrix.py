"""A quantity of many cells as a grid: every kernel of the record, bases side by side."""

from __future__ import annotations

import pytest

from harness.report.analysis.analyse import Analysis, analyse
from harness.report.plots import plot_matrix
from harness.report.plots.drawing import draw
from tests.places import ROOT


@pytest.fixture(scope="module")
def found() -> Analysis:
    """Five kernels of two bases, 25 ways of emptying memory."""
    return analyse([ROOT / "results" / "reference" / "demand"])


def test_all_kernels_stand_in_one_grid(found: Analysis) -> None:
    (plot,) = [plot for plot in draw(found) if "matrix" in plot.name]
    assert plot.name == "emptied-vmpte-kept-matrix-tcg" and plot.workload == "emptied"
    assert plot.alt.startswith("A grid of 25 cells by 5 kernels. ")
    for kernel in ("after of debian-6.1", "reclaim-after of debian-7.3"):
        assert f"{kernel}: 0 in 25 of 25, 0 kB in all" in plot.alt
    assert "reclaim-on of debian-7.3: 0 in 2 of 25" in plot.alt
    assert "control" not in plot.alt
    assert len(plot.tips.texts) == 25 * 5
    assert "munmap-half, before: 64 kB" in plot.tips.texts


def test_a_cell_that_was_not_measured_stays_empty(found: Analysis) -> None:
    rows = [row for row in found.rows if plot_matrix.fits(row) and row.workload == "emptied"]
    some = [row for row in rows if (row.cell, row.place.base) != ("zeropage", "debian-7.3")]
    plot = plot_matrix.matrix(found, some)
    assert "reclaim-off of debian-7.3: 0 in 2 of 24" in plot.alt
    assert len(plot.tips.texts) == 25 * 5 - 3


def test_what_is_not_exact_has_no_grid(found: Analysis) -> None:
    names = {(row.workload, row.metric.name) for row in found.rows if plot_matrix.fits(row)}
    assert ("emptied", "VmPTE_kept") in names and not {n for n in names if n[0] == "redis"}
