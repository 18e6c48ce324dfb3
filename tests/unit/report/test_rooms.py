"""The report's rooms: data goes one way, and nobody in them knows this project's experiment."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from harness.cli.report_command import place_for
from tests.places import ROOT

REPORT = ROOT / "harness" / "report"
ROOMS = ("data", "analysis", "profiles", "plots", "pages")
MODULES = sorted(REPORT.rglob("*.py"))
KNOWS = re.compile(r"\bletter\b|VmPTE|VmRSS|vmpte|FREE_USER_PTE|multi-fault|\"(before|after)\"",
                   re.IGNORECASE)


def imports(path: Path) -> set[str]:
    """Modules of the harness that a module imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("harness")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPORT)))
def test_data_goes_one_way(path: Path) -> None:
    room = path.relative_to(REPORT).parts[0]
    left = ROOMS[: ROOMS.index(room) + 1] if room in ROOMS else ROOMS
    allowed = (
        "harness.core", "harness.style", "harness.records",
        *(f"harness.report.{one}" for one in left),
    )
    for name in imports(path):
        assert name.startswith(allowed), f"{path.name} imports {name}"


def test_no_module_imports_itself_through_others() -> None:
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in MODULES
    }
    edges = {name: imports(path) & names.keys() for name, path in names.items()}
    while edges:
        leaves = {name for name, to in edges.items() if not to & edges.keys()}
        assert leaves, f"a circle among {sorted(edges)}"
        edges = {name: to for name, to in edges.items() if name not in leaves}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPORT)))
def test_no_module_knows_the_experiment(path: Path) -> None:
    """Docstrings may take examples from it; code may not."""
    tree = ast.parse(path.read_text())
    docs = {
        node.value for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docs:
            assert not KNOWS.search(node.value), f"line {node.lineno}: {node.value!r}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(REPORT)))
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 60, node.name


def test_several_runs_never_write_over_one_runs_report(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    assert place_for([one], tmp_path) == one
    assert place_for([one, tmp_path / "x" / ".." / "one"], tmp_path) == one
    first = place_for([one, two], tmp_path)
    assert first.parent == tmp_path and first not in (one, two) and not first.exists()
    first.mkdir()
    assert place_for([one, two], tmp_path) not in (first, one, two)
