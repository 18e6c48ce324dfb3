"""The first error of build logs captured from a real 6.1 tree (data/buildlogs)."""

from __future__ import annotations

import pytest

from harness.kernel.build.compile_errors import MAX_LINES, first_error
from tests.places import DATA

LOGS = DATA / "buildlogs"


def shown(name: str) -> list[str]:
    lines = first_error((LOGS / f"{name}.log").read_text()).splitlines()
    assert 0 < len(lines) <= MAX_LINES
    return lines


def test_c_error_with_its_function_source_and_notes() -> None:
    lines = shown("c-error")
    assert lines[0].startswith("../mm/memory.c: In function ")
    assert lines[1].startswith("../mm/memory.c:1404:32: error: ")
    assert "struct mm_struct *mm = tlb->mm;" in lines[2]
    assert ": note: each undeclared" in lines[5]
    assert lines[-1].endswith("mm/memory.o] Error 1")


def test_missing_header() -> None:
    lines = shown("missing-header")
    assert lines[0].startswith("../mm/mincore.c:11:10: fatal error: linux/pte_ref.h")
    assert lines[-1].endswith("mm/mincore.o] Error 1")
    assert len(lines) == 5


def test_link_error() -> None:
    lines = shown("link-error")
    assert any("undefined reference to `pte_nowhere'" in line for line in lines)
    assert any("in function `" in line for line in lines)
    assert lines[-1].endswith("realmode.elf] Error 1")


def test_kconfig_syntax_error() -> None:
    lines = shown("kconfig-syntax")
    assert lines[0] == "mm/Kconfig:16: syntax error"
    assert lines[1] == 'mm/Kconfig:15: unknown statement "menucofig"'
    assert lines[-1].endswith("olddefconfig] Error 1")


def test_missing_tool() -> None:
    lines = shown("missing-tool")
    assert lines[0] == "/bin/sh: 1: flex: not found"
    assert lines[1].endswith("lexer.lex.c] Error 127")


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("full-disk-bison", "bison: input/output error"),
        ("full-disk-fixdep", "fixdep: not all data was written to the output"),
    ],
)
def test_full_disk(name: str, first: str) -> None:
    assert shown(name)[0] == first


def test_full_disk_explains_whatever_else_went_wrong() -> None:
    log = (
        "  CC      mm/a.o\nmm/a.c:1:1: error: truncated\n"
        "x.s: Fatal error: can't fill 256 bytes in section .data of mm/a.o: "
        "'No space left on device'\nmake: *** [a.o] Error 1\n"
    )
    assert "No space left" in first_error(log).splitlines()[0]


def test_very_long_error_is_cut() -> None:
    log = "a.c:1:1: error: x\n" + "  | y\n" * 100 + "make: *** [a.o] Error 1\n"
    lines = first_error(log).splitlines()
    assert len(lines) == MAX_LINES
    assert lines[0] == "a.c:1:1: error: x"
    assert lines[-1] == "make: *** [a.o] Error 1"


def test_only_make_complains() -> None:
    log = "  CC a.o\nmake[1]: *** No rule to make target 'b.c', needed by 'b.o'.  Stop.\n"
    assert first_error(log).startswith("make[1]: *** No rule")


def test_nothing_wrong() -> None:
    assert first_error("  CC      mm/a.o\nmm/a.c:1:1: warning: x\n") == ""


def test_warnings_before_the_error_are_not_it() -> None:
    log = "ld: warning: x.o: missing .note.GNU-stack\na.c:3:1: warning: y\na.c:4:2: error: z\n"
    assert first_error(log) == "a.c:4:2: error: z"
