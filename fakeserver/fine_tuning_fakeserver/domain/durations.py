"""Durations of virtual time."""

from __future__ import annotations

import math

from fine_tuning_formats.text import Duration, duration_seconds

from ..usage_errors import FakeUsageError

__all__ = ["LONGEST", "Duration", "parse_seconds"]

LONGEST = 1e10
"""Seconds, some 317 years; with more than that, virtual time leaves what JSON numbers and ids can say."""


def parse_seconds(duration: Duration, name: str = "duration") -> float:
    """Return the seconds of ``90``, ``"90s"``, ``"1.5h"`` or a timedelta.

    Raises:
        FakeUsageError: It is not a duration, is negative, or is longer than `LONGEST`.
    """
    try:
        seconds = duration_seconds(duration)
    except ValueError:
        wanted = "a number of seconds, a text such as '90s', '5m' or '2h', or a timedelta"
        raise FakeUsageError(f"{name} must be {wanted}, got {duration!r}") from None
    if not 0 <= seconds <= LONGEST or math.isnan(seconds):
        raise FakeUsageError(f"{name} must be from 0 to {LONGEST:.0f} seconds, got {seconds}")
    return seconds
