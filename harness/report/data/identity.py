"""What may be compared with what: columns, bases and machines of merged runs.

Two samples belong to one column only when their kernels are the same build, and to one row only
when lineage, accel and machine agree. Anything else is kept apart and said aloud.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.records.plans import Plan
from harness.records.runs import Run


@dataclass(frozen=True)
class Column:
    """One side of the report: a build, or the same build once more as a control."""

    variant: str
    control: bool = False
    """The A/A control: boots of their own of a build that is measured already."""
    run: str = ""
    """The run it is of, where runs have different builds of the variant."""

    @property
    def label(self) -> str:
        """``after``, ``before (control)``, or ``after@RUN``."""
        at = f"@{self.run}" if self.run else ""
        return f"{self.variant}{at}{' (control)' if self.control else ''}"


@dataclass
class Identity:
    """Columns, bases and machines of every run's variants."""

    columns: list[Column] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    places: dict[tuple[str, str, bool], Column] = field(default_factory=dict)
    """(run, variant, control) to the column."""
    bases: dict[tuple[str, str], str] = field(default_factory=dict)
    """(run, variant) to the name of what it may be compared with: its lineage."""
    machines: dict[str, str] = field(default_factory=dict)
    """Run to host, such as ``2 x Intel Xeon``."""

    def column(self, run: str, variant: str, control: bool) -> int:
        """The index of the column that a sample stands in."""
        return self.columns.index(self.places[run, variant, control])

    def base(self, run: str, variant: str) -> str:
        """The variant's lineage, or "" when the run does not say."""
        return self.bases.get((run, variant), "")


def identify(runs: Sequence[tuple[str, Run, Iterable[tuple[str, bool]]]]) -> Identity:
    """Work out what belongs together; each run with its name and its samples' sides."""
    identity = Identity()
    builds: dict[tuple[str, str], str] = {}
    sides: list[tuple[str, str, bool]] = []
    for name, run, sampled in runs:
        assert isinstance(run.plan, Plan)
        identity.machines[name] = machine_label(run)
        controls = [(boot.variant, True) for boot in run.plan.boots if boot.control]
        known = [(variant, False) for variant in (*run.plan.variants, *run.kernels)]
        for variant, control in dict.fromkeys([*known, *controls, *sampled]):
            kernel = run.kernels.get(variant)
            identity.bases[name, variant] = (
                (kernel.lineage or kernel.base) if kernel else run.plan.base
            )
            builds[name, variant] = kernel.key if kernel else ""
            sides.append((name, variant, control))
    _join_lineages(identity, runs)
    _place(identity, builds, sides)
    return identity


def _join_lineages(
    identity: Identity, runs: Sequence[tuple[str, Run, Iterable[tuple[str, bool]]]]
) -> None:
    """Two lineages of which a comparison was asked for by name share their rows."""
    for name, run, _ in runs:
        pairs = run.plan.comparisons
        for pair in (pair for pair in pairs if pair.across):
            one, two = (identity.base(name, side) for side in (pair.baseline, pair.variant))
            if one == two:
                continue
            joined = f"{one} and {two}"
            for key, base in identity.bases.items():
                if base in (one, two):
                    identity.bases[key] = joined
            identity.warnings.append(
                f"'{pair.variant}' and '{pair.baseline}' are of different bases ({two}, {one}) and "
                "compared because somebody asked for it: everything between them is in the "
                "difference."
            )


def _place(
    identity: Identity, builds: dict[tuple[str, str], str],
    sides: Sequence[tuple[str, str, bool]],
) -> None:
    """One column per variant, or one per build where a variant's builds differ between runs."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for key, build in builds.items():
        found[key[1], identity.bases[key]].add(build)
    split = sorted({variant for (variant, _), kinds in found.items() if len(kinds) > 1})
    first: dict[tuple[str, str, str], str] = {}
    for run, variant, control in sides:
        at = ""
        if variant in split:
            same = (variant, identity.bases[run, variant], builds[run, variant])
            at = first.setdefault(same, run)
        identity.places[run, variant, control] = Column(variant, control, at)
    columns = list(dict.fromkeys(identity.places.values()))
    reference = columns[0].variant if columns else ""
    # The reference side first, whatever the merging did to the order; then its controls.
    columns.sort(
        key=lambda one: (one.variant != reference, one.control and one.variant == reference)
    )
    identity.columns = columns
    for variant in split:
        identity.warnings.append(
            f"Variant '{variant}' is not the same build in every run: "
            "its runs stand in columns of their own."
        )


def machine_label(run: Run) -> str:
    """What boots ran on: ``2 x AMD EPYC``, of a fleet ``3 hosts (2 x AMD EPYC)``."""
    kinds = list(dict.fromkeys(one.host.label for one in run.hosts.values()))
    if len(run.hosts) > 1:
        return f"{len(run.hosts)} hosts ({', '.join(kinds)})"
    return kinds[0] if kinds else run.host.label


def plural(count: int, word: str, many: str = "") -> str:
    """``1 boot``, ``2 boots``; ``many`` is the plural when it is not formed with an s."""
    return f"{count} {word}" if count == 1 else f"{count} {many or word + 's'}"
