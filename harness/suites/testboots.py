"""One boot of a suite's run: its number, its guest, and the record that it leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.errors import HarnessError
from harness.machine import bootrecords
from harness.records.boots import BootRecord, MachineState
from harness.records.events import Crash

if TYPE_CHECKING:
    from harness.machine.session import Session


class TestBoot:
    """A boot that is not started yet. ``directory``: the run's, which records are relative to;
    ``record`` takes what is to be kept of it.
    """

    __test__ = False  # pytest must not collect it

    def __init__(
        self, number: int, variant: str, session: Session, directory: Path,
        record: Callable[[BootRecord], None],
    ) -> None:
        self.number, self.variant, self.session = number, variant, session
        self.doing = ""
        """The test that it runs: what a crash is blamed on."""
        self.state = MachineState()
        """What the guest says of itself, once it was asked."""
        self._directory, self._keep = directory, record

    @contextlib.contextmanager
    def kept(self) -> Iterator[Session]:
        """End the guest when the block ends, however it does, and keep the boot's record."""
        record = bootrecords.begin(self.session, self.number, self.variant, self._directory)
        try:
            yield self.session
            record.status = "ok"
        except HarnessError as failure:
            record.error = failure.line()
            raise
        except BaseException:
            record.status = "interrupted"
            raise
        finally:
            self.session.kill()
            fatal = next((event for event in self.session.events if event.fatal), None)
            if fatal is not None:
                record.status = "crashed"
                record.crash = Crash(kind=fatal.kind, text=fatal.text, workload=self.doing)
            record.state = self.state
            bootrecords.finish(record, self.session, self._directory)
            self._keep(record)
