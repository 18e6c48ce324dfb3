"""The figures of the letter that started this, to stand beside ours.

Source: Qi Zheng, "[PATCH v2 0/9] Free user PTE page table pages", linux-mm,
19 August 2021, message-id 20210819031858.98043-1-zhengqi.arch@bytedance.com.
They were measured on real hardware that the letter does not describe, so a
number of ours taken under TCG is never comparable with them, only its ratio is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TITLE = "[PATCH v2 0/9] Free user PTE page table pages"
MESSAGE_ID = "20210819031858.98043-1-zhengqi.arch@bytedance.com"
CITATION = f"Qi Zheng, \"{TITLE}\", linux-mm, 19 August 2021, message-id {MESSAGE_ID}"
BASE = "next-20210812"
HARDWARE = "real hardware, not described in the letter"

KB_PER_MB = 1024
KB_PER_GB = 1024 * 1024
SIZE_GIB = 50
DENSE = 512  # pages per 2 MiB in use, which the ideal of the letter takes for granted


@dataclass(frozen=True)
class Figure:
    """One line of the letter: what it printed before and after its series.

    ``before`` and ``after`` are in the unit of our metric of the same name (kB
    of 1024 bytes, or faults/min); ``printed`` is the letter's own spelling.
    """

    before: float
    after: float
    printed_before: str
    printed_after: str
    printed_delta_pct: float | None = None

    @property
    def computed_delta_pct(self) -> float:
        """The change in percent as it follows from the two figures."""
        return 100.0 * (self.after - self.before) / self.before

    @property
    def delta_pct(self) -> float:
        """The change as the letter printed it; computed where it printed none."""
        if self.printed_delta_pct is not None:
            return self.printed_delta_pct
        return round(self.computed_delta_pct, 2)

    def as_dict(self) -> dict[str, float]:
        """For JSON: ``{before, after, delta_pct}``."""
        return {"before": self.before, "after": self.after, "delta_pct": self.delta_pct}


MEMORY: dict[str, Figure] = {
    "VmSize": Figure(50.0 * KB_PER_GB, 50.0 * KB_PER_GB, "50.0 GB", "50.0 GB"),
    "VmRSS": Figure(3.1 * KB_PER_MB, 3.6 * KB_PER_MB, "3.1 MB", "3.6 MB"),
    "VmPTE": Figure(102_640, 248, "102640 kB", "248 kB"),
}
"""The 50 GiB loop, by our names of the letter's VIRT, RES and VmPTE; kB."""

_SNAPSHOT = "server-snapshot"
SERVER: dict[str, Figure] = {
    "VmPTE_per_VmRSS": Figure(
        100 * 110 / 590, 100 * 1.2 / 590, "110g : 590g", "1.2g : 590g in theory"
    ),
    "VmSize_per_VmRSS": Figure(55 * 1024 / 590, 55 * 1024 / 590, "55t : 590g", "55t : 590g"),
}
"""The server of the letter's introduction, as ratios: ours is at scale 1:N. The letter did not
measure its "after"; it says what would be enough "in theory"."""

FAULTS: dict[int, Figure] = {
    1: Figure(32_085_255, 31_880_833, "32,085,255", "31,880,833", -0.64),
    8: Figure(101_674_967, 100_588_311, "101,674,967", "100,588,311", -1.17),
    16: Figure(113_207_000, 112_801_832, "113,207,000", "112,801,832", -0.36),
}
"""Page faults a minute by number of threads."""

NOTES = (
    "At 8 threads the letter prints -1.17 %, while its own two figures give "
    f"{FAULTS[8].computed_delta_pct:.2f} %.",
    "RES and VIRT are the letter's rounded MB and GB, taken as 1024 kB and 1024 MB.",
)


def figure(workload: str, params: Mapping[str, Any], metric: str) -> Figure | None:
    """The letter's figure for a cell of ours, or None where it has none."""
    if workload == "vmpte" and params.get("size_gib") == SIZE_GIB:
        return MEMORY.get(metric)
    if workload == _SNAPSHOT and params.get("live_pages") == DENSE:
        return SERVER.get(metric)
    if workload == "multi-fault" and metric == "faults_per_minute":
        threads = params.get("threads")
        if params.get("mode", "letter") == "letter" and isinstance(threads, int):
            return FAULTS.get(threads)
    return None
