"""Two kernels' profiles of one cell, function by function, over all histories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from harness.records.costs import CacheSizes, MissCounts
from harness.records.profiles import CellProfile, FunctionTable, ProfilePair, ProfileRow
from harness.records.record import Params
from harness.report.profiles import groups as grouping

USER = "[user space]"
AS_ONE = "as_one"
MISSES = tuple(MissCounts.model_fields)
COUNTS = (
    AS_ONE, "loads", "stores", "branches", "calls", "locked", "tlb", "messages", "interrupts",
    "string_operations", "string_bytes", *MISSES,
)
"""What is known of a function beside its instructions: columns of a profile, and instructions
with string instructions counted once each, whatever they repeat, as a CPU retires them. Of user
space only these are known, and there they are all instructions, and what :data:`MISSES` names:
events of modelled caches, where they were modelled."""


@dataclass(frozen=True)
class Key:
    """What is compared: one window of one cell."""

    workload: str
    params: tuple[tuple[str, bool | int | float | str], ...]
    window: int = 1

    @staticmethod
    def of(profile: CellProfile) -> Key:
        """The key of a profile."""
        return Key(profile.workload, tuple(sorted(profile.params.items())), profile.window)


@dataclass(frozen=True)
class Change:
    """A function, a group or the whole, in instructions per operation."""

    name: str
    file: str
    group: str
    before: float
    after: float
    low: float
    """Least difference of a history."""
    high: float
    """Greatest difference of a history."""
    background: float = 0.0
    """Of the difference what interrupts and other tasks make, in windows that were followed."""
    counts: Mapping[str, ProfilePair] = field(default_factory=dict)
    """For each of :data:`COUNTS`, per operation: means over histories."""

    @property
    def delta(self) -> float:
        """After less before: the mean over histories."""
        return self.after - self.before

    @property
    def told(self) -> bool:
        """Whether every history says that it is more, or every one that it is less."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class ProfileDifference:
    """One cell on two kernels."""

    workload: str
    params: Params
    window: int
    unit: str
    before: str
    after: str
    """Names of the variants."""
    histories: int
    """Pairs of boots with equal history."""
    functions: tuple[Change, ...]
    """By size of the difference, user space among them: they sum to ``total``."""
    groups: tuple[Change, ...]
    total: Change
    outside: float = 0.0
    """Of the total after, what no function could be found for."""
    within: float = 0.0
    """By how much the totals of the rounds of one boot lie apart at most, per operation."""
    label: str = ""
    """The cell in words, as the plan has it."""
    caches: CacheSizes | None = None
    """Those that were modelled in some of the boots."""

    @property
    def title(self) -> str:
        """Workload and cell."""
        words = [self.workload, *(f"{k}={v}" for k, v in self.params.items())]
        name = f"{self.workload}, {self.label}" if self.label else " ".join(words)
        return name + (f", window {self.window}" if self.window > 1 else "")

    def find(self, name: str) -> Change | None:
        """A function, a group (``group:rcu``) or ``total``."""
        if name == "total":
            return self.total
        if name.startswith("group:"):
            return next((g for g in self.groups if g.name == name[6:]), None)
        return next((f for f in self.functions if f.name == name), None)


@dataclass(frozen=True)
class _Values:
    """One profile per operation."""

    functions: dict[str, float]
    background: dict[str, float]
    files: dict[str, str]
    followed: bool
    """Whether it is known what was background."""
    modelled: bool
    """Whether caches were modelled."""
    counts: dict[str, dict[str, float]]
    """For each of :data:`COUNTS` by function."""


def _values(profiles: Sequence[CellProfile]) -> _Values:
    """The mean over the repeats of a boot."""
    functions: dict[str, float] = {}
    background: dict[str, float] = {}
    files: dict[str, str] = {}
    counts: dict[str, dict[str, float]] = {name: {} for name in COUNTS}
    for profile in profiles:
        share = 1.0 / profile.units / len(profiles)
        table = profile.functions
        for name, file, value in zip(
            table.function, table.file, table.instructions, strict=True
        ):
            functions[name] = functions.get(name, 0.0) + value * share
            files[name] = file
        functions[USER] = functions.get(USER, 0.0) + profile.user * share
        _add_counts(counts, profile, share)
        followed = [one for one in profiles if one.paths is not None]
        if profile.paths is not None:
            for name, value in zip(table.function, table.background, strict=True):
                background[name] = (
                    background.get(name, 0.0) + value / profile.units / len(followed)
                )
    return _Values(
        functions, background, files, any(one.paths for one in profiles),
        any(one.caches for one in profiles), counts,
    )


def _add_counts(
    counts: dict[str, dict[str, float]], profile: CellProfile, share: float
) -> None:
    """Add a share of what a profile counts beside instructions."""
    for column, sums in counts.items():
        values = _column(profile.functions, column)
        for name, value in zip(profile.functions.function, values, strict=True):
            sums[name] = sums.get(name, 0.0) + value * share
    of_user = {AS_ONE: profile.user, **profile.user_misses.model_dump()}
    for column, value in of_user.items():
        counts[column][USER] = counts[column].get(USER, 0.0) + value * share


def _column(table: FunctionTable, name: str) -> Sequence[float]:
    """A column of :data:`COUNTS`; zeros where a profile is older than the column."""
    if name != AS_ONE:
        values: list[float] = getattr(table, name)
        return values or [0.0] * len(table.function)
    repeated = zip(
        table.instructions, table.string_instructions, table.string_operations, strict=True
    )
    return [whole - steps + operations for whole, steps, operations in repeated]


def compare(
    profiles: Iterable[CellProfile], before: str, after: str,
    groups: grouping.Groups | None = None,
) -> list[ProfileDifference]:
    """A difference for each cell that both variants have; boots are paired by layout and
    seed.

    Profiles of the A/A control are left out. Cells stand in the order of the profiles.
    """
    groups = groups or grouping.load()
    cells: dict[Key, dict[str, list[CellProfile]]] = {}
    for profile in profiles:
        if not profile.control and profile.variant in (before, after):
            sides = cells.setdefault(Key.of(profile), {})
            sides.setdefault(profile.variant, []).append(profile)
    return [
        _difference(sides[before], sides[after], groups)
        for sides in cells.values() if before in sides and after in sides
    ]


def _histories(profiles: Sequence[CellProfile]) -> dict[tuple[int, int], list[CellProfile]]:
    """By layout and seed; a history that was booted again counts once, with its first boot."""
    found: dict[tuple[int, int], list[CellProfile]] = {}
    for profile in profiles:
        seed = profile.boot if profile.seed is None else profile.seed
        same = found.setdefault((profile.layout, seed), [])
        if not same or same[0].boot == profile.boot:
            same.append(profile)
    return found


def _pairs(
    one: Sequence[CellProfile], other: Sequence[CellProfile]
) -> list[tuple[list[CellProfile], list[CellProfile]]]:
    first, second = _histories(one), _histories(other)
    common = [history for history in first if history in second]
    if common:
        return [(first[history], second[history]) for history in common]
    return list(zip(first.values(), second.values(), strict=False))


def _difference(
    one: Sequence[CellProfile], other: Sequence[CellProfile], groups: grouping.Groups
) -> ProfileDifference:
    pairs = [(_values(a), _values(b)) for a, b in _pairs(one, other)]
    files = {k: v for a, b in pairs for values in (a, b) for k, v in values.files.items()}
    names = sorted({name for a, b in pairs for name in (*a.functions, *b.functions)})
    where = {name: groups.of(name, files.get(name, "")) for name in names if name != USER}
    where[USER] = "user"
    functions = sorted(
        (_change(name, files.get(name, ""), where[name], pairs, [name]) for name in names),
        key=lambda change: (-abs(change.delta), change.name),
    )
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(where[name], []).append(name)
    sums = [_change(group, "", group, pairs, inside) for group, inside in members.items()]
    head = one[0]
    caches = next((p.caches for p in (*one, *other) if p.caches), None)
    return ProfileDifference(
        head.workload, head.params, head.window, head.unit, head.variant, other[0].variant,
        len(pairs), tuple(functions),
        tuple(sorted(sums, key=lambda change: -abs(change.delta))),
        _change("total", "", "", pairs, names),
        outside=fmean(p.outside / p.units for p in other),
        within=max((p.high - p.low) / p.units for p in (*one, *other)), caches=caches,
    )


def _change(
    name: str, file: str, group: str, pairs: Sequence[tuple[_Values, _Values]],
    members: Sequence[str],
) -> Change:
    def of(values: dict[str, float]) -> float:
        return sum(values.get(member, 0.0) for member in members)

    befores = [of(a.functions) for a, _ in pairs]
    afters = [of(b.functions) for _, b in pairs]
    deltas = [b - a for a, b in zip(befores, afters, strict=True)]
    modelled = [pair for pair in pairs if pair[0].modelled and pair[1].modelled]
    behind = [
        of(b.background) - of(a.background) for a, b in pairs if a.followed and b.followed
    ]
    return Change(
        name, file, group, fmean(befores), fmean(afters), min(deltas), max(deltas),
        fmean(behind) if behind else 0.0,
        {
            column: ProfilePair(
                before=fmean(of(a.counts[column]) for a, _ in chosen),
                after=fmean(of(b.counts[column]) for _, b in chosen),
            ) for column in COUNTS
            for chosen in [modelled if column in MISSES and modelled else pairs]
        },
    )


def rows(differences: Iterable[ProfileDifference]) -> list[ProfileRow]:
    """What ``--json`` gives: one row a function and cell, the greatest differences first."""
    found = [
        ProfileRow(
            workload=one.workload, params=one.params, function=change.name, file=change.file,
            before=round(change.before, 4), after=round(change.after, 4),
            delta=round(change.delta, 4), counts=_rounded(change.counts),
        )
        for one in differences for change in one.functions
    ]
    return sorted(found, key=lambda row: -abs(row.delta))


def _rounded(counts: Mapping[str, ProfilePair]) -> dict[str, ProfilePair]:
    found = {
        name: ProfilePair(before=round(pair.before, 4), after=round(pair.after, 4))
        for name, pair in counts.items()
    }
    return {name: pair for name, pair in found.items() if pair.before or pair.after}
