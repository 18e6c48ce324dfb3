"""The harness.toml that a directory begins with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import jinja2

from harness.core.errors import UserError
from harness.core.workspace import write_atomic
from harness.project.config import FILE_NAME

TEMPLATE = "harness.toml.j2"


@dataclass(frozen=True)
class GitTree:
    """The git tree of a kernel, to compare what it holds now with what comes."""

    path: str
    """Absolute, or relative to the harness.toml."""
    head: str
    """The id of its HEAD."""
    subject: str


def write(folder: Path, tree: GitTree | None, results: str = "results") -> Path:
    """Write a commented harness.toml into a directory; its path.

    Raises :class:`UserError` when there is one already, and when it cannot be written.
    """
    path = folder / FILE_NAME
    if path.exists():
        raise UserError(f"{path} is there already", hint="edit it, or remove it first")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True,
        autoescape=False,
    )
    text = environment.get_template(TEMPLATE).render(
        tree=tree.path if tree else "", head=tree.head if tree else "",
        subject="".join(filter(str.isprintable, tree.subject)) if tree else "", results=results,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    return path
