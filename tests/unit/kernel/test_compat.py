"""What old trees need: by ranges of versions, the same for all variants, recorded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core import versions
from harness.core.errors import UserError
from harness.core.versions import Range
from harness.core.workspace import Workspace
from harness.kernel.build import compat
from harness.kernel.build.builds import build_variant, plan_build
from harness.kernel.build.kconfig import load_fragments, merge, parse_config, parse_fragment, unmet
from harness.project import reading
from harness.project.config import Project
from tests.places import ROOT

GCC = "gcc (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40"
MakePatch = Callable[[str, str], str]


@pytest.mark.parametrize(
    ("limits", "inside", "outside"),
    [
        ("", "6.1.192-2 4.0", ""),
        ("< 6.10", "6.9.99 5.14.0-rc5 6.1", "6.10 6.10.1 7.0"),
        (">= 5.10, < 6.2", "5.10 5.10.3 6.1.999", "5.9 6.2 6.2.1"),
        ("<= 6.1", "6.1.192", "6.2"),
        ("> 6.1", "6.2", "6.1 6.1.5"),
    ],
)
def test_ranges(limits: str, inside: str, outside: str) -> None:
    found = Range.parse(limits, "test")
    assert all(found.holds(versions.parse(word)) for word in inside.split())
    assert not any(found.holds(versions.parse(word)) for word in outside.split())



def reader(tree: Path) -> Callable[[str], str]:
    """Reads files of a tree that may not be there."""
    return lambda name: (tree / name).read_text() if (tree / name).exists() else ""


def test_bad_range_names_its_place() -> None:
    with pytest.raises(UserError, match=r"f, line 2: '= 6' is no bound"):
        parse_fragment("CONFIG_A=y\nCONFIG_B=y # [< 7, = 6] why\n", "f")


def test_symbols_by_range_of_kernels() -> None:
    text = (
        "CONFIG_OLD=y    # [< 6.10] gone since\nCONFIG_NEW=y # [>= 6.10] its later name\n"
        "# CONFIG_OFF is not set # [>= 7.0] late\nCONFIG_ALL=y # always [see below]\n"
    )
    old = parse_fragment(text, "f", versions.parse("6.1.192-2"))
    new = parse_fragment(text, "f", versions.parse("7.3.4-1~bpo13+1"))
    assert merge([old])[0] == {"OLD": "y", "ALL": "y"}
    assert merge([new])[0] == {"NEW": "y", "OFF": "n", "ALL": "y"}
    assert old.skipped == ("NEW", "OFF")
    assert set(parse_fragment(text, "f").symbols) == {"OLD", "NEW", "OFF", "ALL"}


def test_optional_symbols_may_be_absent_but_not_other() -> None:
    fragment = parse_fragment("CONFIG_A=y # [optional] why\nCONFIG_B=y # why\n", "f")
    assert fragment.optional == {"A"} and set(fragment.symbols) == {"A", "B"}
    final = parse_config("CONFIG_B=y\n")
    assert unmet(fragment.symbols, final, fragment.optional) == {}
    final = parse_config("# CONFIG_A is not set\nCONFIG_B=y\n")
    assert unmet(fragment.symbols, final, fragment.optional) == {"A": ("y", "n")}
    assert unmet(fragment.symbols, parse_config("CONFIG_A=y\n"), fragment.optional) == {
        "B": ("y", "n"),
    }


def test_gcc_is_recognised() -> None:
    assert compat.gcc_version(GCC) == (12, 2, 0)
    assert compat.gcc_version("gcc-15 (Ubuntu 15.1.0) 15.1.0, GNU ld 2.44") == (15, 1, 0)
    assert compat.gcc_version("clang version 17") is None


def test_our_rules(tmp_path: Path) -> None:
    def needs(kernel: str, compiler: str) -> dict[str, object]:
        return compat.choose(ROOT, reader(tmp_path), kernel, compiler).inputs()

    modern = GCC.replace("12.2.0,", "15.2.0,")
    assert needs("6.1.192-2", GCC) == {"make": {"WERROR": "0"}}
    assert needs("5.14.0-rc5", modern) == {
        "make": {"WERROR": "0"}, "language": "gnu11",
    }
    assert needs("6.14.1", modern) == {"make": {"WERROR": "0"}}
    (tmp_path / "arch/x86").mkdir(parents=True)
    (tmp_path / "arch/x86/Makefile").write_text("REALMODE_CFLAGS += -std=gnu11\n")
    assert needs("6.1.192-2", modern) == {"make": {"WERROR": "0"}}, "6.1 has the remedy since"
    assert compat.choose(ROOT, reader(tmp_path), "5.14.0", GCC).config == {"DEBUG_INFO_BTF": "n"}


@pytest.fixture
def ruled(project: Project, memory_patch: MakePatch) -> Project:
    """A rule that patches, configures and names a compiler; another that does not hold."""
    with (project.root / "linux/init/main.c").open("a") as main:
        main.write("#define S2(x) #x\n#define S(x) S2(x)\n"
                   "const char standard[] = \"C \" S(__STDC_VERSION__);\n")
    folder = project.root / compat.DIRECTORY
    folder.mkdir(parents=True)
    (folder / "old.patch").write_text(memory_patch("ret < 0", "ret <= 0"))
    (folder / compat.RULES).write_text("""
[[rules]]
name = "old-tools"
reason = "because"
kernels = ">= 6.0, < 6.2"
config = { DEBUG_KERNEL = "y" }
make = { HOSTCFLAGS = "-O1" }
language = "gnu99"
patches = ["old.patch"]
[[rules]]
name = "later"
reason = "never here"
kernels = ">= 6.2"
make = { NO = "1" }
""")
    return project


def test_rules_hold_for_all_variants_and_are_recorded(
    workspace: Workspace, ruled: Project, write_series: Callable[..., Path],
    memory_patch: MakePatch,
) -> None:
    write_series(one=memory_patch("address + 1", "address + 2"))
    before, after = (build_variant(workspace, ruled, name) for name in ("before", "after"))
    for build in (before, after):
        assert build.kernel.patches[0].kind == "compat"
        assert build.kernel.make_variables == {"WERROR": "0", "HOSTCFLAGS": "-O1"}
        assert [rule.name for rule in build.kernel.compat] == ["tools-without-werror", "old-tools"]
        assert "CONFIG_DEBUG_KERNEL=y" in build.config.read_text()
        # An object says it, too: not the compiler's default, and not for the other variant only.
        assert b"C 199901" in build.bzimage.read_bytes()
        assert "-std=gnu99" in (build.directory / "reproducer.sh").read_text()
    plan = plan_build(workspace, ruled, "after", patches=1)
    assert plan.key == after.key, "a compat patch was counted as one of the series"
    assert plan_build(workspace, ruled, "after", patches=0).key == before.key
    rules = ruled.root / compat.DIRECTORY / compat.RULES
    rules.write_text(rules.read_text().replace("gnu99", "gnu11"))
    assert plan_build(workspace, ruled, "before").key != before.key


def test_unknown_key_of_a_rule(ruled: Project) -> None:
    rules = ruled.root / compat.DIRECTORY / compat.RULES
    rules.write_text(rules.read_text().replace("patches =", "patch ="))
    with pytest.raises(UserError, match=r"rules\.toml: rules\.0\.patch"):
        compat.load(ruled.root)


def test_real_fragments_hold_for_each_base() -> None:
    project = reading.load(ROOT)
    for base in project.config.bases.values():
        for name in base.config:
            text = (ROOT / f"kernel/config/{name}.config").read_text()
            assert parse_fragment(text, name, versions.parse("6.1")).symbols


def test_what_a_real_5_15_was_built_with(tmp_path: Path) -> None:
    """As on a tree given with --source, gcc 12.2: built, booted, 102,636 kB (docs/bases.md)."""
    applied = compat.choose(ROOT, reader(tmp_path), "5.15.0", GCC).applied
    assert [rule.name for rule in applied] == ["tools-without-werror", "no-btf"]
    fragments = load_fragments(
        reading.load(ROOT), ["guest", "mm", "lean"], versions.parse("5.15.0")
    )
    assert {name for fragment in fragments for name in fragment.skipped} == {
        "BASE_SMALL", "DAMON_SYSFS", "MITIGATION_PAGE_TABLE_ISOLATION", "MITIGATION_RETPOLINE",
        "SLUB_TINY", "SYSCTL",
    }
