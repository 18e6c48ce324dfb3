"""Config fragments: read, merged, and checked against the .config that came out.

Kconfig drops what it does not know or cannot satisfy without a word; here every
requested symbol that is not in the final .config is an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import UserError
from harness.core.versions import Range, Version
from harness.project.config import Project, nearest

SETTING = re.compile(r'CONFIG_(\w+)=("(?:[^"\\]|\\.)*"|[^\s#"]+)\s*(?:#.*)?$')
RANGE = re.compile(r"#\s*\[\s*([<>][^\]]*)\]")
OPTIONAL = re.compile(r"#\s*\[optional\]")
ESSENTIAL = re.compile(r"#\s*\[essential\]")
UNSET = re.compile(r"#\s*CONFIG_(\w+) is not set\s*(?:#.*)?$")
MAX_LISTED = 12
DIRECTORY = "kernel/config"


@dataclass(frozen=True)
class Fragment:
    """One configuration fragment; ``n`` stands for "is not set"."""

    name: str
    symbols: dict[str, str]
    skipped: tuple[str, ...] = ()
    """Symbols whose range of kernels the tree is outside of."""
    optional: frozenset[str] = frozenset()
    """Symbols that the tree need not have; if it has them, they must have their value."""
    essential: frozenset[str] = frozenset()
    """Symbols without which no guest boots, whoever wrote the rest of the configuration."""


def parse_fragment(text: str, name: str, version: Version | None = None) -> Fragment:
    """Read ``CONFIG_X=value  # reason`` and ``# CONFIG_X is not set`` lines.

    A reason that starts with a range, as in ``# [< 6.10] why``, makes the line hold for
    kernels in that range only; without ``version`` every line holds. ``# [optional] why``
    is for a symbol that came by way of stable trees, so that no range tells who has it, and
    ``# [essential]`` for one without which no guest boots.

    Raises :class:`UserError` for any line that is neither, nor comment, nor blank.
    """
    symbols: dict[str, str] = {}
    skipped, optional, essential = [], set(), set()
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if match := SETTING.match(line) or UNSET.match(line):
            limits = RANGE.search(line)
            holds = Range.parse(limits[1] if limits else "", f"{name}, line {number}").holds
            if version is not None and not holds(version):
                skipped.append(match[1])
            else:
                symbols[match[1]] = match[2] if match.re is SETTING else "n"
                if OPTIONAL.search(line):
                    optional.add(match[1])
                if ESSENTIAL.search(line):
                    essential.add(match[1])
        elif line and not line.startswith("#"):
            raise UserError(
                f"{name}, line {number}: '{line}' is no config setting",
                hint="write CONFIG_NAME=value",
            )
    return Fragment(
        name, symbols, tuple(skipped), frozenset(optional), frozenset(essential)
    )


def load_fragments(
    project: Project, names: Iterable[str], version: Version | None = None
) -> list[Fragment]:
    """The fragments of those names, in order, as they hold for a kernel version.

    Each is a file ``kernel/config/NAME.config`` of the project, or else the built-in one; or a path
    relative to harness.toml, where the name has a slash or begins with a dot. Raises
    :class:`UserError` for one that is none of these.
    """
    fragments = []
    for name in names:
        is_path = "/" in name or name.startswith(".")
        path = project.path(name) if is_path else project.file(f"{DIRECTORY}/{name}.config")
        try:
            fragments.append(parse_fragment(path.read_text(), str(path), version))
        except OSError as error:
            known = [other.removesuffix(".config") for other in project.files(DIRECTORY)]
            what = f"{path}: {error.strerror}" if is_path else f"'{name}'"
            raise UserError(f"no config fragment {what}", hint=nearest(name, known)) from error
    return fragments


def merge(fragments: Iterable[Fragment]) -> tuple[dict[str, str], list[str]]:
    """All symbols, later fragments win; and a note for each that was overridden."""
    merged: dict[str, str] = {}
    owner: dict[str, str] = {}
    notes = []
    for fragment in fragments:
        for symbol, value in fragment.symbols.items():
            if merged.get(symbol, value) != value:
                notes.append(
                    f"CONFIG_{symbol}={merged[symbol]} of {owner[symbol]} "
                    f"is overridden by ={value} of {fragment.name}"
                )
            merged[symbol] = value
            owner[symbol] = fragment.name
    return merged, notes


def parse_config(text: str) -> dict[str, str]:
    """The symbols of a .config; those that are not set have the value ``n``."""
    symbols: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("CONFIG_") and "=" in line:
            name, value = line[len("CONFIG_"):].split("=", 1)
            symbols[name] = value
        elif match := UNSET.match(line):
            symbols[match[1]] = "n"
    return symbols


def render(symbols: Mapping[str, str]) -> str:
    """The text of a .config with these symbols."""
    return "".join(
        f"# CONFIG_{name} is not set\n" if value == "n" else f"CONFIG_{name}={value}\n"
        for name, value in symbols.items()
    )


def overlay(start: str, requested: Mapping[str, str]) -> str:
    """A .config text with the requested symbols instead of whatever it says about them."""
    kept = {k: v for k, v in parse_config(start).items() if k not in requested}
    return render({**kept, **requested})


def unmet(
    requested: Mapping[str, str], final: Mapping[str, str], optional: Collection[str] = ()
) -> dict[str, tuple[str, str]]:
    """Symbols whose value in the final .config is not the requested: (requested, got).

    One of ``optional`` may be absent: neither set nor said to be not set.
    """
    return {
        name: (value, final.get(name, "n"))
        for name, value in requested.items()
        if final.get(name, "n") != value and not (name in optional and name not in final)
    }


def explain_unmet(missing: Mapping[str, tuple[str, str]], tree: Path) -> UserError:
    """The error that lists what Kconfig did not accept, with a reason where one is found."""
    reasons = _reasons(tree, set(missing))
    rows = [
        f"CONFIG_{name}: requested {wanted}, got {got if got != 'n' else 'not set'}"
        f" ({reasons.get(name, 'no such symbol in this tree')})"
        for name, (wanted, got) in sorted(missing.items())
    ]
    if len(rows) > MAX_LISTED:
        rows[MAX_LISTED:] = [f"and {len(rows) - MAX_LISTED} more"]
    count = f"{len(missing)} requested config symbol{'s are' if len(missing) > 1 else ' is'}"
    return UserError(f"{count} not in the final .config: " + "; ".join(rows))


def _reasons(tree: Path, names: set[str]) -> dict[str, str]:
    """What the Kconfig files say about symbols: their dependencies, or why none can be set."""
    heads = re.compile(r"^[ \t]*(?:menu)?config[ \t]+(\w+)[ \t]*$", re.MULTILINE)
    found: dict[str, str] = {}
    for path in tree.rglob("Kconfig*"):
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        for head in heads.finditer(text):
            # Other architectures define some symbols too; x86 and the generic files count.
            foreign = path.is_relative_to(tree / "arch") and "x86" not in path.parts
            if head[1] in names and (head[1] not in found or not foreign):
                found[head[1]] = _describe(text[head.end():])
    return found


def _describe(text: str) -> str:
    """The reason in the lines that follow ``config NAME``."""
    body = re.split(
        r"^[ \t]*(?:config|menuconfig|choice|endchoice|menu|endmenu|if|endif|source|comment)\b",
        text, maxsplit=1, flags=re.MULTILINE,
    )[0]
    depends = re.findall(r"^[ \t]*depends on (.+)$", body, re.MULTILINE)
    prompt = re.search(r'^[ \t]*(?:bool|tristate|int|hex|string|prompt)[ \t]+"', body, re.MULTILINE)
    parts = [] if prompt else ["has no prompt, so it cannot be requested"]
    if depends:
        parts.append("depends on " + " && ".join(depends))
    return ", ".join(parts) or "another symbol overrides it, or an enclosing `if` or menu is off"
