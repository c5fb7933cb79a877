"""How old a recording is, and how old it may be."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def seconds_of(age: float | str | timedelta) -> float:
    """Seconds in *age*: a number of them, a timedelta, or text such as ``"30d"``.

    Raises:
        ValueError: it is none, or not above 0.
    """
    if isinstance(age, timedelta):
        seconds = age.total_seconds()
    elif isinstance(age, str):
        found = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*([{''.join(UNITS)}])\s*", age)
        seconds = float(found[1]) * UNITS[found[2]] if found else 0.0
    else:
        seconds = float(age) if isinstance(age, int | float) else 0.0
    if not seconds > 0:
        raise ValueError(f"max_age is {age!r}: seconds above 0, a timedelta, or text such as '30d' (s, m, h, d, w)")
    return seconds


def age_told(recorded_at: str, now: float, at_most: float) -> str:
    """What is wrong with the age of a recording; empty where nothing is."""
    try:
        at = datetime.fromisoformat(recorded_at)
    except ValueError:
        return f"its `recorded_at` is {recorded_at!r}, so nobody knows how old it is"
    age = now - (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return f"it was recorded {_days(age)} ago, and may be {_days(at_most)} old" if age > at_most else ""


def _days(seconds: float) -> str:
    return f"{seconds / UNITS['d']:.1f} days" if seconds >= UNITS["d"] else f"{seconds:.0f} s"
