"""Checks of fields, declared in their types: ``seed: Annotated[int, whole()] = 0``.

`check_fields` applies them to an instance. A check is called with the value and its name in errors; it returns the
value to store, or raises `FakeUsageError`. So any parser, such as `parse_seconds`, is a check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, TypeAlias, get_origin, get_type_hints

from fine_tuning_formats.lazy_dataclass import dataclass
from fine_tuning_formats.text import Duration, duration_seconds, show_value

from ..usage_errors import FakeUsageError, unknown_name, wrong_value

Check: TypeAlias = Callable[[Any, str], Any]

LONGEST = 1e10
"""Seconds, some 317 years; with more than that, virtual time leaves what JSON numbers and ids can say."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A check that leaves the value as it is.

    Args:
        wanted: the words for what is wanted.
        accepts: the test.
        keywords: what of it JSON Schema can say.
    """

    wanted: str
    accepts: Callable[[Any], bool]
    keywords: tuple[tuple[str, Any], ...] = ()

    def __call__(self, value: Any, name: str) -> Any:
        """Return *value*.

        Raises:
            FakeUsageError: it does not pass the test.
        """
        if not self.accepts(value):
            raise wrong_value(name, self.wanted, value)
        return value

    def or_none(self, meaning: str = "") -> Requirement:
        """Return the requirement that None meets, too; *meaning* is for errors: "for no limit"."""
        wanted = f"{self.wanted}, or None {meaning}" if meaning else self.wanted
        keywords = ((name, (*given, None) if name == "enum" else given) for name, given in self.keywords)
        return Requirement(wanted, lambda value: value is None or self.accepts(value), tuple(keywords))


def whole(least: int = -(2**63), most: int = 2**63 - 1) -> Requirement:
    """Require an int in this range; a bool is refused."""
    words = f"a whole number from {least}" if least > -(2**63) else "a whole number of at most 64 bits"
    if most < 2**63 - 1:
        words += f" to {most}"
    keywords = _limits(least, most)
    return Requirement(words, lambda value: isinstance(value, int) and is_number(value, least, most), keywords)


def number(least: float, most: float, wanted: str = "") -> Requirement:
    """Require an int or a float in this range; nan and bools are refused."""
    words = wanted or f"a number from {least:.0f} to {most:.0f}"
    return Requirement(words, lambda value: is_number(value, least, most), _limits(least, most))


def _limits(least: float, most: float) -> tuple[tuple[str, Any], ...]:
    return (("minimum", least), ("maximum", most))


def is_number(value: Any, least: float, most: float) -> bool:
    """Return whether *value* is an int or a float from *least* to *most*."""
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most


def one_of(names: Iterable[str]) -> Requirement:
    """Require one of these names."""
    known = tuple(names)
    words = f"one of {', '.join(known)}"
    return Requirement(words, lambda value: isinstance(value, str) and value in known, (("enum", known),))


def is_text(value: Any) -> bool:
    """Return whether *value* is a string that can be written as UTF-8: without lone surrogates."""
    return isinstance(value, str) and value == value.encode(errors="replace").decode()


def is_printable_ascii(value: Any) -> bool:
    """Return whether *value* is a string that a header can hold, and is not empty."""
    return isinstance(value, str) and bool(value) and value.isascii() and value.isprintable()


def is_collection(value: Any) -> bool:
    """Return whether *value* holds several things: a string or a mapping stands for one."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def require_id(value: object, name: str) -> None:
    """Refuse an object, as the service returns it, where its id belongs.

    Raises:
        FakeUsageError: *value* is no string.
    """
    if not isinstance(value, str):
        raise wrong_value(name, f"a string such as {name.removesuffix('_id')}.id", value)


def optional(check: Check) -> Check:
    """Return *check* for a field that may be None, too."""
    return lambda value, name: None if value is None else check(value, name)


boolean = Requirement("True or False", lambda value: isinstance(value, bool))
text = Requirement("a string", is_text)


def parse_seconds(duration: Duration, name: str = "duration") -> float:
    """Return the seconds of ``90``, ``"90s"``, ``"1.5h"`` or a timedelta.

    Raises:
        FakeUsageError: It is not a duration, is negative, or is longer than `LONGEST`.
    """
    try:
        seconds = duration_seconds(duration)
    except ValueError:
        wanted = "a number of seconds, a text such as '90s', '5m' or '2h', or a timedelta"
        raise FakeUsageError(f"{name} must be {wanted}, got {show_value(duration)}") from None
    if not 0 <= seconds <= LONGEST or math.isnan(seconds):
        raise FakeUsageError(f"{name} must be from 0 to {LONGEST:.0f} seconds, got {seconds}")
    return seconds


def check_fields(instance: object, thing: str = "") -> None:
    """Check each annotated field of a frozen dataclass, and store what its check returns.

    Args:
        instance: the dataclass, of which each check is the last member of an `Annotated` type.
        thing: what errors call it, as in "fault 'times' must be …"; empty: they name the field alone.

    Raises:
        FakeUsageError: a field does not pass.
    """
    for field, name, check, default in _checks(type(instance), thing):  # type: ignore[arg-type]  # it is hashable
        value = getattr(instance, field)
        if value is not default and (checked := check(value, name)) is not value:
            object.__setattr__(instance, field, checked)


@cache
def _checks(cls: type, thing: str) -> tuple[tuple[str, str, Check, Any], ...]:
    """Return name, name in errors, check and default of each field that has a check; defaults are not checked."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        (
            field.name,
            f"{thing} {field.name!r}" if thing else field.name,
            hints[field.name].__metadata__[-1],
            field.default,
        )
        for field in fields(cls)
        if get_origin(hints[field.name]) is Annotated
    )


def check_names(thing: str, names: Iterable[object], known: Iterable[str]) -> None:
    """Check that fields of these names exist.

    Raises:
        FakeUsageError: one of them is not known.
    """
    expected = tuple(known)
    for name in names:
        if name not in expected:
            raise unknown_name(thing, name, expected)
