"""``[workloads.NAME]`` of harness.toml: a program to be measured, described by data alone."""

from __future__ import annotations

import re
import string
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.project.table import Strict
from harness.records.plans import Thp
from harness.records.record import Scalar
from harness.records.workloads import Metric

Parse = Literal["none", "number", "json", "regex", "perf-stat"]


class MetricTable(Strict):
    """A number that the program prints, or that perf counts while it runs."""

    name: str = Field(pattern=r"^\w[\w.+-]*$")
    unit: str
    better: Literal["less", "more", "neither"] = "less"
    kind: Literal["memory", "cost", "other"] = "cost"
    exact: bool = False
    """The same in every run of one kernel."""
    slack: float = Field(default=0.0, ge=0)
    """By how much an exact number may differ from itself."""
    key: str = ""
    """With ``parse = "json"``: where it stands in the object, ``latency.p99``. Empty: ``name``."""
    pattern: str = ""
    """With ``parse = "regex"``: its one group is the number; the last match counts."""
    event: str = ""
    """With ``parse = "perf-stat"``: the event. Empty: ``name``."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.pattern:
            try:
                groups = re.compile(self.pattern).groups
            except re.error as error:
                raise ValueError(f"`pattern` is no regular expression: {error}") from error
            if groups != 1:
                raise ValueError(f"`pattern` needs one group around the number, it has {groups}")
        return self

    def metric(self) -> Metric:
        """As a report wants it."""
        return Metric(
            name=self.name, unit=self.unit, kind=self.kind, better=self.better, exact=self.exact,
            slack=self.slack,
        )


class WorkloadTable(Strict):
    """A program that is run in the guest, once a repeat."""

    run: str = Field(min_length=1)
    """A shell command; it begins in a directory that holds what was pushed. ``{n}`` is the
    parameter n, ``{{`` and ``}}`` are braces."""
    title: str = ""
    """One line: what it does."""
    parse: Parse = "none"
    """How its output becomes numbers. ``none``: only what is counted around it. ``number``: its
    last line is a number, perhaps with a name before and a unit behind it; if it is none, nothing
    is made of it."""
    params: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    """Defaults; a list makes a cell of each value."""
    metrics: list[MetricTable] = Field(default_factory=list)
    push: list[str] = Field(default_factory=list)
    """Files to copy into its directory, relative to harness.toml."""
    source: str = ""
    """A C source that is compiled, statically linked, and pushed under its name without ``.c``."""
    packages: list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$")]] = \
        Field(default_factory=list)
    """Of Debian, in the guests' image besides those of ``[settings.image]``."""
    seconds: float = Field(default=60.0, gt=0)
    """How long one run may take on a fast machine; stretched by accel and kernel."""
    thp: Thp = "as booted"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.parse not in ("none", "number") and not self.metrics:
            raise ValueError(f'`parse = "{self.parse}"` needs [[metrics]]')
        if self.parse in ("none", "number") and self.metrics:
            raise ValueError('`metrics` need `parse = "json"`, "regex" or "perf-stat"')
        if self.parse == "regex":
            for metric in self.metrics:
                if not metric.pattern:
                    raise ValueError(f"metric '{metric.name}' needs a `pattern`")
        named = self.placeholders()
        for name in named:
            if name not in self.params:
                raise ValueError(f"`run` has {{{name}}}, `params` does not")
        for name in self.params:
            if name not in named:
                raise ValueError(f"`params` has {name}, and `run` has no {{{name}}} for it")
        return self

    def placeholders(self) -> list[str]:
        """The parameters that ``run`` names.

        Raises ValueError for a brace that is none of a parameter.
        """
        found = []
        for _, name, spec, conversion in string.Formatter().parse(self.run):
            if name is None:
                continue
            if spec or conversion or not re.fullmatch(r"[A-Za-z_]\w*", name):
                raise ValueError(
                    f"`run` has {{{name}}}, which is no parameter; write {{{{ and }}}} for braces"
                )
            found.append(name)
        return found
