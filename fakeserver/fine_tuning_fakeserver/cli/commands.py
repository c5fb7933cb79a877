"""click's commands, with errors that do not show unknown arguments: one could be a key."""

from __future__ import annotations

import re
from typing import Any

import click

from ..clock import PACES
from ..domain.base_models import CLOSING_DATES
from ..domain.dialects import DIALECTS
from ..domain.dialects.dialect import RECORDED
from ..fake.fake_fine_tuning import FakeFineTuning
from ..usage_errors import FakeUsageError

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


def option(flag: str, *more: str, **settings: Any) -> click.Option:
    """Declare ``--some-name``, which ``FAKE_FINE_TUNING_SOME_NAME`` sets, too; an empty variable counts as unset."""
    variable = f"FAKE_FINE_TUNING_{flag.removeprefix('--').replace('-', '_').upper()}"
    with_default = "default" in settings
    return click.Option([flag, *more], envvar=variable, show_envvar=True, show_default=with_default, **settings)


DIALECT: dict[str, Any] = {"metavar": "NAME", "default": RECORDED.name, "help": f"One of {', '.join(DIALECTS)}."}
CLASS: dict[str, Any] = {"metavar": "CLASS", "default": "active", "type": click.Choice(tuple(CLOSING_DATES))}
ACCOUNT_OPTIONS = (
    option("--pace", default=60, type=click.UNPROCESSED, help=f"Virtual seconds per second, or {', '.join(PACES)}."),
    option("--seed", metavar="N", default=0, help="Ids, losses and names depend on it."),
    option("--dialect", type=click.Choice(tuple(DIALECTS)), **DIALECT),
    option("--as-of", metavar="DATE", help="Begin on this date, and let the service end from there on."),
    option("--organization", "organization_class", **CLASS, help=f"With --as-of: {', '.join(CLOSING_DATES)}."),
)


def create_fake(**settings: Any) -> FakeFineTuning:
    """Create a fake with *settings*; raise click's error if they do not fit."""
    try:
        return FakeFineTuning(**settings)
    except FakeUsageError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None
