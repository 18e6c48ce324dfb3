"""``harness machines``: the real computers of harness.toml, their health, who has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness.cli import common, completions
from harness.core.errors import EXIT_INFRASTRUCTURE, UserError
from harness.records.record import Record


def machines(
    name: Annotated[
        str | None,
        typer.Argument(help="One machine [all].", autocompletion=completions.machine),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Ask it for all that a run on it needs.")
    ] = False,
    reset: Annotated[
        bool,
        typer.Option(
            "--reset", help="Bring it back to its own kernel, by its switch if need be.",
        ),
    ] = False,
    save_config: Annotated[
        Path | None,
        typer.Option(
            "--save-config", metavar="FILE",
            help="Write the configuration of its own kernel here; its modules to FILE.lsmod.",
        ),
    ] = None,
    as_json: common.Json = False,
    quiet: common.Quiet = False,
    verbose: common.Verbose = False,
    workspace: common.WorkspaceDir = None,
) -> None:
    """List the machines of harness.toml with their health and their lease.

    Example: harness machines lab1 --check
    """
    from harness.machine import host_checks  # noqa: PLC0415

    lab = common.setup(quiet=quiet, verbose=verbose, workspace=workspace)
    if name is None:
        if check or reset or save_config:
            raise UserError("no machine is named", hint="harness machines NAME --check")
        found = [host_checks.survey(lab.keeper(one)) for one in lab.project.config.machines]
        return _print(found, as_json, host_checks.table(found))
    keeper = lab.keeper(name)
    if reset:
        host_checks.reset(keeper)
    if save_config is not None:
        host_checks.save_config(keeper, save_config)
        lab.progress.say(f"its configuration is in {save_config}")
    if not check:
        state = host_checks.survey(keeper)
        return _print(
            [state], as_json, [*host_checks.table([state]), *host_checks.history(keeper)]
        )
    findings = host_checks.check(keeper)
    _print(findings, as_json, [one.line for one in findings])
    if any(one.state == "missing" for one in findings):
        raise typer.Exit(EXIT_INFRASTRUCTURE)
    return None


def _print(found: Sequence[Record], as_json: bool, lines: Sequence[str]) -> None:
    """A result for programs or for people."""
    if as_json:
        common.print_json([one.model_dump() for one in found])
    else:
        common.say("\n".join(lines))
