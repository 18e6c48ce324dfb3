"""The data that comes with the package: config fragments, guest programs, compat rules.

In a checkout it lies where it is worked on (``kernel/config``, ``guest``,
``kernel/patches/compat``); the installed package carries a copy below ``harness/builtin`` under the
same names (``setup.py``).
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
DEFAULTS = PACKAGE / "project" / "builtin.toml"
"""The settings of a project that says nothing of them."""


def builtin_root() -> Path:
    """The directory that ``kernel/config`` and ``guest`` lie in."""
    installed = PACKAGE / "builtin"
    return installed if installed.is_dir() else PACKAGE.parent


def find(root: Path, name: str) -> Path:
    """A file or directory of the project at ``root``, or the built-in one if it has none.

    Names the project's own when there is neither.
    """
    own = root / name
    built_in = builtin_root() / name
    return built_in if not own.exists() and built_in.exists() else own


def files(root: Path, folder: str) -> dict[str, Path]:
    """Every file below ``folder``, built-in and the project's own, by its name in ``folder``.

    Of two of one name the project's own wins.
    """
    found: dict[str, Path] = {}
    for top in dict.fromkeys((builtin_root() / folder, root / folder)):
        found |= {
            str(path.relative_to(top)): path for path in sorted(top.rglob("*")) if path.is_file()
        }
    return dict(sorted(found.items()))
