"""The one error for the fake's own user: a bad plan, an unknown job to advance, a wrong control field."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from difflib import get_close_matches
from operator import methodcaller
from types import FrameType

from fine_tuning_formats.text import show_value


class FakeUsageError(ValueError):
    """A request to the fake itself that makes no sense; the message says what would.

    It never looks like an answer of the API: over HTTP it is ``{"fake_error": …, "message": …}``. In a traceback of
    pytest it ends at the line that used the fake.

    Attributes:
        status: the HTTP status of its answer.
    """

    status = 400

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        frame: FrameType | None = sys._getframe(1)
        while frame:
            if frame.f_globals.get("__name__", "").startswith(OWN_PACKAGES):
                frame.f_globals.setdefault("__tracebackhide__", HIDDEN_IF_MISUSED)
            frame = frame.f_back


OWN_PACKAGES = ("fine_tuning_fakeserver.", "pytest_fine_tuning.")
HIDDEN_IF_MISUSED = methodcaller("errisinstance", FakeUsageError)
"""The ``__tracebackhide__`` of modules that have raised a `FakeUsageError`: their frames say nothing to its user."""

NAME_CHARACTERS_AT_MOST = 200
"""How long a name may be that is compared with the known ones: comparing takes time by its length."""

HIDDEN = methodcaller("errisinstance", (AssertionError, FakeUsageError))
"""A module's ``__tracebackhide__``: pytest shows the test's own line where an assertion fails, not the fake's code."""


def wrong_value(name: str, wanted: str, value: object, remedy: str = "") -> FakeUsageError:
    """Return the error ``<name> must be <wanted>, got <value>[; <remedy>]``."""
    return FakeUsageError(f"{name} must be {wanted}, got {show_value(value)}{remedy and f'; {remedy}'}")


def unknown_name(thing: str, name: object, known: Iterable[str], likeness: float = 0.6) -> FakeUsageError:
    """Return the error ``unknown <thing> 'sed' (did you mean 'seed'?); expected one of: seed, pace``."""
    names = list(known)
    return FakeUsageError(
        f"unknown {thing} {show_value(name)}{did_you_mean(name, names, likeness)}; expected one of: {', '.join(names)}"
    )


def did_you_mean(name: object, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return `` (did you mean 'x'?)``, or "" if nothing known is as near as *likeness*, from 0 to 1."""
    if not isinstance(name, str) or len(name) > NAME_CHARACTERS_AT_MOST:
        return ""
    near = get_close_matches(name, list(known), 1, likeness)
    return f" (did you mean {near[0]!r}?)" if near else ""
