"""What a workload is: parameters, cells, declared metrics, and a way to measure one cell."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.core.errors import InfrastructureError, UserError
from harness.image.programs import GUEST_DIR
from harness.machine.session import Session
from harness.measure.windows import Scale
from harness.project.config import nearest
from harness.records.plans import Thp
from harness.records.record import Params, Scalar
from harness.records.workloads import Metric, WorkloadRecord

Settings: TypeAlias = Mapping[str, Scalar | list[Scalar]]
"""Parameters as a profile has them: a list stands for one cell per element."""
Line: TypeAlias = dict[str, Any]
"""A line of JSON that a guest program printed; each value is checked where it is used."""


class CellParams(BaseModel):
    """The parameters of one cell of a workload, typed; an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


P = TypeVar("P", bound=CellParams)


@dataclass(frozen=True)
class Measurement:
    """One number out of a cell. ``t``: seconds since its start, for a point of a time series."""

    metric: str
    value: float
    unit: str
    repeat: int = 0
    t: float | None = None
    scale: Scale | None = None
    """Where the number is the cost of marked rounds: how it was made of them."""


@dataclass(frozen=True)
class Context:
    """What a workload gets beside the session."""

    programs: Path
    """Directory of the compiled guest programs, on the host."""
    repeat: int
    """How often to repeat inside this boot."""
    keep: Callable[[str, str], None]
    """Keeps raw output: file name, text."""
    compile: Callable[[Path], Path]
    """A C source made a statically linked program of the same name without ``.c``."""
    warn: Callable[[str], None] = lambda _: None
    """Says what the user must know at once: this machine cannot do the cell."""


class Workload(Protocol):
    """One kind of measurement, as planning and the runner see it."""

    @property
    def name(self) -> str:
        """In profiles, on the command line and in records."""
        ...

    @property
    def thp(self) -> Thp:
        """Transparent huge pages while it runs, where the profile does not say."""
        ...

    @property
    def flags(self) -> frozenset[str]:
        """Flags of `harness bench` that set a parameter of the same name: threads, seconds ..."""
        ...

    @property
    def icount_params(self) -> Settings:
        """Parameters under instruction counting for a plan that names none: a fixed amount of
        work, since time means nothing there."""
        ...

    def cells(self, settings: Settings) -> list[Params]:
        """The cells that parameters of a plan stand for, defaults filled in.

        Raises :class:`UserError` for a parameter that is unknown or out of range.
        """
        ...

    def label(self, params: Params) -> str:
        """A cell in words, without the workload's name."""
        ...

    def seconds(self, params: Params, repeat: int, accel: str) -> float:
        """A guess at the host seconds a cell takes, for the progress bar and deadlines."""
        ...

    def packages(self, params: Params) -> Sequence[str]:
        """What a cell needs of Debian, besides the packages of ``[settings.image]``."""
        ...

    def measure(self, session: Session, params: Params, context: Context) \
            -> Iterator[Measurement]:
        """Run the cell and give its numbers as they come."""
        ...

    def record(self) -> WorkloadRecord:
        """For run.json: what its numbers mean."""
        ...


class TypedWorkload(ABC, Generic[P]):
    """A :class:`Workload` whose parameters are a pydantic model, ``model``.

    What crosses the doorway are records' ``Params``; inside they are the model.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    thp: ClassVar[Thp] = "never"
    flags: ClassVar[frozenset[str]] = frozenset()
    icount_params: ClassVar[Settings] = {}
    metrics: ClassVar[tuple[Metric, ...]]
    usual: ClassVar[Settings] = {}
    """Settings where the plan gives none; the order of its keys is that of the cells."""
    model: type[P]

    def cells(self, settings: Settings) -> list[Params]:
        """One cell for every combination of the elements of lists."""
        return [
            self.parse(cell).model_dump(exclude_none=True)
            for cell in spread({**self.usual, **settings})
        ]

    def parse(self, params: Params) -> P:
        """One cell's parameters, checked; raises :class:`UserError` that names the wrong one."""
        try:
            return self.model.model_validate(params)
        except ValidationError as error:
            fault = error.errors()[0]
            name = ".".join(map(str, fault["loc"]))
            if fault["type"] == "extra_forbidden":
                raise UserError(
                    f"{self.name}: unknown parameter '{name}'",
                    hint=nearest(name, self.model.model_fields),
                ) from error
            words = str(fault.get("ctx", {}).get("error", fault["msg"].lower()))
            where = f"{name}: " if name else ""
            raise UserError(f"{self.name}: {where}{words}") from error

    def label(self, params: Params) -> str:
        """A cell in words."""
        return self.words(self.parse(params))

    def seconds(self, params: Params, repeat: int, accel: str) -> float:
        """A guess at the host seconds a cell takes."""
        return repeat * self.estimate(self.parse(params), accel)

    def packages(self, params: Params) -> Sequence[str]:
        """What a cell needs of Debian."""
        return self.needs(self.parse(params))

    def measure(self, session: Session, params: Params, context: Context) \
            -> Iterator[Measurement]:
        """Run the cell and give its numbers as they come."""
        return self.run(session, self.parse(params), context)

    def record(self) -> WorkloadRecord:
        """For run.json."""
        return WorkloadRecord(name=self.name, title=self.title, metrics=list(self.metrics))

    @abstractmethod
    def words(self, cell: P) -> str:
        """What tells the cell from others, for tables and plots."""

    @abstractmethod
    def estimate(self, cell: P, accel: str) -> float:
        """Host seconds of one repeat, about."""

    def needs(self, cell: P) -> tuple[str, ...]:
        """Packages of Debian that the usual image does not have."""
        return ()

    @abstractmethod
    def run(self, session: Session, cell: P, context: Context) -> Iterator[Measurement]:
        """Run the cell and give its numbers as they come."""


def spread(settings: Settings) -> list[Params]:
    """One set of parameters per combination of the elements of lists, the first key outermost."""
    cells: list[Params] = [{}]
    for key, value in settings.items():
        values = value if isinstance(value, list) else [value]
        cells = [{**cell, key: one} for cell in cells for one in values]
    return cells


def push_program(session: Session, context: Context, name: str) -> str:
    """Copy a guest program onto the machine; returns its path there."""
    remote = f"{GUEST_DIR}/{name}"
    session.push(context.programs / name, remote)
    return remote


def begin_on_its_cpu(accel: str, threads: int) -> list[str]:
    """What stands before a command whose instructions are counted; nothing for several threads.

    A CPU that a process has ever run on stays in its mm_cpumask, and each flush of the
    TLB then looks at the other CPUs: some 700 instructions a call of madvise, or none, as
    the scheduler had it while the process began. So it begins where its thread is pinned.
    """
    return ["taskset", "-c", "0"] if accel == "icount" and threads == 1 else []


def json_line(line: str, program: str) -> Line:
    """A guest program's line of JSON; raises :class:`InfrastructureError` when it is none."""
    try:
        value = json.loads(line)
    except ValueError as error:
        raise InfrastructureError(f"{program} printed no JSON: {line[:120]!r}") from error
    if not isinstance(value, dict):
        raise InfrastructureError(f"{program} printed no JSON object: {line[:120]!r}")
    return value
