"""Short texts of people and settings: printable ones, durations, host names."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address
from typing import TypeAlias

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
            raise ValueError(f"expected a number with a unit, one of {', '.join(UNITS)}, got {duration!r}")
        return float(match[1]) * UNITS[unit]
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        raise ValueError(f"expected a number of seconds, a text such as '90s', or a timedelta, got {duration!r}")
    return float(duration)


def is_loopback(host: str | None) -> bool:
    """Return whether *host*, a name or an address, is this machine's own; other names may lead anywhere."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False
