"""Options of the commands that make a fake; a flag wins over its environment variable, which wins over the default."""

from __future__ import annotations

from typing import Any

import click

from ..clock import PACES
from ..domain.base_models import CLOSING_DATES
from ..domain.dialects import DIALECTS
from ..domain.dialects.dialect import RECORDED
from ..fake.fake_fine_tuning import FakeFineTuning
from ..usage_errors import FakeUsageError


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
