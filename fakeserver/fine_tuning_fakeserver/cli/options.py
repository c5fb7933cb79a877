"""Flags that can also be set in the environment: a flag beats its variable, which beats the default."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ..clock import PACES, parse_pace
from ..domain.base_models import CLOSING_DATES, parse_day
from ..domain.checks import one_of
from ..domain.dialects import DIALECTS, dialect_named
from ..domain.dialects.dialect import RECORDED
from ..domain.webhook_events import WebhookConfig
from ..usage_errors import FakeUsageError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Option:
    """A flag ``--name`` and its variable; `convert` raises `argparse.ArgumentTypeError` for what is no good."""

    name: str
    default: str | int | float | None
    convert: Callable[[str], str | int | float]
    metavar: str
    help: str
    short: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """The environment variable; set to nothing it counts as not set."""
        return f"FAKE_FINE_TUNING_{self.name.upper()}"


def port(text: str) -> int:
    """A port as it is typed."""
    number = whole(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 (a free one) to 65535")
    return number


def whole(text: str) -> int:
    """A whole number as it is typed, of at most 64 bits."""
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
    if abs(number) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text} is too large: a whole number of at most 64 bits is wanted")
    return number


def _checked(check: Callable[[str], T]) -> Callable[[str], T]:
    """*check* for what is typed: what it refuses is wrong usage of the command."""

    def convert(text: str) -> T:
        try:
            return check(text)
        except FakeUsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def _url(text: str) -> str:
    return WebhookConfig(text).url or text


def _secret(text: str) -> str:
    return WebhookConfig(secret=text).secret or text


HOST = Option("host", "127.0.0.1", str, "ADDRESS", "address to listen on")
PORT = Option("port", 4355, port, "PORT", "port to listen on, 0 for a free one", ("-p",))
PACE = Option("pace", 60, _checked(parse_pace), "PACE", f"virtual seconds a real second, or {', '.join(PACES)}")
SEED = Option("seed", 0, whole, "N", "ids, losses and names depend on it")
AS_OF = Option("as_of", None, _checked(parse_day), "DATE", "begin on this date, and let the service end from there on")
ORGANIZATION = Option(
    "organization",
    "active",
    _checked(lambda name: one_of(CLOSING_DATES)(name, "organization")),
    "CLASS",
    f"{', '.join(CLOSING_DATES)}: whom the end finds, with --as-of",
)
DIALECT = Option(
    "dialect", RECORDED.name, _checked(lambda name: dialect_named(name).name), "NAME", f"one of {', '.join(DIALECTS)}"
)
WEBHOOK = Option("webhook", None, _checked(_url), "URL", "tell this URL of each job that is over")
CONTROL_TOKEN = Option(
    "control_token", None, str, "TOKEN", "let other machines steer, too (/_fake), if they send it as a bearer token"
)
WEBHOOK_SECRET = Option(
    "webhook_secret", None, _checked(_secret), "SECRET", "sign webhooks with it; else one is derived"
)


def parse(
    parser: argparse.ArgumentParser,
    options: Iterable[Option],
    arguments: Sequence[str],
    environ: Mapping[str, str],
) -> argparse.Namespace:
    """Parse *arguments* with *options* added to *parser*; what no flag gives comes from *environ*.

    Raises:
        SystemExit: help was asked for (0), or a value is no good (2).
    """
    options = tuple(options)
    for option in options:
        default = "none" if option.default is None else option.default
        text = f"{option.help} (default {default}; {option.variable})"
        flags = (*option.short, f"--{option.name.replace('_', '-')}")
        parser.add_argument(*flags, type=option.convert, metavar=option.metavar, help=text)
    given = parser.parse_args(arguments)
    for option in options:
        if getattr(given, option.name) is None:
            setattr(given, option.name, _unflagged(parser, option, environ))
    return given


def _unflagged(parser: argparse.ArgumentParser, option: Option, environ: Mapping[str, str]) -> str | int | float | None:
    text = environ.get(option.variable)
    if not text:
        return option.default
    try:
        return option.convert(text)
    except argparse.ArgumentTypeError as error:
        parser.error(f"environment variable {option.variable}: {error}")
