"""Config fragments and the check of what Kconfig made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import UserError
from harness.kernel.build import kconfig
from harness.kernel.build.kconfig import merge, parse_config, parse_fragment, unmet
from tests.places import ROOT

CHECKOUT = ROOT


def test_reasons_are_stripped_and_n_is_not_set() -> None:
    fragment = parse_fragment(
        "# heading\n\nCONFIG_A=y   # because # twice\nCONFIG_B=n\n# CONFIG_C is not set\n"
        'CONFIG_D="a # b \\" c" # text\nCONFIG_E=0x10\n', "f",
    )
    assert fragment.symbols == {
        "A": "y", "B": "n", "C": "n", "D": '"a # b \\" c"', "E": "0x10",
    }


@pytest.mark.parametrize("line", ["CONFIG_A", "CONFIG_A=", "A=y", "CONFIG_A=y z", "set A"])
def test_nonsense_is_an_error_with_its_line(line: str) -> None:
    with pytest.raises(UserError, match="f, line 2"):
        parse_fragment(f"CONFIG_OK=y\n{line}\n", "f")


def test_later_wins_and_is_told() -> None:
    one = parse_fragment("CONFIG_A=y\nCONFIG_B=y\n", "one")
    two = parse_fragment("CONFIG_A=n\nCONFIG_B=y\n", "two")
    merged, notes = merge([one, two])
    assert merged == {"A": "n", "B": "y"}
    assert notes == ["CONFIG_A=y of one is overridden by =n of two"]


def test_overlay_replaces_and_appends() -> None:
    start = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=m\n"
    assert kconfig.overlay(start, {"A": "n", "B": "y"}) == (
        "CONFIG_C=m\n# CONFIG_A is not set\nCONFIG_B=y\n"
    )


def test_unmet() -> None:
    final = parse_config('CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_S="x=y"\n')
    wanted = {"A": "y", "B": "n", "S": '"x=y"', "UNKNOWN_N": "n", "UNKNOWN": "y", "C": "m"}
    assert unmet(wanted, final) == {"UNKNOWN": ("y", "n"), "C": ("m", "n")}


def test_reasons(tmp_path: Path) -> None:
    (tmp_path / "arch/x86").mkdir(parents=True)
    (tmp_path / "arch/arm").mkdir()
    (tmp_path / "Kconfig").write_text(
        'config DEP\n\tbool "text"\n\tdepends on FOO\n\tdepends on BAR=y\n\thelp\n\t  x\n\n'
        "config AUTO\n\tdef_bool y\n\nconfig FREE\n\tbool \"x\"\n"
    )
    (tmp_path / "arch/x86/Kconfig").write_text('config BOTH\n\tbool "x"\n\tdepends on X86_64\n')
    (tmp_path / "arch/arm/Kconfig").write_text('config BOTH\n\tbool "x"\n\tdepends on ARM\n')
    names = ("DEP", "AUTO", "FREE", "BOTH", "NONE")
    line = kconfig.explain_unmet(dict.fromkeys(names, ("y", "n")), tmp_path).line()
    assert "CONFIG_DEP: requested y, got not set (depends on FOO && BAR=y)" in line
    assert "CONFIG_AUTO: requested y, got not set (has no prompt" in line
    assert "CONFIG_FREE: requested y, got not set (another symbol" in line
    assert "CONFIG_BOTH: requested y, got not set (depends on X86_64)" in line
    assert "CONFIG_NONE: requested y, got not set (no such symbol" in line
    assert "\n" not in line


def test_our_own_fragments_are_well_formed() -> None:
    for path in sorted((CHECKOUT / "kernel/config").glob("*.config")):
        assert parse_fragment(path.read_text(), str(path)).symbols
