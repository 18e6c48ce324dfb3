"""The command that compiles a kernel's types is the tree's own, with another end."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import InfrastructureError
from harness.kernel.build import typesobject

LINE = ("{}cmd_kernel/sched/core.o := ccache gcc -Wp,-MMD,kernel/sched/.core.o.d -nostdinc "
        "-DKBUILD_BASENAME='\"core\"' -O2 -c -o kernel/sched/core.o ../kernel/sched/core.c   ; "
        "./tools/objtool/objtool --orc kernel/sched/core.o\n\nsource_kernel := x\n")


@pytest.mark.parametrize("word", ["", "saved"])
def test_the_command(tmp_path: Path, word: str) -> None:
    made = tmp_path / "kernel/sched/.core.o.cmd"
    made.parent.mkdir(parents=True)
    made.write_text(LINE.format(word))
    words = typesobject.command(tmp_path, tmp_path / "types.o")
    assert words.startswith("ccache gcc ") and words.endswith("../kernel/sched/core.c")
    assert f"-g -fno-eliminate-unused-debug-types -o '{tmp_path}/types.o'" in words
    assert "objtool" not in words and "-MMD" not in words and "'\"core\"'" in words


def test_a_tree_that_was_not_compiled(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="left no command"):
        typesobject.command(tmp_path, tmp_path / "types.o")
