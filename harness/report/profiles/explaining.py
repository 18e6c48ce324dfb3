"""What the profiles of runs explain: which are compared, and the files that are written of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.errors import UserError
from harness.core.workspace import explain_full_disk, write_atomic
from harness.records.costs import Calibration
from harness.records.plans import Plan
from harness.records.profiles import CellProfile
from harness.records.record import Params
from harness.records.store import load_profiles, load_run
from harness.report.profiles import callgrind, flame, profile_text
from harness.report.profiles.cycles import estimated
from harness.report.profiles.difference import ProfileDifference, compare
from harness.report.profiles.groups import Groups, load

FOLDER = "explain"


@dataclass(frozen=True)
class Explanation:
    """All differences of some runs, and the profiles that they come from."""

    differences: tuple[ProfileDifference, ...]
    profiles: tuple[CellProfile, ...]
    groups: Groups
    damaged: int = 0
    """Lines of the files that could not be read."""
    calibration: Calibration | None = None
    """What events cost, by which cycles are estimated; None where that is not known."""


def explain(
    runs: Sequence[Path], baseline: str | None = None, variant: str | None = None,
    calibration: Calibration | None = None,
) -> Explanation:
    """Compare the profiles of runs.

    Without names each comparison of the runs' plans is made. ``calibration`` is for runs that
    recorded none. Raises :class:`UserError` when the
    runs have no profiles, or none of these variants.
    """
    profiles: list[CellProfile] = []
    pairs: list[tuple[str, str]] = []
    labels: dict[str, str] = {}
    damaged = 0
    for directory in runs:
        run = load_run(directory)
        calibration = run.calibration or calibration
        found, bad = load_profiles(directory)
        profiles += found
        damaged += bad
        if isinstance(run.plan, Plan):
            pairs += [(pair.baseline, pair.variant) for pair in run.plan.comparisons]
            labels |= {_cell(cell.workload, cell.params): cell.label for cell in run.plan.cells}
    names = list(dict.fromkeys(profile.variant for profile in profiles))
    if not names:
        raise UserError(
            f"{', '.join(map(str, runs))}: no profiles were recorded",
            hint="measure with --accel icount, with QEMU 10.0 or newer and without --no-profile",
        )
    pairs = _chosen(names, list(dict.fromkeys(pairs)), baseline, variant)
    groups = load()
    differences = [
        replace(one, label=labels.get(_cell(one.workload, one.params), ""))
        for pair in pairs for one in compare(profiles, *pair, groups)
    ]
    if calibration is not None:
        differences = [
            estimated(one, calibration) if one.caches else one for one in differences
        ]
    return Explanation(tuple(differences), tuple(profiles), groups, damaged, calibration)


def of_runs(runs: Sequence[Path]) -> Explanation | None:
    """What the runs' own comparisons say; None for runs that have no profiles."""
    if not any(load_profiles(run)[0] for run in runs):
        return None
    return explain(runs)


def _cell(workload: str, params: Params) -> str:
    return f"{workload} {sorted(params.items())}"


def _chosen(
    names: list[str], planned: list[tuple[str, str]], baseline: str | None, variant: str | None
) -> list[tuple[str, str]]:
    for name in (baseline, variant):
        if name is not None and name not in names:
            raise UserError(
                f"no profile of the variant {name}", hint=f"there are {', '.join(names)}"
            )
    if baseline is None and variant is None:
        return planned or [(names[0], name) for name in names[1:]]
    first = baseline or next((b for b, v in planned if v == variant), names[0])
    return [(first, name) for name in ([variant] if variant else names) if name != first]


def slug(difference: ProfileDifference) -> str:
    """A name for files of one cell and pair."""
    text = f"{difference.title} {difference.before} {difference.after}"
    return re.sub(r"[^\w.+-]+", "-", text).strip("-")


def of_cell(
    explanation: Explanation, difference: ProfileDifference, variant: str
) -> list[CellProfile]:
    """The profiles of a variant that a difference was made of."""
    return [
        one for one in explanation.profiles
        if one.variant == variant and not one.control and one.workload == difference.workload
        and one.params == difference.params and one.window == difference.window
    ]


def write(explanation: Explanation, directory: Path) -> list[Path]:
    """Write flame graphs, callgrind files and the text into ``directory``; returns the files.

    Raises :class:`UserError` when it cannot be written.
    """
    files: list[Path] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with explain_full_disk(directory):
            for one in explanation.differences:
                files += _write_cell(explanation, one, directory)
            text = "\n\n".join(
                f"{profile_text.render(one, explanation.groups, 40)}\n\n"
                f"{profile_text.counts_text(one, 40)}"
                for one in explanation.differences
            )
            files.append(directory / "explain.txt")
            write_atomic(files[-1], text + "\n")
    except OSError as error:
        raise UserError(
            f"cannot write to {directory}: {error.strerror}", hint="choose another --out DIR"
        ) from error
    return files


def _write_cell(
    explanation: Explanation, one: ProfileDifference, directory: Path
) -> list[Path]:
    sides = {name: of_cell(explanation, one, name) for name in (one.before, one.after)}
    files = []
    if all(any(p.paths for p in profiles) for profiles in sides.values()):
        root = flame.merge(sides[one.before], sides[one.after], background=True)
        files.append(directory / f"flame-{slug(one)}.html")
        write_atomic(files[-1], flame.render(root, one.title, one.unit, one.before, one.after))
    for name, profiles in sides.items():
        files.append(directory / f"callgrind.out.{slug(one)}.{name}")
        write_atomic(files[-1], callgrind.render(profiles[0]))
    return files
