"""Which run a report is made from when none is named."""

from __future__ import annotations

from pathlib import Path

from harness.core.errors import UserError
from harness.records.old_runs import RUN_FILE


def newest_run(results_dir: Path) -> Path:
    """The run directory below ``results_dir`` whose run.json was written last.

    ``results/reference`` (the committed run) counts only when there is no other.

    Raises :class:`UserError` when there is none.
    """
    try:
        runs = [path.parent for path in results_dir.glob(f"*/{RUN_FILE}")]
    except OSError as error:
        raise UserError(f"cannot read {results_dir}: {error.strerror}") from error
    if not runs:
        raise UserError(
            f"no run in {results_dir}", hint="make one with `harness bench`, or name a directory"
        )
    return max(runs, key=_age_key)


def all_runs(results_dir: Path) -> list[Path]:
    """Every run directory below ``results_dir``, the committed ones too.

    Raises :class:`UserError` when there is none.
    """
    found = [path.parent for path in results_dir.glob(f"**/{RUN_FILE}")]
    if not found:
        raise UserError(f"no run in {results_dir}", hint="make some with `harness bench`")
    return sorted(found)


def _age_key(run: Path) -> tuple[bool, float, str]:
    try:
        written = (run / RUN_FILE).stat().st_mtime
    except OSError:
        written = 0.0
    return (run.name != "reference", written, run.name)
