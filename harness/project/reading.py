"""Reading ``harness.toml``: both files laid over each other, checked to the last key.

Raises :class:`UserError` for anything wrong, naming the key and the nearest right one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError

from harness.core.errors import UserError
from harness.project import builtin
from harness.project.bases import BASE_KINDS
from harness.project.config import FILE_NAME, LOCAL_NAME, Config, Project, nearest
from harness.project.machine_tables import GUEST
from harness.project.table import NAME
from harness.project.tables import ComparisonTable, Variant

ADDED_TO = ("comparisons", "published")
"""Lists to which the local file adds; of any other its own wins."""
Tables = Mapping[str, object]
"""What tomllib makes of a file, until the models have checked it."""


def find_root(start: Path | None = None) -> Path:
    """The nearest directory at or above ``start`` (the working directory) with a harness.toml."""
    here = (start or Path.cwd()).absolute()
    for folder in (here, *here.parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise UserError(
        f"no {FILE_NAME} in {here} or above",
        hint="run harness inside a project: a directory with that file",
    )


def load(root: Path | None = None, usual: Tables | None = None) -> Project:
    """Read and check the harness.toml at or above ``root`` (default: the working directory).

    A harness.local.toml beside it is laid over it. ``usual`` is what holds where the file says
    nothing, as the bases of a file that has only workloads.
    """
    root = find_root(root)
    path, local = root / FILE_NAME, root / LOCAL_NAME
    data = _laid_over(usual or {}, _read(path))
    if not local.is_file():
        return Project(root, parse(data, str(path), root))
    both = _laid_over(data, _read(local), ADDED_TO)
    try:
        return Project(root, parse(both, str(local), root))
    except UserError:
        parse(data, str(path), root)  # a fault of the tracked file is told as one of that
        raise


def _read(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: {error}") from error


def parse(data: Tables, where: str, root: Path = Path()) -> Config:
    """Check the content of a harness.toml; ``root`` is the directory that its paths start from."""
    try:
        usual = _read(builtin.DEFAULTS)
        config = Config.model_validate(_laid_over(usual, data))
    except ValidationError as error:
        raise UserError(f"{where}: {_explain(error)}") from error
    config = _with_families(_with_defaults(config, _names(usual, "profiles")), where, root)
    variants = {name: _extended(config.variants, name, where) for name in config.variants}
    config = config.model_copy(update={"variants": variants})
    _check_names(config, where)
    try:
        Project(root, config).pairs(list(config.variants))
    except UserError as error:
        raise UserError(f"{where}: comparisons: {error.message}", hint=error.hint) from error
    return config


def _names(tables: Tables, key: str) -> list[str]:
    """The names of the tables below a key."""
    found = tables.get(key)
    return list(found) if isinstance(found, dict) else []


def _laid_over(below: Tables, above: Tables, added_to: Sequence[str] = ()) -> dict[str, object]:
    """Two files as one: tables are merged, of anything else ``above`` wins.

    A table of another ``kind`` takes the place of the old one: its keys are others. ``added_to``
    are keys whose lists are appended to.
    """
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            kind = old.get("kind")
            same = value.get("kind", kind) == kind
            merged[key] = _laid_over(old, value) if same else value
        elif key in added_to and isinstance(old, list) and isinstance(value, list):
            merged[key] = [*old, *value]
        else:
            merged[key] = value
    return merged


def _with_defaults(config: Config, built_in: Collection[str]) -> Config:
    """What [defaults] leaves out: the first base and profile, every variant."""
    given = config.defaults
    own = [name for name in config.profiles if name not in built_in]
    defaults = given.model_copy(update={
        "base": given.base or next(iter(config.bases)),
        "variants": given.variants or list(config.variants),
        "profile": given.profile or next(iter([*own, *config.profiles]), ""),
    })
    return config.model_copy(update={"defaults": defaults})


def _with_families(config: Config, where: str, root: Path) -> Config:
    """A variant and a comparison for every patch of every family's directory."""
    variants, comparisons = dict(config.variants), list(config.comparisons)
    for family, table in config.families.items():
        parent = variants.get(table.extends)
        if parent is None:
            raise UserError(
                f"{where}: families.{family}: extends unknown variant '{table.extends}'",
                hint=nearest(table.extends, variants),
            )
        names = sorted(path.name for path in (root / table.directory).glob("*.patch"))
        if not names:
            raise UserError(
                f"{where}: families.{family}: no *.patch in {root / table.directory}",
                hint="put patches there, or remove the table",
            )
        made = {
            f"{family}-{name.removesuffix('.patch')}": Variant(
                extends=table.extends, patches=[f"{table.directory}/{name}"],
                tree=parent.tree or table.extends,
            )
            for name in names
        }
        for name in made.keys() & variants.keys():
            raise UserError(f"{where}: families.{family}: variant '{name}' is there already")
        variants |= made
        comparisons.append(ComparisonTable(baseline=table.extends, variants=list(made)))
    return config.model_copy(update={"variants": variants, "comparisons": comparisons})


def _check_names(config: Config, where: str) -> None:
    """Every base and every variant that another table names exists; machines have good names."""
    for name in config.machines:
        if name == GUEST or not re.match(NAME, name):
            raise UserError(
                f"{where}: machines.{name}: no name for a machine of your own",
                hint=f"'{GUEST}' is QEMU on this host; use letters, digits, . + _ -",
            )
    for name, variant in config.variants.items():
        base = variant.base or config.defaults.base
        if base not in config.bases:
            raise UserError(
                f"{where}: variants.{name}: unknown base '{base}'",
                hint=nearest(base, config.bases),
            )
    for base in (base for part in config.nightly.suites for base in part.bases):
        if base not in config.bases:
            raise UserError(
                f"{where}: nightly.suites: unknown base '{base}'",
                hint=nearest(base, config.bases),
            )
    named = [(f"bases.{name}", base.variants) for name, base in config.bases.items()]
    named += [("comparisons", [c.baseline, *c.variants]) for c in config.comparisons]
    named += [(f"suites.{name}", table.variants) for name, table in config.suites.items()]
    named += [("nightly.suites", table.variants) for table in config.nightly.suites]
    named += [("defaults", config.defaults.variants)]
    for place, names in named:
        for name in names:
            if name not in config.variants:
                raise UserError(
                    f"{where}: {place}: unknown variant '{name}'",
                    hint=nearest(name, config.variants),
                )


def _extended(variants: dict[str, Variant], name: str, where: str) -> Variant:
    """A variant with the keys of all those it extends, the farthest first."""
    chain = [name]
    while parent := variants[chain[-1]].extends:
        if parent not in variants:
            raise UserError(
                f"{where}: variants.{chain[-1]}: extends unknown variant '{parent}'",
                hint=nearest(parent, variants),
            )
        if parent in chain:
            raise UserError(
                f"{where}: variants.{name}: extends itself: {' -> '.join([*chain, parent])}"
            )
        chain.append(parent)
    merged = Variant()
    for link in reversed(chain):
        own = variants[link]
        given = own.model_fields_set
        merged = Variant(
            base=own.base if "base" in given else merged.base,
            series=own.series if "series" in given else merged.series,
            config=[*merged.config, *own.config], patches=[*merged.patches, *own.patches],
            # The work tree is not taken over: its sharing is asked for, never a surprise.
            tree=own.tree, extends=own.extends, own_release=merged.own_release or own.own_release,
            start=own.start or merged.start,
        )
    return merged


def _explain(error: ValidationError) -> str:
    """The first fault in words: where, what, and for an unknown key the nearest right one."""
    fault = error.errors()[0]
    loc = [str(part) for part in fault["loc"]]
    kind = ""
    if loc[0] == "bases" and len(loc) > 2 and loc[2] in BASE_KINDS:
        kind = loc.pop(2)  # the name of the model that was tried
    where, table = ".".join(loc), ".".join(loc[:2])
    known = list(BASE_KINDS[kind].model_fields) if kind else _keys_at(fault["loc"][:-1])
    elsewhere = kind and any(loc[-1] in model.model_fields for model in BASE_KINDS.values())
    match fault["type"]:
        case "value_error":
            words = f"{where}: {fault['ctx']['error']}"
        case "missing" | "string_too_short" | "too_short" if kind:
            words = f"{table}: kind '{kind}' needs `{loc[-1]}`"
        case "union_tag_invalid":
            words = f"{where}.kind: {fault['ctx']['tag']!r} is none of {', '.join(BASE_KINDS)}"
        case "union_tag_not_found":
            words = f"{where}: needs `kind`, one of {', '.join(BASE_KINDS)}"
        case "extra_forbidden" if elsewhere:
            words = f"{table}: kind '{kind}' has no `{loc[-1]}`"
        case "extra_forbidden":
            words = f"unknown key '{where}'; {nearest(loc[-1], known)}"
        case _:
            words = f"{where}: {fault['msg'].lower()}"
    return words


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the model at a place of harness.toml allows."""
    model: object = Config
    for part in loc:
        if isinstance(model, type) and issubclass(model, BaseModel):
            if str(part) not in model.model_fields:
                return []
            model = model.model_fields[str(part)].annotation
        elif args := get_args(model):
            model = args[-1]
    if isinstance(model, type) and issubclass(model, BaseModel):
        return list(model.model_fields)
    return []
