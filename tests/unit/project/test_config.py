"""harness.toml is checked to the last key, and its errors say what to do."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.project import config, reading
from tests.places import ROOT


@pytest.fixture
def data() -> dict[str, Any]:
    return copy.deepcopy(tomllib.loads((ROOT / "harness.toml").read_text()))


def test_ours_is_valid_and_its_names_exist() -> None:
    project = reading.load(ROOT)
    for name in project.config.defaults.variants:
        project.variant(name)
    project.profile(project.config.defaults.profile)
    for variant in project.config.variants.values():
        for fragment in variant.config:
            assert (ROOT / "kernel/config" / f"{fragment}.config").is_file()


def test_unknown_key_names_the_nearest(data: dict[str, Any]) -> None:
    data["bases"]["debian-6.1"]["sute"] = "bookworm"
    with pytest.raises(UserError, match=r"bases\.debian-6\.1\.sute.*did you mean 'suite'"):
        reading.parse(data, "harness.toml", ROOT)


def test_unknown_key_at_the_top(data: dict[str, Any]) -> None:
    data["varients"] = {}
    with pytest.raises(UserError, match="did you mean 'variants'"):
        reading.parse(data, "harness.toml", ROOT)


def test_unknown_key_inside_a_list(data: dict[str, Any]) -> None:
    data["profiles"]["quick"]["workloads"][0]["parms"] = {}
    with pytest.raises(UserError, match="did you mean 'params'"):
        reading.parse(data, "harness.toml", ROOT)


def test_variant_of_an_unknown_base(data: dict[str, Any]) -> None:
    data["variants"]["after"]["base"] = "debian-6.2"
    with pytest.raises(UserError, match=r"did you mean 'debian-6\.1'"):
        reading.parse(data, "harness.toml", ROOT)


def test_wrong_type_names_the_key(data: dict[str, Any]) -> None:
    data["settings"]["guest"]["smp"] = "many"
    with pytest.raises(UserError, match=r"settings\.guest\.smp"):
        reading.parse(data, "harness.toml", ROOT)


def test_unknown_names_are_user_errors() -> None:
    project = reading.load(ROOT)
    with pytest.raises(UserError, match="did you mean 'before'"):
        project.variant("befor")
    with pytest.raises(UserError, match=r"did you mean 'debian-6\.1'"):
        project.base("debian-61")
    with pytest.raises(UserError, match="did you mean 'quick'"):
        project.profile("quik")


def test_broken_toml_says_where(tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text("[defaults\n")
    with pytest.raises(UserError, match=r"harness\.toml.*line 1"):
        reading.load(tmp_path)


def test_extended_variant_appends_lists_and_replaces_the_rest(data: dict[str, Any]) -> None:
    data["variants"] |= {
        "canary": {"extends": "after", "patches": ["a.patch"], "tree": "after"},
        "canary-debug": {"extends": "canary", "config": ["debug"], "patches": ["b.patch"]},
        "other": {"extends": "canary-debug", "series": "elsewhere"},
    }
    variants = reading.parse(data, "harness.toml", ROOT).variants
    assert variants["canary"].series == data["variants"]["after"]["series"]
    assert variants["canary"].tree == "after"
    assert variants["canary-debug"].patches == ["a.patch", "b.patch"]
    assert variants["canary-debug"].config == ["debug"]
    assert variants["canary-debug"].tree == "", "another configuration would rebuild the whole tree"
    assert variants["other"].series == "elsewhere"
    assert variants["after"].patches == []


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"one": {"extends": "aftre"}}, r"variants\.one.*'aftre'; did you mean 'after'"),
        ({"one": {"extends": "one"}}, r"variants\.one: extends itself: one -> one"),
        (
            {"one": {"extends": "two"}, "two": {"extends": "six"}, "six": {"extends": "two"}},
            r"extends itself: one -> two -> six -> two",
        ),
        ({"one": {"tree": "../x"}}, r"variants\.one\.tree"),
    ],
)
def test_bad_extensions_are_named(
    data: dict[str, Any], tables: dict[str, Any], message: str
) -> None:
    data["variants"] |= tables
    with pytest.raises(UserError, match=message):
        reading.parse(data, "harness.toml", ROOT)


def test_comparisons_are_those_declared(data: dict[str, Any]) -> None:
    project = config.Project(ROOT, reading.parse(data, "harness.toml", ROOT))
    four = ["before", "after", "reclaim-on", "reclaim-off"]
    assert project.comparisons(four) == [("before", "after"), ("reclaim-off", "reclaim-on")]
    assert project.comparisons(["after", "reclaim-on"]) == []
    data["comparisons"] = [{"baseline": "before", "variants": ["after", "after-debug"]}]
    project = config.Project(ROOT, reading.parse(data, "harness.toml", ROOT))
    assert project.comparisons(["after-debug", "before"]) == [("before", "after-debug")]
    data["comparisons"][0]["variants"].append("aftr")
    with pytest.raises(UserError, match="comparisons: unknown variant 'aftr'; did you mean"):
        reading.parse(data, "harness.toml", ROOT)


def test_another_base_brings_its_series_and_variants(data: dict[str, Any]) -> None:
    project = config.Project(ROOT, reading.parse(data, "harness.toml", ROOT))
    assert project.series_name("after") == "kernel/patches/debian-6.1"
    letter = project.on_base("next-20210812")
    assert letter.series_name("after") == "letter"
    assert letter.series_name("before") == ""
    assert letter.base_name("reclaim-on") == "debian-7.3"
    assert letter.config.defaults.variants == ["before", "after"]
    assert project.on_base("debian-7.3").config.defaults.variants == [
        "before", "after", "no-reclaim",
    ]
    assert project.on_base("") is project


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "git", "urls": ["x"]}, r"bases\.x: kind 'git' needs `ref`"),
        ({"kind": "git", "urls": ["x"], "ref": "y", "commit": "abc"}, r"bases\.x\.commit"),
        ({"kind": "dir", "path": "x", "suite": "y"}, "kind 'dir' has no `suite`"),
        ({"kind": "svn"}, r"bases\.x\.kind"),
    ],
)
def test_keys_of_a_base_follow_its_kind(
    data: dict[str, Any], table: dict[str, Any], message: str
) -> None:
    data["bases"]["x"] = table
    with pytest.raises(UserError, match=message):
        reading.parse(data, "harness.toml", ROOT)


def test_two_bases_are_compared_only_if_that_is_meant(data: dict[str, Any]) -> None:
    """It would be measured for minutes and then not be compared: refused when the file is read."""
    data["comparisons"].append({"baseline": "before", "variant": "reclaim-on"})
    with pytest.raises(UserError, match=r"comparisons: reclaim-on .* before, .*across = true"):
        reading.parse(data, "harness.toml", ROOT)
    data["comparisons"][-1]["across"] = True
    project = config.Project(ROOT, reading.parse(data, "harness.toml", ROOT))
    (pair,) = project.pairs(["before", "reclaim-on"])
    assert pair.across
    assert not any(pair.across for pair in project.pairs(["before", "after"]))


def test_a_family_is_a_variant_and_a_comparison_for_each_patch(
    data: dict[str, Any], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"broken/{name}.patch").parent.mkdir(exist_ok=True)
        (tmp_path / f"broken/{name}.patch").write_text("")
    data["families"] = {"bad": {"directory": "broken", "extends": "after-debug"}}
    found = reading.parse(data, "harness.toml", tmp_path)
    one = found.variants["bad-one"]
    assert one.patches == ["broken/one.patch"] and one.tree == "after-debug"
    assert (one.series, one.config) == ("{series}", ["debug"])
    pairs = config.Project(tmp_path, found).comparisons(["after-debug", "bad-one", "bad-two"])
    assert pairs == [("after-debug", "bad-one"), ("after-debug", "bad-two")]
    data["variants"]["bad-two"] = {}
    with pytest.raises(UserError, match=r"families\.bad: variant 'bad-two' is there already"):
        reading.parse(data, "harness.toml", tmp_path)
    data["families"] = {"bad": {"directory": "nowhere", "extends": "after-debug"}}
    with pytest.raises(UserError, match=r"families\.bad: no \*\.patch in .*nowhere"):
        reading.parse(data, "harness.toml", tmp_path)
    data["families"] = {"bad": {"directory": "broken", "extends": "aftre"}}
    with pytest.raises(UserError, match=r"families\.bad: .*did you mean 'after'"):
        reading.parse(data, "harness.toml", tmp_path)


def test_the_mutants_are_a_family() -> None:
    project = reading.load(ROOT)
    patches = {path.stem for path in (ROOT / "tests/mutants").glob("*.patch")}
    assert len(patches) == 17
    assert {f"mutant-{name}" for name in patches} == {
        name for name in project.config.variants
        if name.startswith("mutant-")
        and not name.startswith("mutant-reclaim-")
    }
    assert (ROOT / "harness.toml").read_text().count("[variants.mutant") == 0


def test_what_a_small_project_takes_for_granted() -> None:
    found = reading.parse(
        {"bases": {"mine": {"kind": "dir", "path": "x"}}, "variants": {"a": {}, "b": {}},
         "profiles": {"p": {"workloads": [{"name": "micro"}]}}}, "harness.toml",
    )
    assert (found.defaults.base, found.defaults.profile) == ("mine", "p")
    assert found.defaults.variants == ["a", "b"]
    assert found.bases["mine"].config == ["guest", "mm", "lean"]
    assert found.guest.smp == 4 and "openssh-server" in found.image.packages
    assert found.suites == {} and found.published == []


def test_settings_are_laid_over_built_in_ones() -> None:
    found = reading.parse(
        {"bases": {"mine": {"kind": "dir", "path": "x"}},
         "settings": {"image": {"packages": ["openssh-server"]}, "guest": {"smp": 2}}}, "toml",
    )
    assert found.image.packages == ["openssh-server"] and found.image.suite
    assert (found.guest.smp, found.guest.memory) == (2, "4G")


def test_no_project_is_guessed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no harness\.toml in .* or above; run harness inside"):
        reading.load(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/harness.toml").write_text('[bases.m]\nkind = "dir"\npath = "x"\n')
    assert reading.load(tmp_path / "a/b").root == tmp_path / "a"
