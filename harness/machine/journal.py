"""What this workspace remembers of a computer, on disk before it is done."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pydantic import ValidationError

from harness.core import jsonl, moments
from harness.core.workspace import Workspace, write_atomic
from harness.records.machines import Attempt, Health, MachineHealth, Stage

HEALTH_FILE, ATTEMPTS_FILE = "health.json", "attempts.jsonl"


class HostJournal:
    """The health and the attempts of one computer: ``machines/NAME`` of the workspace."""

    def __init__(self, workspace: Workspace, name: str) -> None:
        self._folder = workspace.dir("machines", name)
        self._name = name

    @property
    def health(self) -> MachineHealth:
        """How it was when it was last heard of; healthy when nothing is known."""
        try:
            return MachineHealth.model_validate_json((self._folder / HEALTH_FILE).read_text())
        except (OSError, ValidationError):
            return MachineHealth(machine=self._name)

    def attempt(self, stage: Stage, detail: str = "") -> None:
        """Note what is about to be done; it is on the disk when this returns."""
        line = Attempt(t=moments.now(), stage=stage, detail=detail, process=os.getpid())
        jsonl.append(self._folder / ATTEMPTS_FILE, [line.model_dump_json()])

    def attempts(self) -> list[Attempt]:
        """All of them, the oldest first; a torn last line is none."""
        found = []
        for value in jsonl.read(self._folder / ATTEMPTS_FILE):
            if isinstance(value, dict):
                found.append(Attempt.model_validate(value))
        return found

    @property
    def at_use(self) -> str:
        """What a harness was doing on it when it was killed; empty when it ended by itself."""
        attempts = self.attempts()
        if not attempts or attempts[-1].stage == "release":
            return ""
        last = attempts[-1]
        return f"{last.stage} {last.detail}".strip()

    def set_state(self, state: Health, reason: str = "") -> None:
        """Remember a state of its health."""
        self._write(self.health.model_copy(update={
            "state": state, "reason": reason, "since": moments.now(),
        }))

    def set_token(self, token: str) -> None:
        """Remember the lease that we hold or are about to take; empty: none."""
        self._write(self.health.model_copy(update={
            "token": token, "renewed": round(time.time(), 1) if token else 0.0,
        }))

    @property
    def token_age(self) -> float:
        """Seconds since the lease was taken or renewed."""
        return time.time() - self.health.renewed

    def set_uname(self, uname: str) -> None:
        """Remember its own kernel."""
        self._write(self.health.model_copy(update={"uname": uname}))

    def _write(self, health: MachineHealth) -> None:
        write_atomic(self._folder / HEALTH_FILE, health.model_dump_json(indent=1) + "\n")

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self._folder
