"""Layouts: the same kernel linked with its functions at other addresses.

Layout 0 is the kernel as the tree's own build makes it. Any other is linked from the same object
files, in the same order, with gaps before them (:mod:`harness.kernel.build.gapped_ld`). Nothing is
compiled again, no function executes another instruction, and what is called at boot keeps its
order. Data stays where it is, too, as long as the text does not outgrow its last 2 MiB (x86-64
aligns what follows to that).

Why not otherwise: ``KCFLAGS=-falign-functions`` compiles everything again, changes the code inside
of no function but every object, and where objects are compiled with flags of their own it is not
seen. Another order of the objects is another order of initcalls, and so another history of the
kernel. Ordering by function needs ``-ffunction-sections``, which the linker scripts of most trees
do not expect.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from harness.core.errors import UserError
from harness.core.proc import need
from harness.kernel.build import gapped_ld
from harness.records.kernels import LayoutRecord

GAPS = 1
"""Goes up when a layout's number comes to mean other gaps."""
SCRIPT = "gapped_ld.py"
STAMP = ".harness-layout"  # in the object tree: the layout that it was last linked with
LINKED = ("vmlinux", "vmlinux.o", "vmlinux.unstripped")


@dataclass(frozen=True)
class LayoutLinker:
    """What the linker is for a layout."""

    layout: int = 0

    def install(self, folder: Path) -> str:
        """Put an ``ld`` into a folder, or take it away; what to put before the PATH."""
        wrapper = folder / "ld"
        if not self.layout:
            wrapper.unlink(missing_ok=True)
            return ""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(gapped_ld.__file__, folder / SCRIPT)
        wrapper.write_text(self.text(sys.executable, need("ld")))
        wrapper.chmod(0o755)
        return f"{folder}:"

    def text(self, python: str, linker: str) -> str:
        """Of the ``ld`` that comes first on the PATH, with the script beside it."""
        python, linker = shlex.quote(python), shlex.quote(linker)
        return (
            f"#!/bin/sh\n# The linker of layout {self.layout}: gaps between the objects of vmlinux."
            f'\nhere=$(dirname "$0")\ncase " $* " in\n*" --whole-archive "*)\n'
            f'\texec {python} -I "$here/{SCRIPT}" {self.layout} "$here" {linker} "$@" ;;\n'
            f'esac\nexec {linker} "$@"\n'
        )

    def begin(self, obj: Path, folder: Path) -> None:
        """Have what is linked made again if it was linked with another layout.

        make sees no difference: neither an object nor a command line has changed.
        """
        stamp = obj / STAMP
        last = stamp.read_text().strip() if stamp.exists() else "0"
        if last == "0" and not self.layout:
            return
        (folder / gapped_ld.LINKED).unlink(missing_ok=True)
        for path in (*(obj / name for name in LINKED), *obj.glob(".tmp_vmlinux*")):
            path.unlink(missing_ok=True)
        stamp.write_text(f"{self.layout}\n")

    def end(self, folder: Path) -> LayoutRecord:
        """What was linked.

        Raises :class:`UserError` for a tree whose kernel came out without gaps.
        """
        if not self.layout:
            return LayoutRecord()
        try:
            text = (folder / gapped_ld.LINKED).read_text()
            return LayoutRecord.model_validate_json(text)
        except (OSError, ValidationError):
            raise UserError(
                f"layout {self.layout} cannot be made of this tree: its vmlinux is not linked from "
                "archives that name their objects, as kernels since 4.19 do with GNU ld",
                hint="measure without --layouts",
            ) from None


AS_IT_IS = LayoutLinker()
