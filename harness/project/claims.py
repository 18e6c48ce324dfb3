"""``claims.toml``: what a project says that it measured, and what shows it. Data, not code.

It lies beside harness.toml. A claim is a passage of a page or of a publication, the evidence that
it rests on, and the figures that are to be found there.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field, ValidationError, model_validator

from harness.core.errors import UserError
from harness.project.table import Strict
from harness.records.record import Name, Params
from harness.records.verdicts import Word as TestWord

CLAIMS_FILE = "claims.toml"
Quantity: TypeAlias = Literal[
    "baseline", "variant", "change", "low", "high", "difference", "verdict", "boots",
    "baseline_least", "baseline_greatest", "variant_least", "variant_greatest", "repeat",
]
"""Of a comparison: both medians; the change in percent, its interval's ends in percent, and the
difference in the metric's unit; the verdict; the variant's boots; the least and greatest boot; by
how many percent a counted boot differed when it was done again."""


class ClaimedFigure(Strict):
    """What is said of one metric of one cell, in one comparison."""

    workload: Name
    params: Params = Field(default_factory=dict)
    """Parameters that tell the cell from the others of the run."""
    metric: str
    variant: Name
    """The side that is compared; of a figure of one kernel alone, that kernel."""
    accel: str = ""
    """Where a run measured it under several."""
    base: str = ""
    """Where a run measured it on several."""
    prints: dict[Quantity, str] = Field(default_factory=dict)
    """Numbers as the passage spells them (``7,249.9``, ``+0.54``); the record must give each, to
    the last digit that is printed."""
    least: dict[Quantity, float] = Field(default_factory=dict)
    """For a passage that promises a bound: the record must be at or above it."""
    most: dict[Quantity, float] = Field(default_factory=dict)
    """The record must be at or below it."""
    scale: float = Field(default=1.0, gt=0)
    """What medians and differences of the record are divided by before they are compared."""
    give: float = Field(default=0.3, ge=0)
    """By how many percentage points a change may differ when it is measured again."""

    @model_validator(mode="after")
    def _says_something(self) -> ClaimedFigure:
        if not (self.prints or self.least or self.most):
            raise ValueError(f"{self.workload} {self.metric}: no prints, least or most")
        return self


class ClaimedTests(Strict):
    """How many planned tests of a suite's run ended in a word on a variant."""

    variant: Name
    count: int = Field(ge=0)
    verdict: TestWord = "pass"


class Remeasure(Strict):
    """How evidence is had again by ``harness claims``; what is left out is harness.toml's."""

    variants: list[Name] = Field(min_length=1)
    base: str = ""
    profile: str = ""
    workloads: list[Name] = Field(default_factory=list)
    threads: list[int] = Field(default_factory=list)
    boots: int | None = Field(default=None, ge=1)
    repeat: int | None = Field(default=None, ge=1)
    rounds: int | None = Field(default=None, ge=1)
    accel: str = ""
    smp: int | None = Field(default=None, ge=1)
    control: bool | None = None
    suite: str = ""
    """A suite of tests instead of a measurement."""
    tests: list[str] = Field(default_factory=list)
    minutes: float | None = Field(default=None, gt=0)
    """Guest minutes of a suite that runs for a time, for each variant."""
    seldom: bool = False
    """Never with ``--check``: it needs a kernel that nothing else there does."""
    takes: float | None = Field(default=None, gt=0)
    """Minutes of the clock, of a suite whose tests take as long as they take."""


class Evidence(Strict):
    """One act of measuring: its runs, or why none was kept."""

    command: str
    """What shows it."""
    runs: list[str] = Field(default_factory=list)
    """The directories of its record, relative to claims.toml; tests of several are added up."""
    missing: str = ""
    """Why there is no record; exactly one of this and ``runs`` is given."""
    date: str
    revision: str
    """The commit of this repository that was measured; empty where it was not written down."""
    lost: str = ""
    """Why just that cannot be built any more."""
    machine: str
    accel: str
    remeasure: Remeasure | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Evidence:
        if bool(self.runs) == bool(self.missing):
            raise ValueError(f"'{self.command}': give either runs or missing")
        return self


class Claim(Strict):
    """A passage with something that was measured, or promised, in it."""

    name: Name
    file: str = ""
    """The page that it stands on, relative to claims.toml."""
    source: str = ""
    """The publication of ``[sources]`` that it stands in, where it is on no page."""
    says: str
    """The passage, word for word; line breaks do not matter."""
    evidence: str = ""
    """A name of ``[evidence]``."""
    argued: str = ""
    """What it rests on where nothing was measured: arithmetic, or reading of code."""
    missing: str = ""
    """Why the record does not show it although its evidence has one; or why nothing does."""
    superseded: str = ""
    """What has changed since it was measured."""
    note: str = ""
    figures: list[ClaimedFigure] = Field(default_factory=list)
    tests: list[ClaimedTests] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_whole(self) -> Claim:
        if bool(self.file) == bool(self.source):
            raise ValueError(f"{self.name}: give either file or source")
        if not (self.evidence or self.argued or self.missing):
            raise ValueError(f"{self.name}: give evidence, argued or missing")
        if (self.figures or self.tests) and not self.evidence:
            raise ValueError(f"{self.name}: figures are of evidence, and none is named")
        words = " ".join(self.says.split())
        for figure in self.figures:
            for quantity, text in figure.prints.items():
                whole = rf"(?<![\w.,]){re.escape(text)}(?!\w|[.,]\d)"
                if quantity != "verdict" and not re.search(whole, words):
                    raise ValueError(f"{self.name}: '{text}' is not in what it says")
        return self


class NoClaim(Strict):
    """Passages with numbers of which nothing was measured."""

    file: str
    why: str
    says: list[str] = Field(min_length=1)


class ClaimBook(Strict):
    """The whole of claims.toml."""

    pages: list[str] = Field(default_factory=list)
    """Pages of which each number with a unit must be in a claim or in ``not_claims``."""
    sources: dict[Name, str] = Field(default_factory=dict)
    """Publications: name to citation."""
    evidence: dict[Name, Evidence] = Field(default_factory=dict)
    claims: list[Claim] = Field(default_factory=list)
    not_claims: list[NoClaim] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_are_known(self) -> ClaimBook:
        seen: set[str] = set()
        for claim in self.claims:
            if claim.name in seen:
                raise ValueError(f"two claims are called {claim.name}")
            seen.add(claim.name)
            if claim.evidence and claim.evidence not in self.evidence:
                raise ValueError(f"{claim.name}: unknown evidence '{claim.evidence}'")
            if claim.source and claim.source not in self.sources:
                raise ValueError(f"{claim.name}: unknown source '{claim.source}'")
        for name in self.evidence.keys() - {claim.evidence for claim in self.claims}:
            raise ValueError(f"no claim rests on the evidence '{name}'")
        return self


def load_claims(root: Path) -> ClaimBook:
    """Read and check the claims.toml of the project at ``root``; raises :class:`UserError`."""
    path = root / CLAIMS_FILE
    if not path.is_file():
        raise UserError(
            f"there is no {CLAIMS_FILE} in {root}, so nothing is claimed",
            hint="docs/claims.md says what stands in one",
        )
    try:
        return ClaimBook.model_validate(tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {where}: {first['msg']}") from error
