"""harness.toml is checked to the last key, and its errors say what to do."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import UserError
from harness.project import config
from tests.places import ROOT


@pytest.fixture
def data() -> dict[str, Any]:
    return copy.deepcopy(tomllib.loads((ROOT / "harness.toml").read_text()))


def test_ours_is_valid_and_its_names_exist() -> None:
    project = config.load(ROOT)
    for name in project.config.defaults.variants:
        project.variant(name)
    project.profile(project.config.defaults.profile)
    for variant in project.config.variants.values():
        for fragment in variant.config:
            assert (ROOT / "kernel/config" / f"{fragment}.config").is_file()


def test_unknown_key_names_the_nearest(data: dict[str, Any]) -> None:
    data["bases"]["debian-6.1"]["sute"] = "bookworm"
    with pytest.raises(UserError, match=r"bases\.debian-6\.1\.sute.*did you mean 'suite'"):
        config.parse(data, "harness.toml", ROOT)


def test_unknown_key_at_the_top(data: dict[str, Any]) -> None:
    data["varients"] = {}
    with pytest.raises(UserError, match="did you mean 'variants'"):
        config.parse(data, "harness.toml", ROOT)


def test_unknown_key_inside_a_list(data: dict[str, Any]) -> None:
    data["profiles"]["quick"]["workloads"][0]["parms"] = {}
    with pytest.raises(UserError, match="did you mean 'params'"):
        config.parse(data, "harness.toml", ROOT)


def test_variant_of_an_unknown_base(data: dict[str, Any]) -> None:
    data["variants"]["after"]["base"] = "debian-6.2"
    with pytest.raises(UserError, match=r"did you mean 'debian-6\.1'"):
        config.parse(data, "harness.toml", ROOT)


def test_wrong_type_names_the_key(data: dict[str, Any]) -> None:
    data["settings"]["guest"]["smp"] = "many"
    with pytest.raises(UserError, match=r"settings\.guest\.smp"):
        config.parse(data, "harness.toml", ROOT)


def test_unknown_names_are_user_errors() -> None:
    project = config.load(ROOT)
    with pytest.raises(UserError, match="did you mean 'before'"):
        project.variant("befor")
    with pytest.raises(UserError, match=r"did you mean 'debian-6\.1'"):
        project.base("debian-61")
    with pytest.raises(UserError, match="did you mean 'quick'"):
        project.profile("quik")


def test_broken_toml_says_where(tmp_path: Path) -> None:
    (tmp_path / "harness.toml").write_text("[defaults\n")
    with pytest.raises(UserError, match=r"harness\.toml.*line 1"):
        config.load(tmp_path)


def test_extended_variant_appends_lists_and_replaces_the_rest(data: dict[str, Any]) -> None:
    data["variants"] |= {
        "canary": {"extends": "after", "patches": ["a.patch"], "tree": "after"},
        "canary-debug": {"extends": "canary", "config": ["debug"], "patches": ["b.patch"]},
        "other": {"extends": "canary-debug", "series": "elsewhere"},
    }
    variants = config.parse(data, "harness.toml", ROOT).variants
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
        config.parse(data, "harness.toml", ROOT)


def test_comparisons_are_those_declared(data: dict[str, Any]) -> None:
    project = config.Project(ROOT, config.parse(data, "harness.toml", ROOT))
    four = ["before", "after", "reclaim-on", "reclaim-off"]
    assert project.comparisons(four) == [("before", "after"), ("reclaim-off", "reclaim-on")]
    assert project.comparisons(["after", "reclaim-on"]) == []
    data["comparisons"] = [{"baseline": "before", "variants": ["after", "after-debug"]}]
    project = config.Project(ROOT, config.parse(data, "harness.toml", ROOT))
    assert project.comparisons(["after-debug", "before"]) == [("before", "after-debug")]
    data["comparisons"][0]["variants"].append("aftr")
    with pytest.raises(UserError, match="comparisons: unknown variant 'aftr'; did you mean"):
        config.parse(data, "harness.toml", ROOT)


def test_another_base_brings_its_series_and_variants(data: dict[str, Any]) -> None:
    project = config.Project(ROOT, config.parse(data, "harness.toml", ROOT))
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
        config.parse(data, "harness.toml", ROOT)
