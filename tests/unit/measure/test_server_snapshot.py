"""The published server, scaled: what is reckoned before a guest runs."""

from __future__ import annotations

import pytest

from harness.core.errors import UserError
from harness.measure import workloads
from harness.measure.workloads.server_snapshot import (
    MOST_SCALE,
    OWN_TABLES,
    Composition,
    beside,
    check_fit,
    choose_scale,
    compose,
    ratios,
)

GIB_KB = 2**20


def vmpte_kb(made: Composition) -> float:
    """What VmPTE will be before the series: tables of every level."""
    return 4 * (made.live + made.dropped + made.upper_tables + OWN_TABLES)


@pytest.mark.parametrize("scale", [1, 64, 256, 4096, MOST_SCALE])
@pytest.mark.parametrize("pages", [512, 64, 6])
def test_the_right_ratio_at_any_scale(scale: int, pages: int) -> None:
    made = compose(scale, pages)
    res_kb = made.live * made.live_pages * 4
    assert vmpte_kb(made) / res_kb == pytest.approx(110 / 590, rel=0.02)
    assert made.virt_bytes / 1024 / res_kb == pytest.approx(55 * 1024 / 590, rel=0.02)
    assert (made.live + made.dropped) * 2 * 2**20 <= made.virt_bytes


def test_too_few_pages_per_table() -> None:
    with pytest.raises(UserError, match="live_pages 5") as error:
        workloads.get("server-snapshot").cells({"live_pages": 5})
    assert "give 6 or more" in str(error.value.hint)


@pytest.mark.parametrize(("memory_kb", "scale"), [
    (0.96 * 4 * GIB_KB, 256), (0.96 * 2 * GIB_KB, 512), (0.96 * 8 * GIB_KB, 128),
    (1024 * GIB_KB, 1), (GIB_KB / 2, 2048),
])
def test_scale_fits_the_guest(memory_kb: float, scale: int) -> None:
    assert choose_scale(memory_kb) == scale
    check_fit(scale, memory_kb)
    if scale > 1:
        with pytest.raises(UserError, match=f"1:{scale // 2} takes"):
            check_fit(scale // 2, memory_kb)


def test_guest_that_is_too_small() -> None:
    with pytest.raises(UserError, match="too small"):
        choose_scale(64 * 1024)


def test_ratios_of_the_servers_own_figures() -> None:
    original = {"VmSize": 55 * 1024.0 * GIB_KB, "VmRSS": 590.0 * GIB_KB, "VmPTE": 110.0 * GIB_KB}
    found = {m.metric: m.value for m in ratios(original, 0)}
    assert found["VmPTE_per_VmRSS"] == pytest.approx(18.644, abs=1e-3)
    assert found["VmSize_per_VmRSS"] == pytest.approx(95.458, abs=1e-3)
    assert found["VmPTE_per_ideal"] == pytest.approx(110 * 512 / 590)
    text = beside({k: v / 256 for k, v in original.items()}, compose(256, 512))
    assert "VmPTE   original     110.0 GiB, ours x 256     110.0 GiB" in text


def test_bad_parameters() -> None:
    cells = workloads.get("server-snapshot").cells
    with pytest.raises(UserError, match="scale"):
        cells({"scale": MOST_SCALE + 1})
    with pytest.raises(UserError, match="did you mean 'live_pages'"):
        cells({"live_page": 3})
    assert [c["live_pages"] for c in cells({"live_pages": [512, 64]})] == [512, 64]
