"""click's commands, with errors that do not show unknown arguments: one could be a key."""

from __future__ import annotations

import re
from typing import Any

import click

HIDDEN_OPTIONS = ("--api-key", "--key")
OPTION_NAME = re.compile(r"-{1,2}[\w-]*")


class Command(click.Command):
    """A command that refuses unknown arguments without showing them."""

    allow_extra_args = True  # refused below: click would show them

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args*."""
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            raise click.UsageError("unexpected argument (not shown: it could be a key)", ctx)
        return rest


class CommandGroup(click.Group):
    """A group of commands that refuses unknown ones without showing them."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command that the first of *args* names."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise click.UsageError(f"unknown command; expected one of: {', '.join(self.commands)}", ctx)
        return super().resolve_command(ctx, args)


def without_value(error: click.NoSuchOption) -> click.NoSuchOption:
    """Return *error* without a value in the same argument, and without suggesting hidden options."""
    name = OPTION_NAME.match(error.option_name)
    options = [flag for flag in error.possibilities or () if flag not in HIDDEN_OPTIONS]
    return click.NoSuchOption(name[0] if name else "", possibilities=options, ctx=error.ctx)
