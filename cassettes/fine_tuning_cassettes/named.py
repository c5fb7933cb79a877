"""Secrets by the names they go under, in JSON, in JSON within JSON, and in forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .exchanges import parsed

_SECRET = re.compile(
    r"(?i)(.*[-_. ])?(api[-_]?keys?|(account|private|access|secret)[-_]?keys?|secrets?|passwords?|passwd|credentials?"
    r"|authorization|signature|sig|(access|refresh|auth|id|session|bearer|hf|github|gitlab|wandb)[-_]?tokens?)"
)
_MAYBE = re.compile(r"(?i)key|token|code")
"""Names of secrets, and of much else: what is under them is a secret if it looks like one."""
_LIKE_ONE = re.compile(r"(?=\S*\d)\S{16,}")
DEPTH = 8
"""How deep JSON is looked into, JSON within JSON included."""


def is_secret(name: str, value: str = "") -> bool:
    """Whether *value* is a secret, going by its name."""
    return bool(_SECRET.fullmatch(name) or (_MAYBE.fullmatch(name) and _LIKE_ONE.fullmatch(value)))


def secrets_in(value: Any, depth: int = DEPTH) -> Iterator[str]:
    """The texts in a JSON value that are secrets."""
    if depth == 0:
        return
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _texts(member, depth) if _SECRET.fullmatch(name) else secrets_in(member, depth - 1)
            if isinstance(member, str) and is_secret(name, member):
                yield member
    elif isinstance(value, list):
        for each in value:
            yield from secrets_in(each, depth - 1)
    elif isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        yield from secrets_in(parsed(value), depth - 1)


def _texts(value: Any, depth: int) -> Iterator[str]:
    """All texts under the name of a secret."""
    if isinstance(value, str):
        yield value
    elif depth and isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each, depth - 1)
