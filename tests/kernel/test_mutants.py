"""The race suite is able to fail: each mutant of the series breaks one obligation and is caught.

Building and running them takes half an hour once there is an object tree of
after-debug, and a whole debug kernel more on a cold cache. So it is done only where
HARNESS_MUTANTS is set, to `all` (`make mutants`) or to names.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.kernel.build.builds import plan_build
from harness.kernel.series import patches as series
from harness.project import reading
from tests.guests import Harness
from tests.places import ROOT

pytestmark = pytest.mark.kernel

WANTED = os.environ.get("HARNESS_MUTANTS", "").replace(",", " ").split()
FOLDER = "tests/mutants"
FAMILIES = {
    "mutant": (FOLDER, "after-debug"),
    "mutant-reclaim": (f"{FOLDER}/debian-7.3", "reclaim-after-debug"),
}
"""As in harness.toml: the patches' directory, and what they are compared with."""
MINUTES = 0.5
SEED = 1


@dataclass(frozen=True)
class Mutant:
    """A broken series, and the race that is to notice."""

    name: str
    obligation: int
    """The one that it breaks, of docs/pte-refcount.md; 0 on debian-7.3, which has no numbers."""
    race: str
    smp: int = 2  # fewer CPUs, fewer flush IPIs: more operations under emulation
    family: str = "mutant"

    @property
    def variant(self) -> str:
        """Its name in harness.toml."""
        return f"{self.family}-{self.name}"

    @property
    def unbroken(self) -> str:
        """What it is compared with."""
        return FAMILIES[self.family][1]

    @property
    def patch(self) -> str:
        """Its patch, relative to the project."""
        return f"{FAMILIES[self.family][0]}/{self.name}.patch"


MUTANTS = [
    Mutant("count-after-pmd", 1, "dontneed-fault"),
    Mutant("count-after-unlock", 2, "dontneed-fault"),
    Mutant("fork-uncounted", 2, "fork"),
    Mutant("fork-unjudged", 2, "fork"),
    Mutant("mremap-uncounted", 2, "mremap"),
    Mutant("free-unjudged", 3, "dontneed-fault"),
    Mutant("detach-unlocked", 4, "dontneed-fault"),
    Mutant("judged-early", 4, "dontneed-fault"),
    Mutant("pmd-shared-lock", 4, "pmd"),
    Mutant("no-grace-period", 5, "dontneed-fault"),
    Mutant("no-recheck", 8, "dontneed-fault"),
    Mutant("collapse-unchecked", 8, "collapse"),
    Mutant("fault-around-gone", 9, "truncate"),
    Mutant("insert-pages-error", 10, "insert"),
    Mutant("uffd-copy-uncounted", 11, "uffd"),
    Mutant("split-zero", 12, "thp"),
    Mutant("munmap-neighbour", 13, "munmap"),
    # On debian-7.3. The first two are bugs that upstream's PT_RECLAIM was released with.
    Mutant("break-unseen", 0, "dontneed-refill", smp=4, family="mutant-reclaim"),
    Mutant("collapse-unlocked", 0, "thp", smp=4, family="mutant-reclaim"),
    Mutant("before-rmaps", 0, "dontneed-direct", smp=4, family="mutant-reclaim"),
    Mutant("hint-believed", 0, "dontneed-fault", family="mutant-reclaim"),
    Mutant("move-unchecked", 0, "mremap-neighbour", smp=4, family="mutant-reclaim"),
]
each_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.variant)


def test_every_patch_is_a_variant_and_a_case() -> None:
    patches = {str(path.relative_to(ROOT)) for path in (ROOT / FOLDER).rglob("*.patch")}
    assert patches == {mutant.patch for mutant in MUTANTS}
    variants = reading.load(ROOT).config.variants
    assert {m.variant for m in MUTANTS} == {n for n in variants if n.startswith("mutant-")}


@each_mutant
def test_it_applies_to_the_series_without_fuzz(mutant: Mutant, tmp_path: Path) -> None:
    plan = plan_build(Workspace(), reading.load(ROOT), mutant.variant, fetch=True)
    assert plan.source and plan.series
    assert plan.series.patches[-1].name == mutant.patch
    changed = plan.series.patches[-1].files
    assert all(name.startswith("mm/") and name.endswith(".c") for name in changed)
    series.apply(plan.series, plan.source.path, tmp_path, Progress(-1))


@each_mutant
def test_the_text_says_what_it_breaks(mutant: Mutant) -> None:
    text, _, _ = (ROOT / mutant.patch).read_text().partition("\n--- ")
    named = [int(number) for number in re.findall(r"\b[Oo]bligation (\d+)\b", text)]
    assert named == ([mutant.obligation] if mutant.obligation else [])
    assert re.search(rf"^Race: {re.escape(mutant.race)}\b", text, re.MULTILINE)


@pytest.mark.timeout(3600)
@each_mutant
def test_its_race_catches_it(harness: Harness, mutant: Mutant, tmp_path: Path) -> None:
    if not {"all", mutant.name} & set(WANTED):
        pytest.skip(f"needs HARNESS_MUTANTS=all or ={mutant.name} (make mutants): builds a kernel")
    assert run(harness, mutant.variant, mutant, tmp_path), f"{mutant.name} went unnoticed"
    assert not run(harness, mutant.unbroken, mutant, tmp_path), "the series itself fails"


def run(harness: Harness, variant: str, mutant: Mutant, tmp_path: Path) -> list[str]:
    """Why the race failed on the variant; empty when it passed."""
    out = tmp_path / variant
    done = harness("stability", "--suite", "races", "--tests", f"race-{mutant.race}",
                   "--variants", variant, "--seed", str(SEED), "--minutes", str(MINUTES),
                   "--smp", str(mutant.smp), "--out", str(out), timeout=3000)
    assert done.code in (0, 1, 4), done.err
    verdicts = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    assert {v["test"] for v in verdicts} >= {f"race-{mutant.race}"}
    assert not [v for v in verdicts if v["verdict"] in ("skip", "lost", "timeout")]
    assert not [v for v in verdicts if v["test"] == "boot"], "noticed before the race began"
    # By the race itself, or by what its address space left behind at power-off.
    return [v["reason"] for v in verdicts if v["verdict"] != "pass"]
