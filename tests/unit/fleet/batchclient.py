"""A client of its own, for a test that kills it: address, directory of the run, of the stage."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.fleet import engine
from harness.fleet.batching import FleetSpread
from harness.fleet.engine import Connection
from harness.suites import conductor
from harness.suites.batches import PreparedSuite, Spread, Spreading
from harness.suites.outcome import SuiteOutcome
from tests.unit.fleet import batchpretence
from tests.unit.suites.fakes import FakeLab
from tests.unit.suites.projects import small_project


def spreading(connection: Connection) -> Spreading:
    """What executes batches of pretended guests on a fleet that is connected already."""
    @contextlib.contextmanager
    def begin(prepared: PreparedSuite) -> Iterator[Spread]:
        yield FleetSpread(connection, prepared, {}, {}, batchpretence.make)

    return begin


def conduct(connection: Connection, directory: Path, stage: Path) -> SuiteOutcome:
    """The pretended run; builds are as pretended as guests."""
    root = stage / "lab"
    root.mkdir(exist_ok=True)
    lab = FakeLab(root, project=small_project(root))
    return conductor.conduct(lab, batchpretence.plan(stage), directory, spreading(connection))


def main(address: str, directory: Path, stage: Path) -> None:
    choice, quiet = engine.FleetChoice(address), Progress(-1)
    plan = batchpretence.plan(stage)
    with engine.connected(choice, plan, Workspace(stage / "workspace"), quiet) as connection:
        conduct(connection, directory, stage)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    except HarnessError as error:  # as the command line does
        sys.stderr.write(f"harness: {error.line()}\n")
        sys.exit(error.exit_code)
