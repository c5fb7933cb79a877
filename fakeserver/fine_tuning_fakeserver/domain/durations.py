"""Lengths of time as people write them."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import TypeAlias

from ..usage_errors import FakeUsageError

Duration: TypeAlias = float | int | str | timedelta

LONGEST = 1e10
"""Seconds; with more than that, virtual time leaves what JSON numbers and ids can say."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)?")


def parse_seconds(duration: Duration, name: str = "duration") -> float:
    """Turn ``90``, ``"90s"``, ``"1.5h"`` or a timedelta into seconds.

    Raises:
        FakeUsageError: the value is no length of time, is negative, or is not finite.
    """
    if isinstance(duration, timedelta):
        return _checked(duration.total_seconds(), name)
    if isinstance(duration, str):
        return _checked(_parsed(duration, name), name)
    if isinstance(duration, bool) or not isinstance(duration, int | float):
        raise FakeUsageError(f"{name} is {duration!r}: a number of seconds, '90s', '5m', '2h' or a timedelta is wanted")
    return _checked(float(duration), name)


def _parsed(text: str, name: str) -> float:
    if not (match := _FORM.fullmatch(text.strip())):
        raise FakeUsageError(f"{name} is {text!r}: write a number and a unit, one of {', '.join(_UNITS)}")
    return float(match[1]) * _UNITS[match[2] or "s"]


def _checked(value: float, name: str) -> float:
    if value > LONGEST:
        raise FakeUsageError(f"{name} is {value} s: {LONGEST:.0f} s, some 317 years, is the longest")
    if not math.isfinite(value) or value < 0:
        raise FakeUsageError(f"{name} is {value} s: virtual time never goes back, and every length of it is finite")
    return value
