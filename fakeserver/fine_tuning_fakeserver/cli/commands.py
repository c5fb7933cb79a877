"""click's commands, with errors in our own words, which do not show unknown arguments: one could be a key.

The fake is imported when one is created, so that help is quick.
"""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import click
from click.core import ParameterSource

from ..clock import PACES
from ..domain.base_models import CLOSING_DATES
from ..domain.dialects import DIALECTS
from ..domain.dialects.dialect import RECORDED
from ..usage_errors import FakeUsageError, did_you_mean
from ..web import DEFAULT_PORT

if TYPE_CHECKING:
    from ..fake.fake_accounts import FakeAccounts
    from ..fake.fake_fine_tuning import FakeFineTuning

HIDDEN_OPTIONS = ("--api-key", "--key")
PORT_VARIABLE = "FAKE_FINE_TUNING_PORT"
OPTION_NAME = re.compile(r"-{1,2}[\w-]*")


def local_url() -> str:
    """Return the URL of this machine's server, on the port that `serve` takes by default."""
    return f"http://127.0.0.1:{os.environ.get(PORT_VARIABLE) or DEFAULT_PORT}"


def sqlite_url(folder: str) -> str:
    """Return the URL of the store in a folder, as ``--data`` has it."""
    return f"sqlite:///{quote(str(Path(folder).absolute() / 'accounts.db'))}"


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


def reworded(error: click.ClickException) -> click.ClickException:
    """Return *error* as ours are worded, with nothing in it that could be a key."""
    if isinstance(error, click.NoSuchOption):
        return without_value(error)
    if type(error) is click.BadParameter and error.param and error.ctx:
        return click.UsageError(f"{_name_as_given(error.param, error.ctx)} {error.message}", error.ctx)
    return error


def usage_error(error: FakeUsageError, ctx: click.Context) -> click.UsageError:
    """Return *error* with the options, or their variables, in place of the settings that it names."""
    names = {param.name: param for param in ctx.command.params if param.name}
    words, got, value = str(error).partition(", got ")
    # the subject, or a name that is no English word, unlike that of --host
    words = re.sub(
        r"^\w+|(?<= )[a-z]+_[a-z_]+",
        lambda match: _name_as_given(names[match[0]], ctx) if match[0] in names else match[0],
        words,
    )
    return click.UsageError(words + got + value, ctx)


def _name_as_given(param: click.Parameter, ctx: click.Context) -> str:
    if param.name and ctx.get_parameter_source(param.name) == ParameterSource.ENVIRONMENT:
        return str(param.envvar)
    return max(param.opts, key=len)  # --port, not -p


def without_value(error: click.NoSuchOption) -> click.NoSuchOption:
    """Return *error* without a value in the same argument, and without suggesting hidden options."""
    name = OPTION_NAME.match(error.option_name)
    options = [flag for flag in error.possibilities or () if flag not in HIDDEN_OPTIONS]
    return click.NoSuchOption(name[0] if name else "", possibilities=options, ctx=error.ctx)


class Number(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """A number of a kind and within limits."""

    name = "number"

    def __init__(self, kind: type[int] | type[float], lowest: float = -inf, highest: float = inf) -> None:
        self._kind, self._lowest, self._highest = kind, lowest, highest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number that *value* is or spells."""
        with suppress(ValueError):  # the message below names the value
            number = self._kind(value)
            if self._lowest <= number <= self._highest:
                return number
        noun = "a whole number" if self._kind is int else "a number"
        limits = f" from {self._lowest:g}" * (self._lowest > -inf)
        limits += f" to {self._highest:g}" if self._highest < inf else " on" * bool(limits)
        raise click.BadParameter(f"must be {noun}{limits}, got {value!r}", ctx, param)


class OneOf(click.Choice[str]):
    """One of some words."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        """Return the message about any other word."""
        words = cast(Sequence[str], self.choices)
        return f"must be one of {', '.join(words)}, got {value!r}{did_you_mean(value, words)}"


def option(flag: str, *more: str, **settings: Any) -> click.Option:
    """Declare ``--some-name``, which ``FAKE_FINE_TUNING_SOME_NAME`` sets, too; an empty variable counts as unset."""
    variable = f"FAKE_FINE_TUNING_{flag.removeprefix('--').replace('-', '_').upper()}"
    with_default = "default" in settings
    return click.Option([flag, *more], envvar=variable, show_envvar=True, show_default=with_default, **settings)


DIALECT: dict[str, Any] = {"metavar": "NAME", "default": RECORDED.name, "help": f"One of {', '.join(DIALECTS)}."}
CLASS: dict[str, Any] = {"metavar": "CLASS", "default": "active", "type": OneOf(tuple(CLOSING_DATES))}
ACCOUNT_OPTIONS = (
    option("--pace", default=60, type=click.UNPROCESSED, help=f"Virtual seconds per second, or {', '.join(PACES)}."),
    option("--seed", metavar="N", default=0, type=Number(int), help="Ids, losses and names depend on it."),
    option("--dialect", type=OneOf(tuple(DIALECTS)), **DIALECT),
    option("--as-of", metavar="DATE", help="Begin on this date, and let the service end from there on."),
    option("--organization", "organization_class", **CLASS, help=f"With --as-of: {', '.join(CLOSING_DATES)}."),
)


def load_fake(
    path: str, webhooks: Iterable[Mapping[str, Any]], settings: Mapping[str, Any], *, sends_webhooks: bool
) -> FakeFineTuning:
    """Load a saved account, and add *webhooks*; without *sends_webhooks* it only shows how others begin.

    Raises:
        click.UsageError: it cannot be read, or an option says otherwise.
    """
    from ..fake.fake_fine_tuning import FakeFineTuning

    context = click.get_current_context()
    for each in ACCOUNT_OPTIONS:
        if context.get_parameter_source(str(each.name)) not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP):
            name = _name_as_given(each, context)
            raise click.UsageError(f"{name} cannot be set with --load: the file has the account's settings", context)
    try:
        fake = FakeFineTuning.load(
            path, allow_remote_webhooks=settings["allow_remote_webhooks"], sends_webhooks=sends_webhooks
        )
    except FakeUsageError as error:
        raise click.UsageError(f"--load: {error}", context) from None
    try:
        for webhook in webhooks:
            fake.add_webhook(**webhook)
    except FakeUsageError as error:
        raise usage_error(error, context) from None
    return fake


def create_accounts(main: FakeFineTuning, store: str | None, **options: Any) -> FakeAccounts:
    """Create the accounts of a server, which begin like *main*; raise click's error if the options do not fit.

    Args:
        main: the account main.
        store: the URL of the store that the accounts are in; None: they are in memory.
        options: as `FakeAccounts.around` has them.
    """
    from ..fake.fake_accounts import FakeAccounts

    try:
        if store is None:
            return FakeAccounts.around(main, **options)
        from ..stores import open_store  # imported on demand: most servers keep nothing

        opened = open_store(store)
        try:
            return FakeAccounts.around(main, store=opened, **options)
        except FakeUsageError:
            opened.close()
            raise
    except FakeUsageError as error:
        raise usage_error(error, click.get_current_context()) from None


def create_fake(**settings: Any) -> FakeFineTuning:
    """Create a fake with *settings*; raise click's error if they do not fit."""
    was_enabled = gc.isenabled()
    gc.disable()  # what is imported stays: to look for garbage in it takes a twentieth of the start
    try:
        from ..fake.fake_fine_tuning import FakeFineTuning
        from ..web import server  # noqa: F401 - all of them serve
    finally:
        if was_enabled:
            gc.enable()
    try:
        return FakeFineTuning(**settings)
    except FakeUsageError as error:
        raise usage_error(error, click.get_current_context()) from None


def create_fake_from_setup(
    path: str, defaults: Mapping[str, Any], *, sends_webhooks: bool, **settings: Any
) -> FakeFineTuning:
    """Create a fake with a setup file.

    Args:
        path: the file. It wins over those of *settings* that are an option's default, and over *defaults*.
        defaults: settings for what neither the file nor an option says.
        sends_webhooks: False where it only shows how others begin.
        settings: settings by option.

    Raises:
        click.UsageError: the file or a setting makes no sense.
    """
    from ..control.setup_file import SetupError
    from ..fake.fake_fine_tuning import FakeFineTuning

    context = click.get_current_context()
    unset = {name for name in settings if context.get_parameter_source(name) == ParameterSource.DEFAULT}
    chosen = {name: value for name, value in settings.items() if name not in unset}
    others: Any = {**defaults, **{name: settings[name] for name in unset}}
    try:
        return FakeFineTuning.from_setup(path, defaults=others, sends_webhooks=sends_webhooks, **chosen)
    except SetupError as error:  # about the file's members, not about options
        raise click.UsageError(str(error), context) from None
    except FakeUsageError as error:
        raise usage_error(error, context) from None
