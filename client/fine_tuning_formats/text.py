"""Short texts of people and settings: printable ones, durations, host names."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address
from typing import TypeAlias

Duration: TypeAlias = float | int | str | timedelta

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)?")


def printable(text: str) -> str:
    """Return *text* on one line, with everything that a terminal would obey escaped as Python does."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


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
