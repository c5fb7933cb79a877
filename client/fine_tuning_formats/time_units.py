"""Durations as people write them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TypeAlias

Duration: TypeAlias = float | int | str | timedelta

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d|w)?")


def duration_seconds(duration: Duration, *, default_unit: str | None = "s") -> float:
    """Return the seconds of ``90``, ``"90s"``, ``"1.5h"`` or a timedelta.

    Args:
        duration: Numbers are seconds.
        default_unit: The unit of a text without one; None requires one.

    Raises:
        ValueError: It is none of these.
    """
    if isinstance(duration, timedelta):
        return duration.total_seconds()
    if isinstance(duration, str):
        match = _FORM.fullmatch(duration.strip())
        unit = (match[2] or default_unit) if match else None
        if not match or unit is None:
            raise ValueError(f"expected a number with a unit, one of {', '.join(UNITS)}, got {duration!r}")
        return float(match[1]) * UNITS[unit]
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        raise ValueError(f"expected a number of seconds, a text such as '90s', or a timedelta, got {duration!r}")
    return float(duration)
