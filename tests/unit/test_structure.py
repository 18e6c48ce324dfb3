"""The shape of the house: what a name means, which room may know of which, how long things are."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.places import ROOT

LONGEST = 60  # lines of a function
MOST_ANY = 15  # places that say dict[str, Any]
# A room may import from those that stand before it, and from itself.
BELOW: dict[str, set[str]] = {
    "core": set(),
    "style": {"core"},
    "records": {"core"},
    "project": {"core", "records"},
    "kernel": {"core", "records", "project"},
    "image": {"core", "records", "project"},
    "machine": {"core", "records", "project"},
    "measure": {"core", "records", "project", "kernel", "image", "machine"},
    "dumps": {"core", "records", "project", "kernel", "image", "machine"},
    "suites": {
        "core", "style", "records", "project", "kernel", "image", "machine", "measure", "dumps",
    },
    "report": {"core", "style", "records", "project"},
}
BELOW["fleet"] = BELOW["suites"] | {"suites"}
BELOW["lab"] = BELOW["fleet"] | {"fleet", "report"}
BELOW["doctor"] = BELOW["lab"]
BELOW["search"] = BELOW["lab"] | {"lab"}
BELOW["claims"] = BELOW["lab"] | {"lab"}
BELOW["cli"] = BELOW["lab"] | {"lab", "search", "claims", "doctor"}


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the harness by its dotted name."""
    found = {}
    for path in sorted((ROOT / "harness").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(path.read_text())
    return found


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(tree: ast.Module, *, types: bool) -> Iterator[str]:
    """Modules of the harness that a module imports, anywhere in it.

    Without ``types`` those that only the type checker follows are left out.
    """
    left_out = {
        inner for node in ast.walk(tree) if isinstance(node, ast.If) and not types
        and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in left_out:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness"):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules() else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("harness."))


def test_no_two_modules_have_one_name() -> None:
    """Packages aside: measure/workloads holds what records/workloads describes."""
    packages = {name for name in modules() if any(m.startswith(f"{name}.") for m in modules())}
    places: dict[str, list[str]] = defaultdict(list)
    for name in set(modules()) - packages:
        places[name.rsplit(".", 1)[-1]].append(name)
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    assert not {name: where for name, where in places.items() if len(where) > 1}


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{name}.{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for name, tree in modules().items() for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST
    ]
    assert not long


def test_every_dictionary_of_anything_has_its_reason() -> None:
    found = []
    for path in sorted((ROOT / "harness").rglob("*.py")):
        lines = path.read_text().splitlines()
        found += [f"{path.name}: {line.strip()}" for line in lines if "dict[str, Any]" in line]
    assert len(found) < MOST_ANY, "\n".join(found)


def test_rooms_know_only_what_stands_below_them() -> None:
    wrong = []
    for name, tree in modules().items():
        here = room(name)
        allowed = BELOW.get(here)
        for other in imports(tree, types=True):
            there = room(other)
            if allowed is not None and there and there != here and there not in allowed:
                wrong.append(f"{name} imports {other}")
    assert not wrong


def test_every_room_has_its_place() -> None:
    assert {room(name) for name in modules()} - {"", "__main__"} <= set(BELOW)


def test_there_are_no_circles() -> None:
    graph = {name: set(imports(tree, types=False)) - {name} for name, tree in modules().items()}
    while True:
        ends = {name for name, others in graph.items() if not others & set(graph)}
        if not ends:
            break
        graph = {name: others for name, others in graph.items() if name not in ends}
    circle: list[str] = []
    at = next(iter(graph), "")
    while at and at not in circle:
        circle.append(at)
        at = next(iter(graph[at] & set(graph)))
    assert not circle


def test_nothing_silences_a_formatter_that_is_not_used() -> None:
    marked = [
        str(path.relative_to(ROOT)) for folder in ("harness", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != Path(__file__) and "# fmt: " in path.read_text()
    ]
    assert not marked
