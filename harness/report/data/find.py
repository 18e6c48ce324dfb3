"""Which runs a report is made from when none is named."""

from __future__ import annotations

from pathlib import Path

from harness.core.errors import UserError
from harness.records.plans import Plan
from harness.records.store import RUN_FILE, has_boots, is_run, load_run

COMMITTED = "reference"
"""Below the results directory: runs that came with the checkout, not made here."""


def newest_run(results: Path) -> Path:
    """The measurement below ``results`` that was begun last, at whatever depth it lies.

    One that failed before its first boot counts only when there is no other with boots. One of
    ``results/reference`` counts only when there is no other. Runs of suites and runs of another
    schema are passed over. Raises :class:`UserError` when nothing is left.
    """
    found = [
        (has_boots(path), _is_own(path, results), started, path)
        for started, path in _measurements(results)
    ]
    if not found:
        raise UserError(
            f"no run in {results}", hint="make one with `harness bench`, or name a directory"
        )
    return max(found)[3]


def all_runs(results: Path) -> list[Path]:
    """Every measurement below ``results``, the committed ones too, in the order of their starts.

    Raises :class:`UserError` when there is none.
    """
    found = sorted(_measurements(results))
    if not found:
        raise UserError(f"no run in {results}", hint="make some with `harness bench`")
    return [path for _, path in found]


def is_suite_run(directory: Path) -> bool:
    """Whether a directory holds a run of a suite; raises :class:`UserError` for a damaged run."""
    return is_run(directory) and not isinstance(load_run(directory).plan, Plan)


def _measurements(results: Path) -> list[tuple[str, Path]]:
    """(start, directory) of every measurement that can be read."""
    try:
        directories = [path.parent for path in results.glob(f"**/{RUN_FILE}")]
    except OSError as error:
        raise UserError(f"cannot read {results}: {error.strerror}") from error
    found = []
    for directory in directories:
        try:
            run = load_run(directory)
        except UserError:
            continue
        if isinstance(run.plan, Plan):
            found.append((run.started, directory))
    return found


def _is_own(path: Path, results: Path) -> bool:
    return path.relative_to(results).parts[:1] != (COMMITTED,)
