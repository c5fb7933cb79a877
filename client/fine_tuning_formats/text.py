"""Short texts of people and settings: printable ones, shown values, durations, host names, URLs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

Duration: TypeAlias = float | int | str | timedelta

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
# Letters and marks that cannot be seen, without the two that choose how an emoji looks. What else cannot be seen, or
# turns the direction of a line, is not printable to Python either.
_INVISIBLE = re.compile(
    r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)?")


def printable(text: str) -> str:
    """Return *text* on one line, with all that a terminal would obey, or not show, escaped as Python does."""
    if text.isprintable() and (text.isascii() or not _INVISIBLE.search(text)):
        return text
    return "".join(char if _is_visible(char) else char.encode("unicode_escape").decode() for char in text)


def _is_visible(char: str) -> bool:
    return char.isprintable() and not _INVISIBLE.match(char)


def show_value(value: object, at_most: int = 200) -> str:
    """Return ``repr(value)`` for a message, cut to *at_most* characters and an ellipsis."""
    start = repr_start(value, at_most + 1)
    return start if len(start) <= at_most else f"{start[:at_most]}…"


def repr_start(value: object, at_most: int = 200) -> str:
    """Return the first *at_most* characters of ``repr(value)``, and read no more of *value* than that.

    JSON may be nested deeper than `repr` can go, and hold millions of members; this costs the same for any.
    """
    pieces: list[str] = []
    size = 0
    for piece in _repr_pieces(value, at_most):
        pieces.append(piece)
        size += len(piece)
        if size >= at_most:
            break
    return "".join(pieces)[:at_most]


def _repr_pieces(value: object, at_most: int) -> Iterator[str]:
    """Yield the pieces of ``repr(value)``, with strings cut at *at_most*; a stack stands for the nesting."""
    opened: list[tuple[Iterator[tuple[str, object]], str]] = [(iter([("", value)]), "")]
    while opened:
        members, closing = opened[-1]
        for before, member in members:
            yield before
            if type(member) is list:
                yield "["
                opened.append((_list_members(member), "]"))
                break
            if type(member) is dict:
                yield "{"
                opened.append((_dict_members(member, at_most), "}"))
                break
            yield _plain_repr(member, at_most)
        else:
            yield closing
            opened.pop()


def _list_members(values: list[object]) -> Iterator[tuple[str, object]]:
    return ((", " if index else "", value) for index, value in enumerate(values))


def _dict_members(values: dict[object, object], at_most: int) -> Iterator[tuple[str, object]]:
    for index, (name, value) in enumerate(values.items()):
        yield f"{', ' if index else ''}{_plain_repr(name, at_most)}: ", value


def _plain_repr(value: object, at_most: int) -> str:
    try:
        return repr(value[:at_most] if type(value) is str else value)
    except (RecursionError, ValueError):  # a deep container of another kind; an integer of thousands of digits
        return "..."


def duration_seconds(duration: Duration, *, default_unit: str | None = "s") -> float:
    """Return the seconds of ``90``, ``"90s"``, ``"1.5h"`` or a timedelta.

    Args:
        duration: Numbers are seconds.
        default_unit: The unit of a text without one; None requires one.

    Raises:
        ValueError: The value has another type or form.
    """
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, str):
        match = _DURATION.fullmatch(duration.strip())
        unit = (match[2] or default_unit) if match else None
        if not match or unit is None:
            raise ValueError(f"expected a number with a unit, one of {', '.join(UNITS)}, got {show_value(duration)}")
        return float(match[1]) * UNITS[unit]
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        raise ValueError(
            f"expected a number of seconds, a text such as '90s', or a timedelta, got {show_value(duration)}"
        )
    return float(duration)


def duration_words(seconds: float) -> str:
    """Return a duration in its largest unit: ``30 days``, ``1.5 hours``, ``20 seconds``."""
    unit, length = next(
        ((name, length) for name, length in (("day", 86_400), ("hour", 3600), ("minute", 60)) if seconds >= length),
        ("second", 1),
    )
    number = seconds / length
    text = f"{number:.0f}" if number >= 10 else f"{number:.1f}".removesuffix(".0")
    return f"{text} {unit}{'' if text == '1' else 's'}"


def parse_http_url(value: object) -> SplitResult | None:
    """Return the parts of an HTTP URL that has a host, and a port that can be connected to if it has one.

    None for anything else.
    """
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        is_valid = parts and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is not a number, or half an IPv6 address
        return None
    return parts if is_valid else None


def is_loopback(host: str | None) -> bool:
    """Return whether *host*, a name or an address, is this machine's own; other names may lead anywhere."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
