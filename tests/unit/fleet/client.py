"""A client of its own, for a test that kills it: address, directory of the run, of the stage."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.core.errors import HarnessError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.fleet import conducting, engine
from harness.fleet.dispatch import Dispatcher
from tests.unit.fleet import pretence


def main(address: str, directory: Path, stage: Path) -> None:
    plan, quiet = pretence.plan(stage), Progress(-1)
    writer = pretence.writer(directory, plan)
    choice = engine.FleetChoice(address)
    with engine.connected(choice, plan, Workspace(stage / "workspace"), quiet) as connection:
        conducting.spread(Dispatcher(connection, writer, quiet), plan, pretence.make)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    except HarnessError as error:  # as the command line does
        sys.stderr.write(f"harness: {error.line()}\n")
        sys.exit(error.exit_code)
