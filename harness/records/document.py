"""Makes docs/records.md out of the models: ``python -m harness.records.document``.

What a key means is said once, in the model that reads and writes it.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from harness.records.boots import BootRecord
from harness.records.night import HISTORY_FILE, NIGHT_FILE, Night, NightRow
from harness.records.profiles import CellProfile
from harness.records.record import SCHEMA
from harness.records.runs import Run
from harness.records.samples import Sample
from harness.records.store import BOOTS_FILE, PROFILES_FILE, RUN_FILE, SAMPLES_FILE, VERDICTS_FILE
from harness.records.verdicts import Verdict

FILES: tuple[tuple[str, type[BaseModel], str], ...] = (
    (RUN_FILE, Run, "One object. What was planned, with what, where, and whether it is finished."),
    (BOOTS_FILE, BootRecord, "One object a line: a boot, or an attempt at one."),
    (SAMPLES_FILE, Sample, "One object a line: one number. Runs of a suite have none."),
    (PROFILES_FILE, CellProfile, "One object a line: where the instructions of a cell went."),
    (VERDICTS_FILE, Verdict, "One object a line: how one test ended. Measurements have none."),
    (NIGHT_FILE, Night, "One object, in the directory of a night, whose parts are runs in it."),
    (HISTORY_FILE, NightRow, "One object a line, beside the nights; of a repeated row the last."),
)
WIDTH = 100
INTRODUCTION = f"""\
# The files of a run

Made by `python -m harness.records.document` from the models in `harness/records/`; do not edit it.

A run is one execution of a plan, a measurement or a suite of tests, and is a directory that holds
everything that is needed to judge it. Reports are made from these files alone. `run.json` is
written anew when something in it changes; the `.jsonl` files hold one JSON object a line and are
only ever appended to, so that a kill loses at most the line in flight. Beside them lie `boots/`,
with the console and the raw output of every program by boot, and what `harness report` made.
The raw output of a cell is in `boots/NN-VARIANT/WORKLOAD-PARAMETERS-DIGEST/`: `command.txt` is what
was run in the guest, `stdout-REPEAT.txt` what it printed, `status-REPEAT.txt` the files of `/proc`
that memory was read from at the end.

All of it is schema {SCHEMA} (`schema_version` in run.json). An unknown key is an error, and so is a
value of another type. `Params` are an object of scalars, the parameters of one cell; a `Name` has
letters, digits, `_`, `.`, `+` and `-`.
"""


def page() -> str:
    """The whole of docs/records.md."""
    parts = [INTRODUCTION]
    seen: list[type[BaseModel]] = []
    for file, model, what in FILES:
        parts.append(f"## {file}\n\n{what}\n")
        for one in _reached(model):
            if one not in seen:
                seen.append(one)
                parts.append(_section(one))
    return "\n".join(parts)


def _reached(model: type[BaseModel]) -> list[type[BaseModel]]:
    """The model and all that its fields hold, each once, the outer before the inner."""
    found = [model]
    for one in found:
        for field in one.model_fields.values():
            found += [inner for inner in _models(field.annotation) if inner not in found]
    return found


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


def _section(model: type[BaseModel]) -> str:
    types, meanings = _declared(model)
    lines = [f"### {model.__name__}", "", *_wrapped(_plain(model.__doc__ or "")), ""]
    for name, field in model.model_fields.items():
        values = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
        kind = " or ".join(f"`{value}`" for value in values) or types[name]
        text = f"- `{name}`: {kind}, {_default(field)}. {meanings.get(name, '')}"
        lines += _wrapped(text.rstrip(), "  ")
    return "\n".join([*lines, ""])


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _declared(model: type[BaseModel]) -> tuple[dict[str, str], dict[str, str]]:
    """Each field's type as it is written, and the string below it."""
    types, meanings = {}, {}
    tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    name = ""
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            types[name] = _type(ast.unparse(node.annotation))
        elif (
            name and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            meanings[name] = _plain(node.value.value)
            name = ""
        else:
            name = ""
    return types, meanings


def _type(text: str) -> str:
    text = re.sub(r"Annotated\[(.*?), Field\(.*\)\]", r"\1", text)
    return f"`{text}`"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "an empty one unless given"
    return f"`{value!r}` unless given"


def _plain(text: str) -> str:
    """Docstrings as Markdown of one line."""
    text = re.sub(r"``([^`]*)``", r"`\1`", " ".join(text.split()))
    return re.sub(r":\w+:`([^`]*)`", r"`\1`", text)


if __name__ == "__main__":
    sys.stdout.write(page())
