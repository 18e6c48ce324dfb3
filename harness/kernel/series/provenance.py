"""Of which series and of which patch files a work tree was made: kept beside its commits.

With it `series save` can refuse to write one series over another, or over patch files that
changed behind the work tree's back.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from harness.core import digest
from harness.core.workspace import write_atomic
from harness.kernel.series.patches import SERIES_FILE, listed

FILE = "harness-series.json"  # below .git: git itself never touches it


class Provenance(BaseModel):
    """What a work tree was made of, or was saved to last."""

    directory: str
    """The series' directory; empty for one that came from a mailbox."""
    patches: dict[str, str] = Field(default_factory=dict)
    """Name of each patch file that the series lists to its SHA-256, in the order applied."""

    @staticmethod
    def of_files(directory: Path) -> Provenance:
        """As the patch files are now; a file that is missing has the digest ``missing``."""
        names = listed(directory / SERIES_FILE)
        return Provenance(directory=str(directory.resolve()), patches={
            name: digest.of_file(path) if (path := directory / name).is_file() else "missing"
            for name in names
        })

    @staticmethod
    def read(tree: Path) -> Provenance | None:
        """That of a work tree; None for one that `harness series edit` did not make."""
        try:
            return Provenance.model_validate_json((tree / ".git" / FILE).read_text())
        except (OSError, ValidationError):
            return None

    def write(self, tree: Path) -> None:
        """Keep it with a work tree."""
        write_atomic(tree / ".git" / FILE, self.model_dump_json(indent=1) + "\n")

    def changes(self, now: Provenance) -> list[str]:
        """The names of the patch files that are not what they were."""
        names = [name for name in {**self.patches, **now.patches}
                 if self.patches.get(name) != now.patches.get(name)]
        if not names and list(self.patches) != list(now.patches):
            names = [SERIES_FILE]
        return sorted(names)
