"""harness.toml is checked to the last key, and its errors say what to do."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.core import config
from harness.core.errors import UserError

ROOT = Path(__file__).parents[2]


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
        config.parse(data, "harness.toml")


def test_unknown_key_at_the_top(data: dict[str, Any]) -> None:
    data["varients"] = {}
    with pytest.raises(UserError, match="did you mean 'variants'"):
        config.parse(data, "harness.toml")


def test_unknown_key_inside_a_list(data: dict[str, Any]) -> None:
    data["profiles"]["quick"]["workloads"][0]["parms"] = {}
    with pytest.raises(UserError, match="did you mean 'params'"):
        config.parse(data, "harness.toml")


def test_variant_of_an_unknown_base(data: dict[str, Any]) -> None:
    data["variants"]["after"]["base"] = "debian-6.2"
    with pytest.raises(UserError, match=r"did you mean 'debian-6\.1'"):
        config.parse(data, "harness.toml")


def test_wrong_type_names_the_key(data: dict[str, Any]) -> None:
    data["guest"]["smp"] = "many"
    with pytest.raises(UserError, match=r"guest\.smp"):
        config.parse(data, "harness.toml")


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
