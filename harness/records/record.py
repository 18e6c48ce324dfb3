"""What every record is: strict, frozen where it can be, the same in memory and on disk."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, StringConstraints

SCHEMA = 2
"""Goes up when a file of an earlier number can no longer be read as it is."""

Scalar: TypeAlias = bool | int | float | str
Params: TypeAlias = dict[str, Scalar]
"""Parameters of one cell: every value is a scalar, a list has become several cells."""
Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^\w[\w.+-]*$", max_length=100)]
"""Of a variant, a base, a workload, a suite, a machine: safe in a path and in a table."""
AccelName: TypeAlias = Literal["kvm", "tcg", "icount", "native"]
"""How the machine's CPU ran. ``native``: a real machine."""


class Record(BaseModel):
    """A record of a run: an unknown key is an error, and so is a value of another type."""

    model_config = ConfigDict(extra="forbid")


class FrozenRecord(Record):
    """A record that is made once and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)
