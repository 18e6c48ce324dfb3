"""What a workload is: parameters, cells, and a way to measure one cell in a guest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.core.errors import InfrastructureError, UserError
from harness.image.programs import GUEST_DIR
from harness.machine.guest import Guest
from harness.project.config import nearest

THP_SWITCH = "/sys/kernel/mm/transparent_hugepage/enabled"


class Params(BaseModel):
    """Parameters of a workload; an unknown one is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Measurement:
    """One number out of a cell. ``t``: seconds since its start, for a point of a time series."""

    metric: str
    value: float
    unit: str
    repeat: int = 0
    t: float | None = None


@dataclass(frozen=True)
class Context:
    """What a workload gets beside the guest."""

    programs: Path
    """Directory of the compiled guest programs, on the host."""
    repeat: int
    """How often to repeat inside this boot."""
    keep: Callable[[str, str], None]
    """Keeps raw output: file name, text."""
    warn: Callable[[str], None] = lambda _: None
    """Says what the user must know at once: this guest cannot do the cell."""


class Workload(Protocol):
    """One kind of measurement."""

    name: str
    flags: frozenset[str]
    """Flags of `harness bench` that set a parameter of the same name: threads, seconds, rounds."""
    icount_params: ClassVar[dict[str, Any]]
    """Parameters under instruction counting for a plan that names none: a fixed amount of work."""

    def cells(self, params: dict[str, Any]) -> list[dict[str, Any]]:
        """The cells that parameters of a plan stand for; lists become one cell per element.

        Raises :class:`UserError` for a parameter that is unknown or out of range.
        """
        ...

    def seconds(self, cell: dict[str, Any], repeat: int, accel: str) -> float:
        """A guess at the host seconds a cell takes, for the progress bar and deadlines."""
        ...

    def measure(self, guest: Guest, cell: dict[str, Any], context: Context) \
            -> Iterator[Measurement]:
        """Run the cell and give its numbers as they come."""
        ...


def parse_params(model: type[Params], params: dict[str, Any], workload: str) -> dict[str, Any]:
    """Check one cell's parameters and fill in the defaults.

    Raises :class:`UserError` that names the parameter.
    """
    try:
        return model.model_validate(params).model_dump()
    except ValidationError as error:
        fault = error.errors()[0]
        name = ".".join(map(str, fault["loc"]))
        if fault["type"] == "extra_forbidden":
            raise UserError(
                f"{workload}: unknown parameter '{name}'", hint=nearest(name, model.model_fields)
            ) from error
        raise UserError(f"{workload}: {name}: {fault['msg'].lower()}") from error


def spread(params: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """``params`` once per element of the list ``params[key]``; once when it is no list."""
    value = params.get(key)
    if not isinstance(value, list):
        return [params]
    return [{**params, key: element} for element in value]


def push_program(guest: Guest, context: Context, name: str) -> str:
    """Copy a guest program into the guest; returns its path there."""
    remote = f"{GUEST_DIR}/{name}"
    guest.push(context.programs / name, remote)
    return remote


def begin_on_its_cpu(accel: str, threads: int) -> list[str]:
    """What stands before a command whose instructions are counted; nothing for several threads.

    A CPU that a process has ever run on stays in its mm_cpumask, and each flush of the
    TLB then looks at the other CPUs: some 700 instructions a call of madvise, or none, as
    the scheduler had it while the process began. So it begins where its thread is pinned.
    """
    return ["taskset", "-c", "0"] if accel == "icount" and threads == 1 else []


def forbid_thp(guest: Guest) -> str:
    """Switch THP off in the guest and see that it is off; returns the switch's text.

    With THP on there are no PTE tables to measure, so a guest that does not obey is
    an :class:`InfrastructureError`. A kernel without THP gives ``absent``.
    """
    text = guest.run(
        f"if [ -e {THP_SWITCH} ]; then echo never > {THP_SWITCH}; cat {THP_SWITCH}; "
        "else echo absent; fi"
    ).stdout.strip()
    if text != "absent" and "[never]" not in text:
        raise InfrastructureError(f"THP cannot be switched off in the guest: {text}")
    return text


def json_line(line: str, program: str) -> dict[str, Any]:
    """A guest program's line of JSON; raises :class:`InfrastructureError` when it is none."""
    try:
        value = json.loads(line)
    except ValueError as error:
        raise InfrastructureError(f"{program} printed no JSON: {line[:120]!r}") from error
    if not isinstance(value, dict):
        raise InfrastructureError(f"{program} printed no JSON object: {line[:120]!r}")
    return value
