"""A laboratory whose guests only pretend: they answer commands from a script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from harness.core.deadline import Deadline
from harness.core.errors import GuestCrash, InfrastructureError
from harness.core.progress import Progress
from harness.core.workspace import Workspace
from harness.image.rootfs import Image
from harness.kernel.build.builds import Build
from harness.machine.accel import Accel
from harness.machine.session import Result, Sink
from harness.project import reading
from harness.project.config import Project
from harness.records.events import Event, FalseStart
from harness.records.hosts import ImageRecord
from harness.records.kernels import Kernel, SourceRecord
from harness.records.machines import Hardware
from harness.records.plans import PlannedTest, SuitePlan
from harness.records.verdicts import Verdict
from harness.suites.health import PROBE
from harness.suites.suite import Suite
from harness.suites.testboots import TestBoot
from harness.suites.testrunner import SuiteRunner, TestQueue
from harness.suites.workbench import Workbench
from tests.places import ROOT

HEALTHY = "6.1.192 0 100 1 Avail 900000 900000"
Answer = tuple[int, str] | Exception | Event
"""An exit code and output, an error to raise, or an event on the console."""


def event(kind: str, words: str, *, fatal: bool = False) -> Event:
    return Event(kind=kind, title=words, text=words, fatal=fatal)


def planned(name: str, **more: object) -> PlannedTest:
    """A test whose command is its name."""
    return PlannedTest.model_validate({
        "name": name, "command": name, "seconds": 0.0, "fixed": 60.0, **more,
    })


class FakeProcess:
    """Ends at once with the scripted code and text."""

    stderr = ""

    def __init__(self, command: str, code: int, text: str) -> None:
        self.command, self.code, self.text = command, code, text

    def write(self, data: bytes) -> None: ...

    def close_input(self) -> None: ...

    def chunks(self, deadline: Deadline) -> Iterator[tuple[bytes, bytes]]:
        yield self.text.encode(), b""

    def line(self, deadline: Deadline) -> str | None:
        return None

    def wait(self, deadline: Deadline) -> int:
        return self.code


@dataclass
class Script:
    """What guests do. ``answers``: last line of a command -> its end; what is not there passes."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    states: Mapping[str, str] = field(default_factory=dict)
    """Test -> what the probe says after it, in health.PROBE's words."""
    answers_late: bool = True
    """Whether a guest answers after a test that took too long."""
    at_boot: Sequence[Event] = ()
    boots: Sequence[Exception | None] = ()
    """What the first boots raise; None: they come up."""
    runs: Mapping[str, str] = field(default_factory=dict)
    """Command of prepare() or ask() -> its output."""
    memory: bytes | None = None
    """What a dump of a guest is; None: there is none to be had."""
    codes: Mapping[str, int] = field(default_factory=dict)
    """The same -> its exit code, when it is not 0."""


class FakeSession:
    """One boot of the script."""

    machine = "guest"
    title = "a kernel"
    accel: Literal["tcg"] = "tcg"

    def __init__(self, script: Script, directory: Path, trouble: Exception | None = None) -> None:
        self.script, self.directory, self._trouble = script, directory, trouble
        self.log = directory / "console.log"
        self.argv = ["qemu"]
        self.seconds_to_ready: float | None = None
        self.false_starts: list[FalseStart] = []
        self.hardware = Hardware()
        self.events: list[Event] = []
        self.pushed: list[str] = []
        self.killed = False
        self._state = HEALTHY

    def __enter__(self) -> Self:
        self.boot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def boot(self) -> None:
        if isinstance(self._trouble, GuestCrash):
            self.events.append(event(self._trouble.kind, self._trouble.message, fatal=True))
        if self._trouble is not None:
            raise self._trouble
        self.seconds_to_ready = 1.0
        self.events += self.script.at_boot

    def start(self, command: str, *, pty: bool = False) -> FakeProcess:
        name = command.rsplit("\n", 1)[1]
        self._state = self.script.states.get(name, HEALTHY)
        answer = self.script.answers.get(name, (0, ""))
        if isinstance(answer, GuestCrash):
            self.events.append(event(answer.kind, answer.message, fatal=True))
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Event):
            self.events.append(answer)
            return FakeProcess(command, 0, "")
        return FakeProcess(command, *answer)

    def run(
        self, command: str, *, seconds: float = 0, deadline: Deadline | None = None,
        check: bool = True, data: bytes | None = None, on_stdout: Sink | None = None,
        on_stderr: Sink | None = None,
    ) -> Result:
        if command == PROBE:
            return Result(0, self._state, "")
        if command.startswith("uname -a; "):
            return Result(0, "Linux guest 6.1.192\nroot=/dev/vda\n2\nMemTotal: 1024 kB\n", "")
        if command in self.script.runs or command in self.script.codes:
            code = self.script.codes.get(command, 0)
            return Result(code, self.script.runs.get(command, ""), "")
        if not self.script.answers_late:
            raise InfrastructureError("no answer")
        return Result(0, "PID STAT", "")

    def scaled(self, seconds: float) -> float:
        return 0.0

    def check(self) -> None: ...
    def power_off(self) -> None: ...

    def dump(self, path: Path) -> None:
        if self.script.memory is None:
            raise InfrastructureError("QEMU has ended already")
        path.write_bytes(self.script.memory)

    def wait_end(self) -> None: ...

    def push(self, local: Path, remote: str) -> None:
        self.pushed.append(remote)

    def pull(self, remote: str, local: Path) -> None: ...

    def pin(self, cpus: list[int]) -> list[int]:
        return []

    def shell(self) -> list[str]:
        return []

    def kill(self) -> None:
        self.killed = True


class FakeLab:
    """Boots :class:`FakeSession`; ``scripts``: variant -> its guests' script."""

    def __init__(
        self, root: Path, scripts: Mapping[str, Script] | None = None,
        project: Project | None = None,
    ) -> None:
        self.project = project or reading.load(ROOT)
        self.workspace = Workspace(root / "workspace")
        self.progress = Progress(-1)
        self.scripts = scripts or {}
        self.sessions: list[FakeSession] = []
        self.keys: dict[str, str] = {}
        """Variant -> key of its build."""
        self.appended: list[str] = []
        """To the kernel's command line, a boot each."""
        self.root = root

    def measured_host(self) -> None:
        return None

    def build(self, variant: str) -> Build:
        directory = self.root / "builds" / variant
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "System.map").touch()
        key = self.keys.get(variant, f"key-{variant}")
        source = SourceRecord(kind="debian", version="6.1.192-1", digest="d")
        return Build(directory, Kernel(
            variant=variant, key=key, base="debian-6.1", release="6.1.192", source=source,
        ))

    def types(self, build: Build) -> Path | None:
        return None

    def image(self) -> Image:
        return Image(self.root, ImageRecord(key="image"))

    def programs(self) -> Path:
        return self.root / "programs"

    def accel(self, name: str, build: Build, smp: int) -> Accel:
        return Accel("tcg", "pretends")

    def boot(
        self, kernel: str | Build, *, smp: int | None = None, memory: str | None = None,
        append: str = "", accel: str = "auto", directory: Path | None = None,
        disks: Sequence[Path] = (), gdb: bool = False, crowd: float = 1.0,
        boot_seconds: float | None = None,
    ) -> FakeSession:
        assert isinstance(kernel, Build) and directory is not None
        directory.mkdir(parents=True)
        self.appended.append(append)
        script = self.scripts.get(kernel.variant, Script())
        number = sum(kernel.variant in session.directory.name for session in self.sessions)
        trouble = script.boots[number] if number < len(script.boots) else None
        session = FakeSession(script, directory, trouble)
        self.sessions.append(session)
        return session


class ListedSuite(Suite):
    """A suite of a given list of tests."""

    name = "races"
    title = "tests of the tests"

    def __init__(self, tests: Sequence[PlannedTest], *, leaks: bool = True) -> None:
        self._tests, self.leaks = list(tests), leaks

    def tests(self, lab: Workbench, plan: SuitePlan) -> list[PlannedTest]:
        return self._tests


def run_suite(
    answers: Mapping[str, Answer], root: Path, *, states: Mapping[str, str] | None = None,
    answers_late: bool = True, leaks: bool = True, at_boot: Sequence[Event] = (),
    boots: Sequence[Exception | None] = (),
) -> list[Verdict]:
    """The verdicts of a suite whose tests are the keys of ``answers``; logs go to ``root``/logs."""
    script = Script(answers, states or {}, answers_late, at_boot, boots)
    sessions: list[FakeSession] = []

    def boot() -> TestBoot:
        trouble = boots[len(sessions)] if len(sessions) < len(boots) else None
        sessions.append(FakeSession(script, root / f"{len(sessions):02d}", trouble))
        return TestBoot(len(sessions) - 1, "after", sessions[-1], root, lambda record: None)

    tests = [planned(name) for name in answers]
    runner = SuiteRunner(
        ListedSuite(tests, leaks=leaks), "after", boot, root / "logs",
        prepare=lambda session: None,
    )
    found = list(runner.run(TestQueue(tests)))
    assert all(session.killed for session in sessions)
    return found
