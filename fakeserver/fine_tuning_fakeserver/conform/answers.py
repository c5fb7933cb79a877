"""Answers to one request, and in what they differ as far as a client can rely on it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import Any

from fine_tuning_formats.lazy_dataclass import dataclass

ID_PREFIX = re.compile(r"(?:ftjob|file|ftevent|ftckpt|modelperm|upload|part)[-_]")
LITERALS = ("object", "type", "code", "param")
"""Members whose values are words of the contract."""
ANYTHING = object()
"""Wanted where the values that are wanted of a list's items differ."""


@dataclass(frozen=True)
class SeenAnswer:
    """An answer to one request.

    Args:
        status: its status; 0 where there was no answer.
        headers: by name in lower case.
        body: its body.
        error: why there was none.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: str = ""

    @cached_property
    def json(self) -> Any:
        """The body's JSON; None where it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:  # UnicodeDecodeError is one
            return None

    @property
    def members(self) -> dict[str, Any]:
        """The body's members; none where it is not an object."""
        return self.json if isinstance(self.json, dict) else {}

    @property
    def items(self) -> list[dict[str, Any]]:
        """The objects of a page; none where it is not a page."""
        data = self.members.get("data")
        return [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []

    @property
    def media_type(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def differences(wanted: SeenAnswer, answer: SeenAnswer) -> Iterator[str]:
    """Yield in what *answer* differs from the *wanted* one: status, media type, members, kinds of values, and words.

    Ids, times, numbers and messages are its own. So are further members, and null in the place of a value.
    """
    if not answer.status:
        yield f"no answer: {answer.error}"
        return
    if answer.status != wanted.status:
        yield f"status must be {wanted.status}, got {answer.status}"
        return
    if wanted.json is None:
        return
    if answer.json is None:
        yield "the body must be JSON"
        return
    if answer.media_type != wanted.media_type:
        yield f"content-type must be {wanted.media_type}, got {answer.media_type or 'none'}"
    yield from value_differences(wanted.json, answer.json)


def value_differences(wanted: Any, value: Any, path: str = "", name: str = "") -> Iterator[str]:
    """Yield in what a JSON *value* differs from the *wanted* one; *path* leads there, *name* is its member's."""
    if wanted is ANYTHING or "auto" in (wanted, value):  # a hyperparameter is a number, or is to become one
        return
    if wanted is None or value is None:
        if name in LITERALS and wanted is not value:
            yield f"{path} must be {_text(wanted)}, got {_text(value)}"
        return
    kinds = _kind(wanted), _kind(value)
    if kinds[0] != kinds[1]:
        yield f"{path or 'the body'} must be {kinds[0]}, got {kinds[1]}"
    elif isinstance(wanted, dict):
        for member, inner in wanted.items():
            where = f"{path}.{member}" if path else member
            if member in value:
                yield from value_differences(inner, value[member], where, member)
            else:
                yield f"{where} must be there, got nothing"
    elif isinstance(wanted, list):
        if wanted:
            common = _common(wanted)
            found = (problem for item in value for problem in value_differences(common, item, f"{path}[]"))
            yield from dict.fromkeys(found)
    elif name in LITERALS and wanted != value:
        yield f"{path} must be {_text(wanted)}, got {_text(value)}"
    elif isinstance(wanted, str) and (prefix := ID_PREFIX.match(wanted)) and not value.startswith(prefix[0]):
        yield f"{path} must begin with {prefix[0]}, got {_text(value)}"


def _common(values: Sequence[Any]) -> Any:
    """Return what all *values* have: the members of objects, and any word that they share."""
    first = values[0]
    if all(isinstance(value, dict) for value in values):
        return {name: _common([value[name] for value in values]) for name in first if all(name in v for v in values)}
    if len({_kind(value) for value in values}) > 1:
        return ANYTHING
    if isinstance(first, str) and any(value != first for value in values):
        prefixes = {match[0] if (match := ID_PREFIX.match(value)) else "" for value in values}
        return first if len(prefixes) == 1 and "" not in prefixes else ANYTHING
    return first


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    return {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number"}.get(
        type(value), "null"
    )


def _text(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
