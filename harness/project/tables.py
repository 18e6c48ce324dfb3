"""The tables of harness.toml that describe kernels: bases, series, variants, comparisons."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NAME = r"^([\w+-][\w.+-]*)?$"
COMMIT = r"^([0-9a-f]{40}|[0-9a-f]{64})?$"
BaseKind = Literal["debian", "git", "tarball", "dir"]
SeriesKind = Literal["dir", "mbox", "lore"]


class Strict(BaseModel):
    """A table of harness.toml in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Kinds(Strict):
    """A table whose ``kind`` decides which keys it must and may have."""

    def _check(self, allowed: dict[str, tuple[set[str], set[str]]], common: set[str]) -> None:
        must, may = allowed[str(getattr(self, "kind"))]  # noqa: B009
        kind = getattr(self, "kind")  # noqa: B009
        for key in sorted(must):
            if not getattr(self, key):
                raise ValueError(f"kind '{kind}' needs `{key}`")
        for key in sorted(self.model_fields_set - must - may - common - {"kind"}):
            raise ValueError(f"kind '{kind}' has no `{key}`")


class Base(_Kinds):
    """A kernel source tree: where it comes from, how it is verified, what is built of it."""

    kind: BaseKind
    suite: str = ""
    """Debian suite, for kind ``debian``."""
    package: str = ""
    """Debian source-tree package such as ``linux-source-6.1``, for kind ``debian``."""
    security: bool = False
    """Take the security archive's version where it is newer, as apt on the system would."""
    version: str = ""
    """Pin to one package version; empty takes what the mirror has."""
    urls: list[str] = Field(default_factory=list)
    """Where it can be had, the preferred one first, for kinds ``git`` and ``tarball``."""
    ref: str = ""
    """Tag or branch, for kind ``git``."""
    commit: str = Field(default="", pattern=COMMIT)
    """Commit id that ``ref`` must have; empty believes the server, and says so."""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Of the tarball as downloaded."""
    signature: str = ""
    """URL or file of a detached signature of the *uncompressed* tarball, as kernel.org makes it."""
    keyring: str = ""
    """Keys that may have made the signature: a file for gpgv, relative to the checkout."""
    path: str = ""
    """The tree, for kind ``dir``."""
    config: list[str] = Field(default_factory=list)
    """Fragments of kernel/config/ that every variant of the base gets, in order."""
    series: str = "kernel/patches/{base}"
    """What ``{series}`` of a variant means on this base."""
    variants: list[str] = Field(default_factory=list)
    """What ``--base`` builds and measures; empty: defaults.variants."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self._check({
            "debian": ({"suite", "package"}, {"security", "version"}),
            "git": ({"urls", "ref"}, {"commit"}),
            "tarball": ({"urls"}, {"sha256", "signature", "keyring"}),
            "dir": ({"path"}, set()),
        }, {"config", "series", "variants"})
        if self.kind == "tarball" and not self.sha256 and not (self.signature and self.keyring):
            raise ValueError("a tarball needs `sha256`, or `signature` and `keyring`")
        if bool(self.signature) != bool(self.keyring):
            raise ValueError("`signature` and `keyring` go together")
        return self


class SeriesTable(_Kinds):
    """A named series that is no directory of the checkout, or one with conditions."""

    kind: SeriesKind
    path: str = ""
    """Directory with a ``series`` file, or a mailbox; relative to the checkout."""
    message_id: str = ""
    """Of any mail of the thread, for kind ``lore``."""
    version: int = Field(default=0, ge=0)
    """The v2 of [PATCH v2 3/9]; 0 takes the only one there is."""
    patches: int = Field(default=0, ge=0)
    """How many there must be; 0 believes the subjects."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self._check({
            "dir": ({"path"}, {"patches"}),
            "mbox": ({"path"}, {"version", "patches"}),
            "lore": ({"message_id", "version", "patches"}, set()),
        }, set())
        if re.search(r"[<>\s/]", self.message_id):
            raise ValueError("`message_id` is written without brackets")
        return self


class Variant(Strict):
    """A kernel to measure: base + series + fragments."""

    base: str = ""
    """Name of a base; empty means the default base."""
    series: str = ""
    """A series of harness.toml or a directory with a ``series`` file. ``{base}`` is the base's
    name, ``{series}`` the base's own series. Empty: no patches."""
    config: list[str] = Field(default_factory=list)
    """More fragments of kernel/config/, after the base's."""
    patches: list[str] = Field(default_factory=list)
    """Patch files, relative to the checkout, applied after the series."""
    extends: str = ""
    """A variant whose keys are taken over: lists are appended to, other keys replaced."""
    tree: str = Field(default="", pattern=NAME)
    """Name of the work tree; empty: the variant's own name. Variants that differ by a few files
    and share one are built one after the other, each compiling only what differs."""


class Comparison(Strict):
    """Which variant is measured against which: nothing is compared that is not declared."""

    baseline: str
    variants: list[str] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        """``variant = "after"`` is short for a list of one."""
        if isinstance(value, dict) and "variant" in value:
            value = dict(value)
            value["variants"] = [*value.get("variants", []), value.pop("variant")]
        return value

    def pairs(self) -> list[tuple[str, str]]:
        """(baseline, variant) of each."""
        return [(self.baseline, name) for name in self.variants]
