"""[settings] of harness.toml: what the tools are told, whatever the experiment.

What a project does not say comes from the built-in ``settings.toml``.
"""

from __future__ import annotations

from pydantic import Field

from harness.project.table import Strict


class ImageTable(Strict):
    """The guests' root file system."""

    suite: str
    """The Debian suite that its packages are from."""
    packages: list[str]
    """Beside Debian's essential ones."""
    size: str = "2500M"
    """Size of the (sparse) file, with head-room for tests; in mke2fs notation."""


class GuestTable(Strict):
    """The virtual machine every boot gets unless flags say otherwise."""

    smp: int = Field(default=4, ge=1, le=64)
    memory: str = "4G"
    cmdline: str = ""
    """Appended to the kernel command line of every boot, recorded with it."""


class Ltp(Strict):
    """Where LTP is, and which of its lists are run when no flag is given."""

    path: str = ""
    """An installed LTP tree or a tarball of one, relative to harness.toml."""
    suites: list[str] = Field(default_factory=lambda: ["mm"])
    """Names of its runtest files."""
    skip_file: str = ""
    """Tests not to run, one a line, each with its reason after it."""


class Settings(Strict):
    """The whole table."""

    mirror: str = ""
    """Debian mirror; empty takes the system's apt configuration."""
    security_mirror: str = ""
    """Mirror of the security archive; empty takes the system's apt configuration."""
    results: str = "results"
    """Where runs are written, relative to harness.toml."""
    image: ImageTable
    guest: GuestTable = Field(default_factory=GuestTable)
    ltp: Ltp = Field(default_factory=Ltp)
