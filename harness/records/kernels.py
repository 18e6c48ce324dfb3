"""What a kernel is: everything that decided what was built, and with what it was built."""

from __future__ import annotations

from pydantic import Field

from harness.records.record import Name, Record


class SourceRecord(Record):
    """The source tree that a kernel was built from."""

    kind: str
    """``debian``, ``git``, ``tarball``, ``dir`` or ``commit``."""
    version: str
    """The package's version, or that of the tree's Makefile."""
    digest: str
    """What stands for the content: a SHA-256, a commit's id; of kind ``commit`` its tree's."""
    details: dict[str, str] = Field(default_factory=dict)
    """Where it came from: package, suite, mirror, url, ref, commit, path."""


class PatchRecord(Record):
    """One patch that was applied."""

    name: str
    sha256: str
    subject: str = ""
    kind: str = "series"
    """``series``, ``compat`` (mends an old tree for today's tools) or ``extra`` (the variant's)."""


class SeriesRecord(Record):
    """Where a series came from."""

    kind: str
    """``dir``, ``mbox``, ``lore`` or ``git``."""
    name: str = ""
    """Its name in harness.toml, or its directory."""
    details: dict[str, str] = Field(default_factory=dict)
    """message_id, mailbox_sha256, b4's word on its signatures, range of commits."""


class CompatRecord(Record):
    """A rule that helped an old tree to be built with today's tools."""

    name: str
    reason: str
    details: dict[str, str] = Field(default_factory=dict)
    """What it set: variables of make, symbols, the C standard, a patch."""


class LayoutRecord(Record):
    """Where the linker put the kernel's functions: as they come, or with gaps between objects."""

    number: int = 0
    """Which of the layouts of its sources it is; 0: as the tree's own build places them."""
    objects: int = 0
    """Object files that have a gap before them."""
    gap_bytes: int = 0
    """Of all gaps together; nothing ever runs them."""


class Kernel(Record):
    """One build: ``build.json`` in the cache, ``kernels`` in run.json."""

    variant: Name
    key: str
    """The build's name in the cache: a digest of all its inputs."""
    base: Name
    """The base's name in harness.toml."""
    lineage: str = ""
    """What may be compared: builds of one lineage. The base's name, or a tree of the user's."""
    release: str
    """As ``uname -r`` says it: 6.1.192."""
    source: SourceRecord
    patches: list[PatchRecord] = Field(default_factory=list)
    series: SeriesRecord | None = None
    fragments: list[str] = Field(default_factory=list)
    """Names of the configuration fragments, in order."""
    requested: dict[str, str] = Field(default_factory=dict)
    """Symbols that the fragments ask for, without CONFIG_."""
    layout: LayoutRecord = Field(default_factory=LayoutRecord)
    config_digest: str = ""
    """SHA-256 of the final .config."""
    compiler: str = ""
    arch: str = "x86_64"
    make_variables: dict[str, str] = Field(default_factory=dict)
    compat: list[CompatRecord] = Field(default_factory=list)
    tools: dict[str, str] = Field(default_factory=dict)
    """Versions of make and ccache."""
    jobs: int = 0
    seconds: float = 0.0
    """Wall seconds that the build took; cached objects make it short."""
