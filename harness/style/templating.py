"""The templates of pages: each room's own, on the common layout."""

from __future__ import annotations

from pathlib import Path

import jinja2


def environment(folder: Path, *, escape: bool = True) -> jinja2.Environment:
    """Templates of ``folder``, which may extend ``layout.html.j2``.

    ``escape``: what they make is HTML. What a template asks for and is not given raises
    :class:`jinja2.UndefinedError`.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, Path(__file__).parent]), autoescape=escape,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )
