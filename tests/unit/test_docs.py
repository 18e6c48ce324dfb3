"""The pages that a user reads: narrow enough, every link leads somewhere, every command exists."""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from harness.cli.app import app
from harness.project import reading
from tests.places import ROOT

WIDTH = 100
PAGES = sorted([
    ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "contrib/README.md",
    ROOT / "guest/README.md", ROOT / "results/reference/README.md",
])
# Options of other programs that a page names by themselves.
FOREIGN = {
    "--verify", "--strict", "--pdeathsig", "--global", "--user", "--areas", "--rest", "--series",
    "--dashboard-address", "--no-dashboard",  # of dask
}
STOP = re.compile(r"\s--(\s|$)|\s#|[|;&)]|\.\.\.")

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@each_page
def test_no_line_is_wider_than_a_terminal(page: Path) -> None:
    wide = [
        f"{page.name}:{number} has {len(line)} columns"
        for number, line in enumerate(page.read_text().splitlines(), 1) if len(line) > WIDTH
    ]
    assert not wide, "\n".join(wide)


@each_page
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if "://" in target or target.startswith("mailto:"):
            continue
        place, _, anchor = target.partition("#")
        found = (page.parent / place).resolve() if place else page
        assert found.exists(), f"{page.name}: {target} is not there"
        if anchor:
            assert anchor in anchors(found.read_text()), f"{page.name}: no heading {target}"


@each_page
def test_every_command_has_the_options_that_are_shown(page: Path) -> None:
    wrong = [
        f"{page.name}: `{line}`: {fault}"
        for line in commands(page.read_text()) if (fault := fault_of(line))
    ]
    assert not wrong, "\n".join(wrong)


@each_page
def test_an_option_shown_alone_is_one_of_some_command(page: Path) -> None:
    if page.parent.name == "guest":
        return  # options of guest programs, which have a --help of their own
    known = FOREIGN | {name for options in known_commands().values() for name in options}
    for span in re.findall(r"(?<!`)`(--[a-z][\w-]*)[^`]*`", page.read_text()):
        assert span in known, f"{page.name}: no command has {span}"


def test_what_is_wrong_is_found() -> None:
    assert fault_of("harness bench --threads 1,8,16") == ""
    assert fault_of("harness bench --thread 1") == "no option --thread"
    assert fault_of("harness banch") == "no command banch"
    assert fault_of("harness series status|edit|sav") == "no command series sav"
    shown = "run `harness report\nRUN --json` and\n\n    .venv/bin/harness doctor\n"
    assert list(commands(shown)) == ["harness report RUN --json", "harness doctor"]
    assert list(commands("`harness run -- ls --all`")) == ["harness run"]


@cache
def known_commands() -> dict[str, set[str]]:
    """Every command with its options; a group is there with its subcommands."""
    found: dict[str, set[str]] = {}

    def walk(command: Any, name: str) -> None:  # typer brings its own click, which has no types
        found[name] = {"--help"} | {
            word for parameter in command.params for word in [
                *parameter.opts, *parameter.secondary_opts] if word.startswith("-")
        }
        if isinstance(command, TyperGroup):
            for inner in command.commands.values():
                walk(inner, f"{name} {inner.name}".strip())

    walk(typer.main.get_command(app), "")
    return found


def fault_of(line: str) -> str:
    """What is wrong with a command line that a page shows; empty when nothing is."""
    words = line.split()[1:]
    if not words or not re.match(r"[a-z]", words[0]):
        return next((f"no option {word}" for word in words if word.startswith("--")
                     and word not in known_commands()[""]), "")
    names = [words.pop(0)]
    if any(known.startswith(f"{names[0]} ") for known in known_commands()) and words:
        names = [f"{names[0]} {one}" for one in words.pop(0).split("|")]
    for name in names:
        if name not in known_commands():
            return f"no command {name}"
    options = set.union(*(known_commands()[name] for name in names))
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-") and len(option) > 1 and option not in options:
            return f"no option {option}"
    return ""


def commands(text: str) -> Iterator[str]:
    """Command lines of the harness in code: `harness ...` in a line, and lines of blocks."""
    text = re.sub(r"\\\n\s*", " ", text)  # a line that goes on
    blocks = re.findall(r"^(?: {4}|\t)(.*)$", text, re.MULTILINE)
    blocks += re.findall(r"^```.*?$(.*?)^```", text, re.MULTILINE | re.DOTALL)
    spans = [
        " ".join(span.split()).replace("\\|", "|")
        for span in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)
    ]
    for place in [*spans, *(line for block in blocks for line in block.splitlines())]:
        for found in re.finditer(r"(?:^|[\s(/])(harness( [^\s].*)?)$", place):
            line = found[1]
            group = re.match(r"harness \w+ \w+(\|\w+)+", line)
            head = group[0] if group else ""
            yield (head + STOP.split(line[len(head):])[0]).rstrip()


def without_code(text: str) -> str:
    """The text without its blocks and spans of code, whose brackets are no links."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`", "``", re.sub(r"^ {4}.*$", "", text, flags=re.MULTILINE))


def anchors(text: str) -> set[str]:
    """The names by which a page's headings can be linked to, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).strip().lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("page", ["docs/projects.md", "docs/compare.md"])
def test_tables_of_harness_toml_are_read(page: str) -> None:
    """The first example of a table on the page, with a whole project around it if it has none."""
    blocks = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", (ROOT / page).read_text(), re.MULTILINE)
    text = textwrap.dedent(next(block for block in blocks if block.lstrip().startswith("[")))
    if "[bases." not in text:
        text += '\n[bases.mine]\nkind = "dir"\npath = "linux"\n'
    config = reading.parse(tomllib.loads(text), page, ROOT)
    assert config.workloads or config.variants
