"""Options that many commands share, and what they are turned into."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli import completions
from harness.core.errors import UserError
from harness.core.progress import Progress
from harness.lab import Lab
from harness.project.config import FILE_NAME, Project
from harness.records.record import Scalar

if TYPE_CHECKING:
    from harness.fleet.engine import FleetChoice
    from harness.records.costs import CacheSizes

Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say only what went wrong.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")]
WorkspaceDir = Annotated[
    Path | None,
    typer.Option("--workspace", metavar="DIR", help="Cache directory [~/.cache/pte-harness]."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
MirrorUrl = Annotated[
    str | None,
    typer.Option("--mirror", metavar="URL", help="Debian mirror [the system's apt configuration]."),
]
Origin = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="PLACE",
        help="Fetch the base from here: a local clone or another URL of a git base, a tarball.",
    ),
]
BaseName = Annotated[
    str | None,
    typer.Option(
        "--base", autocompletion=completions.base,
        help="A base of harness.toml, instead of the default one.",
    ),
]
SourceDir = Annotated[
    Path | None,
    typer.Option("--source", metavar="DIR", help="Build this kernel tree instead of the base's."),
]
Jobs = Annotated[int | None, typer.Option("-j", "--jobs", min=1, help="Compile jobs [all cores].")]
AccelName = Annotated[
    str | None,
    typer.Option(
        "--accel", help="auto, kvm, tcg, or icount (TCG that counts instructions) [auto]."
    ),
]
Smp = Annotated[
    int | None, typer.Option("--smp", min=1, max=64, help="vCPUs [harness.toml, else 4].")
]
Memory = Annotated[
    str | None,
    typer.Option("--memory", "-m", help="Guest memory, e.g. 2048M [harness.toml, else 4G]."),
]
Append = Annotated[
    str | None, typer.Option("--append", help="More words for the kernel command line.")
]
Variant = Annotated[
    str | None,
    typer.Option(
        "--variant", autocompletion=completions.variant,
        help="A variant of harness.toml [its first default].",
    ),
]
MachineName = Annotated[
    str | None,
    typer.Option(
        "--machine", autocompletion=completions.machine,
        help="A real computer of harness.toml, instead of guests of this host.",
    ),
]
FleetPlace = Annotated[
    str | None,
    typer.Option(
        "--fleet", metavar="local|ADDRESS|FILE",
        help="Boot on many workers at a time: processes of this host, or those of a Dask "
        "scheduler (see docs/fleet.md).",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, max=256,
        help="Of --fleet local, a guest each [as many as this host has CPUs for].",
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--param", metavar="NAME=VALUE", help="A parameter of the workload; may be repeated."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")]


class Words(tuple[str, ...]):
    """The values of an option that takes several, comma-separated, without repeats."""

    @staticmethod
    def parse(text: str) -> Words:
        """``"before, after"``; raises :class:`UserError` when it names nothing, or one twice."""
        return Words(_distinct([word.strip() for word in text.split(",")], text))


class Numbers(tuple[int, ...]):
    """The same of an option that takes numbers."""

    @staticmethod
    def parse(text: str) -> Numbers:
        """``"1,8,16"``; raises :class:`UserError` for what is no number from 1 to 256."""
        words = _distinct([word.strip() for word in text.split(",")], text)
        for word in words:
            if not word.isdecimal() or not 1 <= int(word) <= 256:
                raise UserError(
                    f"'{word}' in '{text}' is not a number of threads",
                    hint="give numbers from 1 to 256, like 1,8,16",
                )
        return Numbers(int(word) for word in words)


LISTS = (Words, Numbers)
"""What an option that takes several values in one word is annotated with."""


def _distinct(words: list[str], text: str) -> list[str]:
    if not all(words):
        raise UserError(
            f"'{text}' has an empty name in it" if text.strip() else "an empty list was given",
            hint="name at least one, or leave the option out",
        )
    again = [word for word in dict.fromkeys(words) if words.count(word) > 1]
    if again:
        raise UserError(f"'{again[0]}' stands twice in '{text}'", hint="name each once")
    return words


Caches = Annotated[
    str | None, typer.Option(
        "--caches", metavar="host|L1D,L1I,L2",
        help="Model caches in the first counted boots, for misses and an estimate of cycles: "
             "those of this host, or such as 48K/12,32K/8,2M/16. Some times slower [none].",
        show_default=False,
    )
]


def setup(
    *, quiet: bool, verbose: bool, workspace: Path | None, base: str | None = None,
    project: Project | None = None, machine: str | None = None,
) -> Lab:
    """The laboratory that a command works in; ``base`` replaces the default base.

    ``machine`` is the one that it is on, for which kernels are made.

    ``project`` is used instead of the one around the working directory.
    """
    progress = Progress(-1 if quiet else 1 if verbose else 0)
    lab = Lab(project, workspace=workspace, progress=progress)
    if overlay := lab.project.overlay:
        progress.detail(f"{overlay} is laid over {FILE_NAME}")
    lab = lab.on_base(base)
    return lab if machine is None else lab.on_machine(machine)


def cache_sizes(text: str | None) -> CacheSizes | None:
    """What ``--caches`` names; None where it is not given."""
    from harness.measure.profiles import caches  # noqa: PLC0415

    return None if text is None else caches.parse(text)


def parameters(words: list[str] | None) -> dict[str, Scalar]:
    """``["op=pipe"]`` as a mapping; raises :class:`UserError` for a word without a sign."""
    found: dict[str, Scalar] = {}
    for word in words or []:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise UserError(f"--param {word} is no NAME=VALUE", hint="--param op=pipe")
        found[name] = _scalar(value)
    return found


def _scalar(text: str) -> Scalar:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def fleet(where: str | None, workers: int | None) -> FleetChoice | None:
    """What --fleet and --workers ask for; raises :class:`UserError` where they do not fit."""
    if where is None:
        if workers is not None:
            raise UserError("--workers is for --fleet local", hint="add it, or drop --workers")
        return None
    from harness.fleet.engine import FleetChoice  # noqa: PLC0415

    choice = FleetChoice(where, workers)
    choice.check()
    return choice


def print_json(value: Any) -> None:
    """A result for programs, on standard output."""
    print(json.dumps(value, indent=1), flush=True)  # noqa: T201


def say(text: str) -> None:
    """A result for people, on standard output."""
    print(text, file=sys.stdout, flush=True)  # noqa: T201


def names(text: str, what: str) -> list[str]:
    """A comma-separated flag as a list without repeats; raises :class:`UserError` when empty."""
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found:
        raise UserError(f"{what} names nothing")
    return list(dict.fromkeys(found))


def check_base(project: Project, variants: Sequence[str], base: str, flag: str) -> None:
    """That the variants exist and are of ``base`` where one was named; ``flag`` chose them.

    Raises :class:`UserError`.
    """
    for name in variants:
        if project.base_name(name) != base and base:
            raise UserError(
                f"variant {name} is of base {project.base_name(name)}, not {base}",
                hint=f"give others with {flag}, or leave --base out",
            )
