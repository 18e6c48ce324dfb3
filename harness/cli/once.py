"""An option that takes several values in one word and is given twice is an error.

The parser would silently take the last one, and a bench of `--variants before --variants after`
would then measure one kernel and compare nothing. Of the others the last counts, as everywhere:
whoever has flags in an alias adds to them what is different today.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import typer.core

from harness.cli.common import LISTS
from harness.core.errors import UserError


class Command(typer.core.TyperCommand):
    """A command whose options that take a list may be given once."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as always; raises :class:`UserError` for an option given again."""
        if args and not ctx.resilient_parsing:
            _, _, given = self.make_parser(ctx).parse_args(args=list(args))
            for param, count in Counter(given).items():
                if count > 1 and isinstance(param, typer.core.TyperOption) and _is_list(param):
                    raise UserError(
                        f"{max(param.opts, key=len)} is given {count} times",
                        hint="name several in one, comma-separated",
                    )
        return super().parse_args(ctx, args)


def _is_list(option: typer.core.TyperOption) -> bool:
    """Whether it takes several values in one word."""
    described = getattr(option, "type_descriptor", None)
    return getattr(described, "annotation", None) in LISTS


PROGRAM = "program"


class CommandWithProgram(Command):
    """A command that may be followed by ``--`` and a program of the user's with its arguments.

    They are in ``ctx.meta[PROGRAM]``, apart from the words before the dashes.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what stands before the dashes; raises :class:`UserError` for dashes and nothing."""
        ctx.meta[PROGRAM] = []
        if "--" in args:
            at = args.index("--")
            args, ctx.meta[PROGRAM] = args[:at], args[at + 1:]
            if not ctx.meta[PROGRAM]:
                raise UserError("no program stands behind --", hint="-- ./mybench --n 5")
        return super().parse_args(ctx, args)
