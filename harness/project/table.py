"""What every table of harness.toml is, and the kinds of names in it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

NAME = r"^([\w+-][\w.+-]*)?$"


class Strict(BaseModel):
    """A table of harness.toml in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
