"""Puts the data of the checkout's top into the package: see harness/project/builtin.py.

Everything else about the package stands in pyproject.toml.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
BUILTIN = {
    "kernel/config": ("*.config",),
    "kernel/patches/compat": ("*.toml", "*.patch"),
    "guest": (
        "Makefile", "*.c", "*.h", "*.sh", "*.py", "*.go", "*.java", "model/*.[ch]", "plugin/*.[ch]",
        "races/*.[ch]", "suites/*",
    ),
}


class WithBuiltin(build_py):
    """Copies them to harness/builtin; an editable install finds them in the checkout."""

    def run(self) -> None:
        """Build as always, then copy."""
        super().run()
        if self.editable_mode:
            return
        for folder, patterns in BUILTIN.items():
            target = Path(self.build_lib) / "harness" / "builtin" / folder
            shutil.rmtree(target, ignore_errors=True)
            for pattern in patterns:
                for path in sorted((HERE / folder).glob(pattern)):
                    name = target / path.relative_to(HERE / folder)
                    name.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(path, name)


setup(cmdclass={"build_py": WithBuiltin})
