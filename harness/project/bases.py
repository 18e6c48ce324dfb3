"""The kinds of base: what each needs in harness.toml, where it comes from, what names it.

A new kind is a class here and a fetcher in ``harness/kernel/source/`` (``sources.FETCHERS``, and
``reach._ask`` for `harness bases`).
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from harness.project.table import Strict

COMMIT = r"^([0-9a-f]{40}|[0-9a-f]{64})?$"


class BaseTable(Strict):
    """A kernel source tree: where it comes from, how it is verified, what is built of it."""

    needs: ClassVar[str] = ""
    """What must be at hand to get it, in words."""

    config: list[str] = Field(default_factory=lambda: ["guest", "mm", "lean"])
    """Configuration fragments that every variant of the base gets, in order: files NAME.config of
    the project's kernel/config/ or, where it has none of that name, built-in ones."""
    series: str = "kernel/patches/{base}"
    """What ``{series}`` of a variant means on this base."""
    variants: list[str] = Field(default_factory=list)
    """What ``--base`` builds and measures; empty: defaults.variants."""

    @property
    def place(self) -> str:
        """Where it comes from, in short."""
        raise NotImplementedError

    @property
    def lineage(self) -> str:
        """What its variants may be compared with beside each other: a tree. Empty: nothing else."""
        return ""

    @property
    def pinned(self) -> bool:
        """Whether harness.toml says what its content must be."""
        raise NotImplementedError

    @property
    def identity(self) -> list[object]:
        """What is said of its source: another package or commit is another source."""
        raise NotImplementedError


class DebianBase(BaseTable):
    """A source package of Debian, verified by apt."""

    needs: ClassVar[str] = "apt, a Debian mirror (140 MB)"
    kind: Literal["debian"]
    suite: str = Field(min_length=1)
    package: str = Field(min_length=1)
    """A package that holds a source tree, such as ``linux-source-6.1``."""
    security: bool = False
    """Take the security archive's version where it is newer, as apt on the system would."""
    version: str = ""
    """Pin to one package version; empty takes what the mirror has."""

    @property
    def place(self) -> str:
        """Package and suite."""
        return f"{self.package} of {self.suite}"

    @property
    def pinned(self) -> bool:
        """By version."""
        return bool(self.version)

    @property
    def identity(self) -> list[object]:
        """Suite, package, version."""
        return [self.suite, self.package, self.version, self.security]


class GitBase(BaseTable):
    """One commit of a git repository, fetched alone and known by its id."""

    needs: ClassVar[str] = "git, one of its URLs (some 250 MB)"
    kind: Literal["git"]
    urls: list[str] = Field(min_length=1)
    """Where it can be had, the preferred one first."""
    ref: str = Field(min_length=1)
    """Tag or branch."""
    commit: str = Field(default="", pattern=COMMIT)
    """Commit id that ``ref`` must have; empty believes the server, and says so."""
    tag: str = Field(default="", pattern=COMMIT)
    """Object id of the annotated tag ``ref``, checked where the tag itself is sent."""

    @model_validator(mode="after")
    def _tag_has_commit(self) -> Self:
        if self.tag and not self.commit:
            raise ValueError("`tag` is checked besides `commit`, which is missing")
        return self

    @property
    def place(self) -> str:
        """Ref and first URL."""
        return f"{self.ref} of {several(self.urls)}"

    @property
    def pinned(self) -> bool:
        """By commit."""
        return bool(self.commit)

    @property
    def identity(self) -> list[object]:
        """Ref and commit; without a commit the URLs."""
        return ["git", self.ref, self.commit, [] if self.commit else self.urls]


class TarballBase(BaseTable):
    """A tarball, known by its checksum or its signature."""

    needs: ClassVar[str] = "one of its URLs or files"
    kind: Literal["tarball"]
    urls: list[str] = Field(min_length=1)
    """URLs, or files relative to harness.toml, the preferred one first."""
    sha256: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """Of the tarball as downloaded."""
    signature: str = ""
    """URL or file of a detached signature of the *uncompressed* tarball, as kernel.org makes it."""
    keyring: str = ""
    """Keys that may have made the signature: a file for gpgv, relative to harness.toml."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.sha256 and not (self.signature and self.keyring):
            raise ValueError("a tarball needs `sha256`, or `signature` and `keyring`")
        if bool(self.signature) != bool(self.keyring):
            raise ValueError("`signature` and `keyring` go together")
        return self

    @property
    def place(self) -> str:
        """Its first URL."""
        return several(self.urls)

    @property
    def pinned(self) -> bool:
        """By checksum or signature: always."""
        return bool(self.sha256 or self.signature)

    @property
    def identity(self) -> list[object]:
        """Checksum; without one the URLs."""
        return ["tarball", self.sha256, [] if self.sha256 else self.urls]


class DirBase(BaseTable):
    """A directory of the user's, which may change at any time: its content is its name."""

    needs: ClassVar[str] = "the directory"
    kind: Literal["dir"]
    path: str = Field(min_length=1)
    """The tree, relative to harness.toml."""

    @property
    def place(self) -> str:
        """The directory."""
        return self.path

    @property
    def pinned(self) -> bool:
        """Never: it is built as it is."""
        return False

    @property
    def identity(self) -> list[object]:
        """Its path."""
        return ["dir", self.path]


class CommitBase(BaseTable):
    """One commit of a git tree of the user's, or that tree as it lies there, changes included.

    Built from git's objects: the work tree, the index and the branches are not touched.
    """

    needs: ClassVar[str] = "the git tree"
    kind: Literal["commit"]
    path: str = Field(min_length=1)
    """The git tree, or a directory in it, relative to harness.toml."""
    commit: str = ""
    """A commit, a branch or a tag; empty: the work tree, with what is not committed."""
    lenient: bool = True
    """Whether a symbol that this kernel does not have is said and left out, not an error."""

    @property
    def place(self) -> str:
        """Revision and tree."""
        return f"{self.commit or 'the work tree'} of {self.path}"

    @property
    def lineage(self) -> str:
        """The tree: commits of it may be compared."""
        return self.path

    @property
    def pinned(self) -> bool:
        """By a commit's whole id."""
        return bool(re.fullmatch(COMMIT, self.commit)) and bool(self.commit)

    @property
    def identity(self) -> list[object]:
        """Tree and revision."""
        return ["commit", self.path, self.commit]


Base: TypeAlias = Annotated[
    DebianBase | GitBase | TarballBase | DirBase | CommitBase, Field(discriminator="kind")
]
BASE_KINDS: dict[str, type[BaseTable]] = {
    "debian": DebianBase, "git": GitBase, "tarball": TarballBase, "dir": DirBase,
    "commit": CommitBase,
}


def several(urls: list[str]) -> str:
    """The first of some URLs, and how many more there are."""
    first = urls[0] if urls else ""
    return first + (f" (and {len(urls) - 1} more)" if len(urls) > 1 else "")
