"""The one error for the fake's own user: a bad plan, an unknown job to advance, a wrong control field."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class FakeUsageError(ValueError):
    """What was asked of the fake itself makes no sense; the message says what would.

    It never looks like an answer of the API: over HTTP it is ``{"fake_error": …, "message": …}``.
    """


def did_you_mean(name: object, known: Iterable[str], likeness: float = 0.6) -> str:
    """``: did you mean 'x'?``, or nothing where nothing is near; *likeness* is from 0 to 1."""
    near = get_close_matches(name, list(known), 1, likeness) if isinstance(name, str) else []
    return f": did you mean {near[0]!r}?" if near else ""
