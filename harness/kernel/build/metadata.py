"""``build.json``: the record of a build, in the cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from harness.core.errors import InfrastructureError
from harness.records.kernels import Kernel

METADATA_FILE = "build.json"
RULE_KEYS = ("name", "reason")


def read(directory: Path, variant: str = "") -> Kernel:
    """The record of a published build; ``variant`` is the name under which it is wanted now.

    Raises :class:`InfrastructureError` for one that is damaged.
    """
    path = directory / METADATA_FILE
    try:
        value = json.loads(path.read_text())
        if "lineage" not in value:
            value = _converted(value)
        return Kernel.model_validate({**value, "variant": variant or value["variant"]})
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise InfrastructureError(
            f"{path} is damaged: {error}", hint=f"remove {directory} and build again"
        ) from error


def _converted(old: Mapping[str, object]) -> dict[str, object]:
    """As the first version of the harness wrote it: a kernel is not worth building again for it."""
    source, series, rules = old["source"], old.get("series"), old.get("compat")
    assert isinstance(source, dict)
    details = {k: _text(v) for k, v in source.items() if k not in ("kind", "version", "digest")}
    new: dict[str, object] = {
        **old, "lineage": old["base"],
        "source": {
            "kind": source["kind"], "version": source["version"], "digest": source["digest"],
            "details": details,
        },
        "series": None,
        "compat": [
            {"name": rule["name"], "reason": rule["reason"],
             "details": {k: _text(v) for k, v in rule.items() if k not in RULE_KEYS}}
            for rule in (rules if isinstance(rules, list) else [])
        ],
    }
    if isinstance(series, dict) and series:
        new["series"] = {
            "kind": series["kind"],
            "details": {k: _text(v) for k, v in series.items() if k != "kind"},
        }
    return new


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
